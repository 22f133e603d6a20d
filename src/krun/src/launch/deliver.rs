//! What callers get besides an exit code: pid file, terminal, pidfd.

use std::fs;
use std::io::Write as _;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::LaunchError;
use super::agent::send_fd;

/// Writes the pid without a newline: to a temporary file, then renamed, since
/// callers watch for the name.
///
/// # Errors
/// The file.
pub fn pid_file(path: &Path, pid: i32) -> Result<(), LaunchError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}"));
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        write!(file, "{pid}")?;
        fs::rename(&temporary, path)
    };
    write().map_err(LaunchError::file("write --pid-file", path))
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
