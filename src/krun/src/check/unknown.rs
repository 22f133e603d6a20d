//! Fields of config.json that mean nothing to krun: what is in the file, but not in what was understood.
use std::path::Path;

use oci_spec::runtime::Spec;
use serde_json::Value;

/// The JSON paths of unknown fields. Extensions of other platforms are known, and empty values are not looked at.
pub fn fields(file: &Path, spec: &Spec) -> Vec<String> {
    let read = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let (Some(read), Ok(understood)) = (read, serde_json::to_value(spec)) else { return Vec::new() };
    let mut found = Vec::new();
    compare(&read, &understood, "", &mut found);
    found
}

fn compare(read: &Value, understood: &Value, at: &str, found: &mut Vec<String>) {
    match (read, understood) {
        (Value::Object(read), Value::Object(understood)) => {
            for (name, value) in read {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                match understood.get(name) {
                    Some(understood) => compare(value, understood, &at, found),
                    None if is_empty(value) => {}
                    None => found.push(at),
                }
            }
        }
        (Value::Array(read), Value::Array(understood)) if read.len() == understood.len() => {
            for (index, (read, understood)) in read.iter().zip(understood).enumerate() {
                compare(read, understood, &format!("{at}[{index}]"), found);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_understood_is_unknown() {
        let text = r#"{"ociVersion":"1.3.0","hostnam":"x","mounts":[{"destination":"/a","sorce":"b"}],
            "process":{"cwd":"/","user":{"uid":0},"nul":null,"capabilities":{"bounding":["CAP_KILL"]}},
            "annotations":{"any":"thing"},"linux":{"resources":{"memory":{"limit":5,"limt":6}}}}"#;
        let spec: Spec = serde_json::from_str(text).unwrap();
        let mut found = Vec::new();
        compare(&serde_json::from_str(text).unwrap(), &serde_json::to_value(&spec).unwrap(), "", &mut found);
        found.sort_unstable();
        assert_eq!(found, ["hostnam", "linux.resources.memory.limt", "mounts[0].sorce"]);
    }
}
