//! Protobuf's wire format: varints, length-delimited bytes, fixed 64-bit.

/// The bytes are no protobuf message, or a field has another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf message")]
pub struct Malformed;

/// Builds one message.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push((v & 0x7f) as u8 | 0x80);
            v >>= 7;
        }
        self.0.push((v & 0x7f) as u8);
    }

    /// An integer, enum or bool; 0 is the default and not written.
    pub fn uint(&mut self, number: u32, v: u64) {
        if v != 0 {
            self.varint(u64::from(number) << 3);
            self.varint(v);
        }
    }

    /// A double; 0 is not written.
    pub fn double(&mut self, number: u32, v: f64) {
        if v != 0.0 {
            self.varint(u64::from(number) << 3 | 1);
            self.0.extend_from_slice(&v.to_le_bytes());
        }
    }

    /// A bytes field; empty is not written.
    pub fn bytes(&mut self, number: u32, v: &[u8]) {
        if !v.is_empty() {
            self.message(number, v);
        }
    }

    /// A string field; empty is not written.
    pub fn text(&mut self, number: u32, v: &str) {
        self.bytes(number, v.as_bytes());
    }

    /// An encoded message, written even when it is empty.
    pub fn message(&mut self, number: u32, v: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(v.len() as u64);
        self.0.extend_from_slice(v);
    }

    /// The encoded message.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// One field's value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Varint: integers, enums, bools.
    Uint(u64),
    /// Fixed 32 or 64 bits: not used by this API.
    Fixed,
    /// Length-delimited: strings, bytes, messages.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The integer.
    pub fn uint(self) -> Result<u64, Malformed> {
        match self {
            Value::Uint(v) => Ok(v),
            _ => Err(Malformed),
        }
    }

    /// The integer as protobuf truncates it to a 32-bit field.
    pub fn uint32(self) -> Result<u32, Malformed> {
        self.uint().map(|v| (v & 0xffff_ffff) as u32)
    }

    /// The truth value.
    pub fn boolean(self) -> Result<bool, Malformed> {
        self.uint().map(|v| v != 0)
    }

    /// The bytes.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(v) => Ok(v),
            _ => Err(Malformed),
        }
    }

    /// The bytes as a string; protobuf strings are UTF-8.
    pub fn text(self) -> Result<String, Malformed> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| Malformed)
    }
}

/// A message that is decoded field by field; unknown fields are ignored.
pub trait Message: Default {
    /// Takes one field.
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed>;

    /// Decodes a whole message.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, value) = next_field(&mut rest)?;
            message.field(number, value)?;
        }
        Ok(message)
    }
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Result<(u32, Value<'a>), Malformed> {
    let key = take_varint(rest)?;
    let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
    let value = match key & 7 {
        0 => Value::Uint(take_varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let len = usize::try_from(take_varint(rest)?).map_err(|_| Malformed)?;
            Value::Bytes(take(rest, len)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return Err(Malformed),
    };
    if number == 0 {
        return Err(Malformed);
    }
    Ok((number, value))
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = rest.split_at_checked(len).ok_or(Malformed)?;
    *rest = tail;
    Ok(head)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut v = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        v |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(v);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Default, Debug, PartialEq)]
    struct Pair(u64, String);
    impl Message for Pair {
        fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
            match number {
                1 => self.0 = value.uint()?,
                2 => self.1 = value.text()?,
                _ => {}
            }
            Ok(())
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut w = Writer::new();
        w.uint(1, u64::MAX);
        w.double(9, 0.5);
        w.text(2, "päd");
        assert_eq!(Pair::decode(&w.finish()).unwrap(), Pair(u64::MAX, "päd".into()));
    }

    #[test]
    fn broken_bytes_are_refused() {
        for bytes in [&[0x08][..], &[0x12, 5, b'a'], &[0x00, 1], &[0x0b], &[0xff; 12]] {
            assert_eq!(Pair::decode(bytes), Err(Malformed), "{bytes:x?}");
        }
    }
}
