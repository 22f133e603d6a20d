//! Protobuf, as little as the client needs, and written apart from the shim's
//! own code: a mistake there must show here.

use std::collections::BTreeMap;

/// A message that is being put together.
#[derive(Debug, Default, Clone)]
pub struct Out(Vec<u8>);

impl Out {
    pub fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut v: u64) {
        loop {
            let low = u8::try_from(v & 0x7f).unwrap();
            v >>= 7;
            self.0.push(if v == 0 { low } else { low | 0x80 });
            if v == 0 {
                return;
            }
        }
    }

    pub fn int(mut self, field: u64, v: u64) -> Self {
        self.varint(field << 3);
        self.varint(v);
        self
    }

    pub fn bytes(mut self, field: u64, v: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(v.as_ref().len() as u64);
        self.0.extend_from_slice(v.as_ref());
        self
    }

    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A decoded message: the last value of each field.
#[derive(Debug, Default, Clone)]
pub struct Message {
    ints: BTreeMap<u64, u64>,
    bytes: BTreeMap<u64, Vec<Vec<u8>>>,
}

impl Message {
    pub fn parse(mut rest: &[u8]) -> Self {
        let mut message = Self::default();
        while !rest.is_empty() {
            let key = varint(&mut rest);
            match key & 7 {
                0 => drop(message.ints.insert(key >> 3, varint(&mut rest))),
                1 => rest = &rest[8..],
                2 => {
                    let len = usize::try_from(varint(&mut rest)).unwrap();
                    let (head, tail) = rest.split_at(len);
                    message.bytes.entry(key >> 3).or_default().push(head.to_vec());
                    rest = tail;
                }
                other => panic!("wire type {other}"),
            }
        }
        message
    }

    pub fn int(&self, field: u64) -> u64 {
        self.ints.get(&field).copied().unwrap_or_default()
    }

    pub fn text(&self, field: u64) -> String {
        String::from_utf8(self.raw(field)).unwrap()
    }

    pub fn raw(&self, field: u64) -> Vec<u8> {
        self.bytes.get(&field).and_then(|v| v.last()).cloned().unwrap_or_default()
    }

    pub fn has(&self, field: u64) -> bool {
        self.bytes.contains_key(&field)
    }

    pub fn message(&self, field: u64) -> Message {
        Message::parse(&self.raw(field))
    }

    pub fn all(&self, field: u64) -> Vec<Message> {
        self.bytes.get(&field).into_iter().flatten().map(|b| Message::parse(b)).collect()
    }
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut v = 0;
    for shift in (0..).step_by(7) {
        let byte = rest[0];
        *rest = &rest[1..];
        v |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    v
}
