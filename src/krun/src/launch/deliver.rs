//! What callers get besides an exit code: pid file, terminal, pidfd.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::LaunchError;
use super::agent::send_fd;

/// How often another name is tried for a temporary file.
const TRIES: u32 = 16;

/// Writes the pid without a newline: to a temporary file, then renamed, since callers watch for the name.
///
/// # Errors
/// The file.
pub fn pid_file(path: &Path, pid: i32) -> Result<(), LaunchError> {
    let write = || {
        let (temporary, mut file) = temporary_beside(path)?;
        let done = write!(file, "{pid}").and_then(|()| fs::rename(&temporary, path));
        if done.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        done
    };
    write().map_err(LaunchError::file("write --pid-file", path))
}

/// A new file in the directory of `path`, which others may write to: what they have put there is neither followed nor
/// written to (O_EXCL, open(2)), and they can't guess the name to be in the way.
fn temporary_beside(path: &Path) -> std::io::Result<(PathBuf, fs::File)> {
    let mut tries = 0;
    loop {
        // The keys of a hash map are random.
        let random = RandomState::new().build_hasher().finish();
        let temporary = path.with_file_name(format!(".krun-pid-{random:016x}"));
        match fs::File::options().write(true).create_new(true).open(&temporary) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
            opened => return opened.map(|file| (temporary, file)),
        }
    }
}

/// One message with a name and exactly one descriptor.
///
/// # Errors
/// The socket.
pub fn over_socket(
    what: &'static str,
    path: &Path,
    name: &str,
    fd: BorrowedFd<'_>,
) -> Result<(), LaunchError> {
    let socket = UnixStream::connect(path).map_err(LaunchError::file(what, path))?;
    send_fd(&socket, name.as_bytes(), fd.as_raw_fd())
        .map_err(|errno| LaunchError::call(format!("{what} {}", path.display()), "sendmsg", errno as i32))
}
