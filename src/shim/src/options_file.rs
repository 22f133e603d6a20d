//! The options of a task, kept in its bundle for the `delete` command, which
//! is given none.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::proto::options::Options;
use crate::proto::wire::Message;

const NAME: &str = "krun-options";
/// Where containers' state is kept unless the options say otherwise.
const STATE: &str = "/run/containerd/krun";

/// Writes the options.
pub fn write(bundle: &Path, options: &Options) -> io::Result<()> {
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(bundle.join(NAME))?;
    io::Write::write_all(&mut file, &options.encode())
}

/// Reads them back; the defaults if there is no file.
pub fn read(bundle: &Path) -> Options {
    fs::read(bundle.join(NAME)).ok().and_then(|bytes| Options::decode(&bytes).ok()).unwrap_or_default()
}

/// The directory that holds the state of a namespace's containers.
pub fn state_root(options: &Options, namespace: &str) -> PathBuf {
    let root = if options.root.is_empty() { STATE } else { options.root.as_str() };
    Path::new(root).join(namespace)
}
