//! Bytes of D-Bus messages.
#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn values_are_aligned_as_the_specification_says() {
    let mut writer = Writer::default();
    writer.value(&Value::Byte(7));
    writer.value(&Value::Array("t".to_owned(), vec![Value::U64(1)]));
    writer.value(&Value::Str("ab".to_owned()));
    let wanted = [
        7, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, //
        2, 0, 0, 0, b'a', b'b', 0,
    ];
    assert_eq!(writer.bytes, wanted);
    // The padding before an empty array's first element is there too.
    let mut writer = Writer::default();
    writer.value(&Value::Array("(ss)".to_owned(), vec![]));
    assert_eq!(writer.bytes, [0; 8]);
    let list = Value::Array("(ss)".to_owned(), vec![]);
    let nested = Value::Struct(vec![Value::Variant(Box::new(list)), Value::Bool(true)]);
    assert_eq!(nested.signature(), "(vb)");
}

#[test]
fn a_call_is_a_parsable_message() {
    let method = Method {
        destination: Some("org.example"),
        path: "/org/example",
        interface: "org.example.I",
        member: "Do",
    };
    let args = [Value::Str("x".to_owned()), Value::U32(9), Value::Variant(Box::new(Value::U64(3)))];
    let bytes = call(method, 5, &args, true);
    let head: &[u8; 16] = bytes[..16].try_into().unwrap();
    assert_eq!(rest_len(head), Some(bytes.len() - 16));
    let message = parse(&bytes).unwrap();
    assert_eq!(message.name, "Do");
    assert_eq!(message.body, [Value::Str("x".to_owned()), Value::U32(9), Value::U64(3)]);
}

#[test]
fn cut_or_garbled_messages_are_refused_without_panic() {
    let method = Method { destination: None, path: "/p", interface: "i.i", member: "M" };
    let bytes = call(method, 1, &[Value::Str("hello".to_owned())], true);
    for len in 0..bytes.len() {
        let _ = parse(&bytes[..len]);
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut garbled = bytes.clone();
            garbled[at] = value;
            let _ = parse(&garbled);
        }
    }
    assert_eq!(rest_len(&[b'B'; 16]), None);
    let mut huge = [0xff; 16];
    (huge[0], huge[3]) = (b'l', 1);
    assert_eq!(rest_len(&huge), None);
}
