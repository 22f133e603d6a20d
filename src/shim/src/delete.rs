//! `delete`: cleans up after a shim that died.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::Cli;
use crate::options_file;
use crate::proto::Timestamp;
use crate::proto::task::delete_response;
use crate::runtime;

/// Exit status of a container whose shim died: 128 + SIGKILL.
const KILLED: u32 = 137;

/// Removes the container whatever state it is in, and answers as the shim
/// would have. What can't be removed is no error: the bundle goes anyway, and
/// containerd would only try again.
pub fn delete(cli: &Cli) -> io::Result<()> {
    let bundle = if cli.bundle.is_empty() { bundle_beside(&cli.id)? } else { PathBuf::from(&cli.bundle) };
    let options = options_file::read(&bundle);
    let root = options_file::state_root(&options, &cli.namespace);
    let pid = runtime::force_delete(&root, &cli.id, &bundle);
    io::stdout().write_all(&delete_response(pid, KILLED, Timestamp::now()))
}

/// The bundle of another container of the same namespace: containerd runs this
/// in one of them.
fn bundle_beside(id: &str) -> io::Result<PathBuf> {
    let here = std::env::current_dir()?;
    Ok(here.parent().unwrap_or(Path::new("/")).join(id))
}
