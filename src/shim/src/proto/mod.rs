//! The protobuf messages of containerd's shim API, written out by hand: some
//! twenty small messages need neither a generator nor reflection tables, and
//! the code stays a few pages of memory in every shim of a node.
//!
//! Source of the numbers: containerd's `api/` directory (`task/v2`, `task/v3`,
//! `events`, `bootstrap/v1`, `runc/options`) and cgroups' `metrics.proto`.

pub mod bootstrap;
pub mod events;
pub mod metrics;
pub mod options;
pub mod task;
pub mod ttrpc;
pub mod wire;

use wire::{Malformed, Message, Value, Writer};

/// `google.protobuf.Any`: a message with its type's name.
#[derive(Debug, Default, Clone)]
pub struct Any {
    /// Full name of the message's type, possibly behind a `host/` prefix.
    pub type_url: String,
    /// The encoded message, or JSON for the types of the runtime spec.
    pub value: Vec<u8>,
}

impl Any {
    /// Wraps an encoded message.
    pub fn new(type_url: &str, value: Vec<u8>) -> Self {
        Self { type_url: type_url.to_owned(), value }
    }

    /// The type's name without a `host/` prefix.
    pub fn type_name(&self) -> &str {
        self.type_url.rsplit('/').next().unwrap_or_default()
    }

    /// Encodes the pair.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.text(1, &self.type_url);
        w.bytes(2, &self.value);
        w.finish()
    }
}

impl Message for Any {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.type_url = value.text()?,
            2 => self.value = value.bytes()?.to_vec(),
            _ => {}
        }
        Ok(())
    }
}

/// `google.protobuf.Timestamp`: nanoseconds since 1970 in two fields.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    seconds: u64,
    nanos: u32,
}

impl Timestamp {
    /// The present time.
    pub fn now() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: now.as_secs(), nanos: now.subsec_nanos() }
    }

    /// Encodes the two fields.
    pub fn encode(self) -> Vec<u8> {
        let mut w = Writer::new();
        w.uint(1, self.seconds);
        w.uint(2, u64::from(self.nanos));
        w.finish()
    }
}
