//! `-info`: what this runtime is and can do.

use std::io::{self, Read, Write};

use crate::proto::Any;
use crate::proto::bootstrap::runtime_info;
use crate::proto::options::Options;
use crate::proto::wire::Message;
use crate::runtime;

/// Name of the runtime, as containerd derives the program's from it.
pub const NAME: &str = "io.containerd.krun.v2";

/// Reads options from stdin and writes RuntimeInfo to stdout.
pub fn info() -> io::Result<()> {
    let mut input = Vec::new();
    io::stdin().take(1 << 20).read_to_end(&mut input)?;
    let options = Any::decode(&input).ok().filter(Options::is_options);
    let info = runtime_info(NAME, env!("CARGO_PKG_VERSION"), options.as_ref(), &runtime::features());
    io::stdout().write_all(&info)
}
