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
/// Each bracket is judged by what stands before it, even one within a string; whether it is a fault is for
/// [`array_for_object`] to say.
pub fn is_suspicious(json: &[u8]) -> bool {
    // What is not UTF-8 is not JSON either.
    let Ok(json) = std::str::from_utf8(json) else { return true };
    json.match_indices('[').any(|(at, _)| {
        let before = json.as_bytes().get(..at).unwrap_or_default().trim_ascii_end();
        match before.split_last() {
            None | Some((b'[' | b',', _)) => true,
            Some((b':', name)) => {
                last_string(name.trim_ascii_end()).is_some_and(|name| OBJECTS.contains(&name))
            }
            _ => false,
        }
    })
}

/// The string at the end of `json`, as it is written.
fn last_string(json: &[u8]) -> Option<&[u8]> {
    json.strip_suffix(b"\"")?.rsplit(|byte| *byte == b'"').next()
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
