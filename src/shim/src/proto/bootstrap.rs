//! What `start` and `-info` exchange with containerd over stdin and stdout.

use super::Any;
use super::wire::{Malformed, Message, Value, Writer};

/// `containerd.runtime.bootstrap.v1.BootstrapParams`.
#[derive(Debug, Default)]
pub struct BootstrapParams {
    /// The task's id.
    pub instance_id: String,
    /// containerd's namespace.
    pub namespace: String,
    /// Where events go; TTRPC_ADDRESS before containerd 2.3.
    pub ttrpc_address: String,
    /// containerd's own address; `-address` before 2.3.
    pub grpc_address: String,
    /// Options of the runtime.
    pub extensions: Vec<Any>,
    /// Directory for the shim's socket, if not the default one.
    pub socket_dir: String,
}

impl Message for BootstrapParams {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.instance_id = value.text()?,
            2 => self.namespace = value.text()?,
            5 => self.ttrpc_address = value.text()?,
            6 => self.grpc_address = value.text()?,
            8 => self.extensions.push(Extension::decode(value.bytes()?)?.0),
            9 => self.socket_dir = value.text()?,
            _ => {}
        }
        Ok(())
    }
}

#[derive(Default)]
struct Extension(Any);

impl Message for Extension {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        if number == 1 {
            self.0 = Any::decode(value.bytes()?)?;
        }
        Ok(())
    }
}

/// `BootstrapResult`: version 3, ttrpc.
pub fn bootstrap_result(address: &str) -> Vec<u8> {
    let mut w = Writer::new();
    w.uint(1, 3);
    w.text(2, address);
    w.text(3, "ttrpc");
    w.finish()
}

/// `containerd.types.RuntimeInfo`, with the options echoed back.
pub fn runtime_info(name: &str, version: &str, options: Option<&Any>, features: &[u8]) -> Vec<u8> {
    let mut v = Writer::new();
    v.text(1, version);
    let mut w = Writer::new();
    w.text(1, name);
    w.message(2, &v.finish());
    if let Some(options) = options {
        w.message(3, &options.encode());
    }
    let features =
        Any::new("types.containerd.io/opencontainers/runtime-spec/1/features/Features", features.to_vec());
    w.message(4, &features.encode());
    w.finish()
}
