//! ttrpc: requests, responses and the frame around them (ttrpc's PROTOCOL.md).

use super::wire::{Malformed, Message, Value, Writer};

/// Bytes of a frame's header.
pub const HEADER: usize = 10;
/// Largest payload that a peer may send (ttrpc's `messageLengthMax`).
pub const MAX_PAYLOAD: usize = 4 << 20;
/// Frame type of a request.
pub const REQUEST: u8 = 1;
/// Frame type of a response.
pub const RESPONSE: u8 = 2;

/// gRPC's status codes, as far as a shim answers with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    AlreadyExists = 6,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
}

/// A refusal: what a client sees instead of a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The machine-readable half.
    pub code: Code,
    /// The text for people.
    pub message: String,
}

impl Status {
    /// A refusal with its reason.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<Malformed> for Status {
    fn from(e: Malformed) -> Self {
        Self::new(Code::InvalidArgument, e.to_string())
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Bytes that follow.
    pub len: usize,
    /// The call; odd numbers are the client's.
    pub stream: u32,
    /// [`REQUEST`] or [`RESPONSE`].
    pub kind: u8,
}

impl Header {
    /// Reads the ten bytes at the head of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, kind, _flags] = *bytes.first_chunk::<HEADER>()?;
        Some(Self {
            len: u32::from_be_bytes([a, b, c, d]) as usize,
            stream: u32::from_be_bytes([e, f, g, h]),
            kind,
        })
    }
}

/// Appends a frame to `out`.
pub fn frame(out: &mut Vec<u8>, stream: u32, kind: u8, payload: &[u8]) {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(payload);
}

/// `ttrpc.Request`.
#[derive(Debug, Default)]
pub struct Request {
    /// Full name of the service.
    pub service: String,
    /// Name of the method.
    pub method: String,
    /// The encoded argument.
    pub payload: Vec<u8>,
}

impl Request {
    /// Encodes a call that gives up after `timeout_ns`; metadata carries the
    /// containerd namespace.
    pub fn encode(&self, timeout_ns: u64, namespace: &str) -> Vec<u8> {
        let mut w = Writer::new();
        w.text(1, &self.service);
        w.text(2, &self.method);
        w.bytes(3, &self.payload);
        w.uint(4, timeout_ns);
        let mut pair = Writer::new();
        pair.text(1, "containerd-namespace-ttrpc");
        pair.text(2, namespace);
        w.message(5, &pair.finish());
        w.finish()
    }
}

impl Message for Request {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.service = value.text()?,
            2 => self.method = value.text()?,
            3 => self.payload = value.bytes()?.to_vec(),
            _ => {}
        }
        Ok(())
    }
}

/// Encodes a `ttrpc.Response`.
pub fn response(result: Result<Vec<u8>, Status>) -> Vec<u8> {
    let mut w = Writer::new();
    match result {
        Ok(payload) => w.bytes(2, &payload),
        Err(status) => {
            let mut s = Writer::new();
            s.uint(1, status.code as u64);
            s.text(2, &status.message);
            w.message(1, &s.finish());
        }
    }
    w.finish()
}

/// A `ttrpc.Response` as the events client reads it: only the status matters.
#[derive(Debug, Default)]
pub struct Reply {
    /// gRPC code; 0 is success.
    pub code: u32,
}

impl Message for Reply {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        #[derive(Default)]
        struct Code(u32);
        impl Message for Code {
            fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
                if number == 1 {
                    self.0 = value.uint32()?;
                }
                Ok(())
            }
        }
        if number == 1 {
            self.code = Code::decode(value.bytes()?)?.0;
        }
        Ok(())
    }
}
