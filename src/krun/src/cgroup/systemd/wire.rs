//! D-Bus messages as bytes: the little endian half of the D-Bus
//! specification's "Message Protocol", as far as talking to systemd needs it.

/// A value with its D-Bus type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    F64(f64),
    /// `s`
    Str(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `a`, with the elements' signature
    Array(String, Vec<Value>),
    /// `(…)`
    Struct(Vec<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// An array of strings.
    pub fn strings<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        let items = items.into_iter().map(|s| Self::Str(s.to_owned()));
        Self::Array("s".to_owned(), items.collect())
    }

    /// An array of bytes.
    pub fn bytes(items: &[u8]) -> Self {
        Self::Array("y".to_owned(), items.iter().map(|&b| Self::Byte(b)).collect())
    }

    /// The type's signature.
    pub fn signature(&self) -> String {
        let simple = match self {
            Self::Byte(_) => "y",
            Self::Bool(_) => "b",
            Self::I16(_) => "n",
            Self::U16(_) => "q",
            Self::I32(_) => "i",
            Self::U32(_) => "u",
            Self::I64(_) => "x",
            Self::U64(_) => "t",
            Self::F64(_) => "d",
            Self::Str(_) => "s",
            Self::Path(_) => "o",
            Self::Signature(_) => "g",
            Self::Variant(_) => "v",
            Self::Array(element, _) => return format!("a{element}"),
            Self::Struct(fields) => {
                let fields: String = fields.iter().map(Self::signature).collect();
                return format!("({fields})");
            }
        };
        simple.to_owned()
    }
}

/// The alignment of a type, by the first character of its signature.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

/// A message body being written.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn number<const N: usize>(&mut self, bytes: [u8; N]) {
        self.align(N);
        self.bytes.extend_from_slice(&bytes);
    }

    /// Lengths are u32: no message here comes near (the limit is 128 MiB).
    fn length(&mut self, len: usize) {
        self.number(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn type_signature(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    /// Appends a value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(v) => self.bytes.push(*v),
            Value::Bool(v) => self.number(u32::from(*v).to_le_bytes()),
            Value::I16(v) => self.number(v.to_le_bytes()),
            Value::U16(v) => self.number(v.to_le_bytes()),
            Value::I32(v) => self.number(v.to_le_bytes()),
            Value::U32(v) => self.number(v.to_le_bytes()),
            Value::I64(v) => self.number(v.to_le_bytes()),
            Value::U64(v) => self.number(v.to_le_bytes()),
            Value::F64(v) => self.number(v.to_le_bytes()),
            Value::Str(v) | Value::Path(v) => self.string(v),
            Value::Signature(v) => self.type_signature(v),
            Value::Variant(v) => {
                self.type_signature(&v.signature());
                self.value(v);
            }
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Array(element, items) => self.array(element, items),
        }
    }

    /// The length of an array counts from its first element, after padding.
    fn array(&mut self, element: &str, items: &[Value]) {
        self.length(0);
        let at = self.bytes.len() - 4;
        self.align(alignment(element));
        let start = self.bytes.len();
        items.iter().for_each(|item| self.value(item));
        let len = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&len.to_le_bytes());
        }
    }
}

/// Where a method call goes.
#[derive(Debug, Clone, Copy)]
pub struct Method<'a> {
    /// The bus name; `None` on a connection without a bus.
    pub destination: Option<&'a str>,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
}

/// The bytes of a method call. `reply` false sets NO_REPLY_EXPECTED.
pub fn call(method: Method<'_>, serial: u32, args: &[Value], reply: bool) -> Vec<u8> {
    let mut body = Writer::default();
    args.iter().for_each(|arg| body.value(arg));
    let signature: String = args.iter().map(Value::signature).collect();
    let mut fields = vec![
        (1, Value::Path(method.path.to_owned())),
        (2, Value::Str(method.interface.to_owned())),
        (3, Value::Str(method.member.to_owned())),
    ];
    if let Some(name) = method.destination {
        fields.push((6, Value::Str(name.to_owned())));
    }
    if !signature.is_empty() {
        fields.push((8, Value::Signature(signature)));
    }
    let mut message = Writer::default();
    message.bytes.extend_from_slice(&[b'l', 1, u8::from(!reply), 1]);
    message.length(body.bytes.len());
    message.number(serial.to_le_bytes());
    let fields = fields
        .into_iter()
        .map(|(code, value)| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]));
    message.value(&Value::Array("(yv)".to_owned(), fields.collect()));
    message.align(8);
    message.bytes.extend_from_slice(&body.bytes);
    message.bytes
}

/// What kind of message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer to a call.
    Return,
    /// An error in answer to a call.
    Error,
    /// A signal.
    Signal,
    /// Anything else; ignored.
    Other,
}

/// A received message.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Which call it answers.
    pub reply_to: u32,
    /// The signal's name, or the error's.
    pub name: String,
    /// The arguments, as far as they are strings and numbers.
    pub body: Vec<Value>,
}

/// Length of the rest of a message, after its first 16 bytes; `None` if these
/// start no little endian message of a sane size.
pub fn rest_len(head: &[u8; 16]) -> Option<usize> {
    let [b'l', _, _, 1, rest @ ..] = head else {
        return None;
    };
    let mut reader = Reader { bytes: rest, at: 0 };
    let body = reader.u32()? as usize;
    reader.u32()?;
    let fields = reader.u32()? as usize;
    let len = fields.next_multiple_of(8).checked_add(body)?;
    (len <= 1 << 24).then_some(len)
}

/// Parses a whole message; `None` if it is malformed.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let kind = match bytes.get(1)? {
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    let mut reader = Reader { bytes, at: 12 };
    let end = reader.u32()? as usize + 16;
    let mut message = Message { kind, reply_to: 0, name: String::new(), body: Vec::new() };
    let mut signature = String::new();
    while reader.at < end {
        reader.align(8);
        let code = reader.byte()?;
        match (code, reader.variant()?) {
            (3 | 4, Value::Str(name)) => message.name = name,
            (5, Value::U32(serial)) => message.reply_to = serial,
            (8, Value::Signature(text)) => signature = text,
            _ => {}
        }
    }
    reader.align(8);
    // Types beyond the simple ones end the list: nothing here reads them.
    for kind in signature.chars() {
        match reader.simple(kind) {
            Some(value) => message.body.push(value),
            None => break,
        }
    }
    Some(message)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N);
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    fn text(&mut self, len: usize) -> Option<String> {
        let text = String::from_utf8(self.take(len)?.to_vec()).ok()?;
        self.byte()?;
        Some(text)
    }

    fn simple(&mut self, kind: char) -> Option<Value> {
        Some(match kind {
            'y' => Value::Byte(self.byte()?),
            'b' => Value::Bool(self.u32()? != 0),
            'n' => Value::I16(i16::from_le_bytes(self.number()?)),
            'q' => Value::U16(u16::from_le_bytes(self.number()?)),
            'i' => Value::I32(i32::from_le_bytes(self.number()?)),
            'u' => Value::U32(self.u32()?),
            'x' => Value::I64(i64::from_le_bytes(self.number()?)),
            't' => Value::U64(u64::from_le_bytes(self.number()?)),
            'd' => Value::F64(f64::from_le_bytes(self.number()?)),
            's' | 'o' => {
                let len = self.u32()? as usize;
                let text = self.text(len)?;
                if kind == 's' { Value::Str(text) } else { Value::Path(text) }
            }
            'g' => {
                let len = usize::from(self.byte()?);
                Value::Signature(self.text(len)?)
            }
            'v' => self.variant()?,
            _ => return None,
        })
    }

    /// A variant of a simple type, unwrapped.
    fn variant(&mut self) -> Option<Value> {
        let len = usize::from(self.byte()?);
        let signature = self.text(len)?;
        let mut kinds = signature.chars();
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) if kind != 'v' => self.simple(kind),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
