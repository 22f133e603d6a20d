//! Arrays where the specification has objects. The derived parsers would take `"memory": [5]` for `"memory": {"limit": 5}`.
use serde_json::Value;

/// The fields of config.json that are objects with fixed members.
const OBJECTS: &[&[u8]] = &[
    b"process",
    b"root",
    b"user",
    b"consoleSize",
    b"capabilities",
    b"scheduler",
    b"ioPriority",
    b"execCPUAffinity",
    b"hooks",
    b"linux",
    b"resources",
    b"memory",
    b"cpu",
    b"pids",
    b"blockIO",
    b"network",
    b"seccomp",
    b"intelRdt",
    b"memoryPolicy",
    b"personality",
];

/// A quick look at valid JSON: is there an array directly in an array, or as the value of a field that is an object?
/// One pass over the bytes, some microseconds; whether it is a fault is for [`array_for_object`] to say.
pub fn is_suspicious(json: &[u8]) -> bool {
    let mut at = 0;
    let (mut before, mut text): (u8, &[u8]) = (b'[', b"");
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let rest = json.get(at + 1..).unwrap_or_default();
                let length = end_of_string(rest);
                text = rest.get(..length).unwrap_or_default();
                at += length + 1;
            }
            b'[' if matches!(before, b'[' | b',') => return true,
            b'[' if before == b':' && OBJECTS.contains(&text) => return true,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
        at += 1;
    }
    false
}

/// Where the closing quote is.
fn end_of_string(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The JSON path of an array that was understood as an object.
pub fn array_for_object(read: &Value, understood: &Value, at: &str) -> Option<String> {
    match (read, understood) {
        (Value::Array(_), Value::Object(_)) => Some(at.to_owned()),
        (Value::Object(read), Value::Object(understood)) => read.iter().find_map(|(name, value)| {
            let dot = if at.is_empty() { "" } else { "." };
            array_for_object(value, understood.get(name)?, &format!("{at}{dot}{name}"))
        }),
        (Value::Array(read), Value::Array(understood)) => {
            let pairs = read.iter().zip(understood).enumerate();
            let mut pairs =
                pairs.map(|(index, (read, understood))| (format!("{at}[{index}]"), read, understood));
            pairs.find_map(|(at, read, understood)| array_for_object(read, understood, &at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_in_the_place_of_objects_are_found() {
        for (text, expected) in [
            (r#"{"process": [1]}"#, true),
            ("[]", true),
            (r#"{"mounts": [ [1] ]}"#, true),
            (r#"{"mounts": [{}, [1]]}"#, true),
            (r#"{"process": {"args": ["[", "a\"[", "\\"], "env": []}}"#, false),
            (r#"{"annotations": {"linux": "["}, "linux": {"devices": [{"a": 1}, {}]}}"#, false),
        ] {
            assert_eq!(is_suspicious(text.as_bytes()), expected, "{text}");
        }
        let read: Value = serde_json::from_str(r#"{"a":{"b":[{"c":[1]}]}}"#).unwrap();
        let understood: Value = serde_json::from_str(r#"{"a":{"b":[{"c":{"d":1}}]}}"#).unwrap();
        assert_eq!(array_for_object(&read, &understood, "").as_deref(), Some("a.b[0].c"));
        assert_eq!(array_for_object(&read, &read, ""), None);
    }
}
