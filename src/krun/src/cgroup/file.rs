//! Reading and writing one interface file, relative to a cgroup's directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// Opens the cgroup directory `path`.
///
/// # Errors
/// The errno of open(2).
pub fn open_dir(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(path, flags, Mode::empty())
}

/// Opens the interface file `name` of the cgroup `dir`.
///
/// # Errors
/// The errno of openat(2); ENOENT when the controller is not enabled.
pub fn open_at<P: ?Sized + NixPath>(dir: BorrowedFd<'_>, name: &P, flags: OFlag) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    openat(dir, name, flags, Mode::empty())
}

/// Writes `value` to the interface file `name` in one write(2).
///
/// # Errors
/// The errno of openat(2) or write(2).
pub fn write_at(dir: BorrowedFd<'_>, name: &str, value: &[u8]) -> Result<(), Errno> {
    let file = open_at(dir, name, OFlag::O_WRONLY)?;
    loop {
        match nix::unistd::write(file.as_fd(), value) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reads the start of the interface file `name` into `buf`: enough for the
/// files with one short line.
///
/// # Errors
/// The errno of openat(2) or read(2).
pub fn read_short<'a, P: ?Sized + NixPath>(
    dir: BorrowedFd<'_>,
    name: &P,
    buf: &'a mut [u8],
) -> Result<&'a str, Errno> {
    let file = open_at(dir, name, OFlag::O_RDONLY)?;
    let len = read_once(file.as_fd(), buf)?;
    let bytes = buf.get(..len).unwrap_or_default();
    std::str::from_utf8(bytes).map(str::trim_end).map_err(|_| Errno::EILSEQ)
}

/// Reads the whole interface file `name`.
///
/// # Errors
/// The errno of openat(2) or read(2).
pub fn read_at(dir: BorrowedFd<'_>, name: &str) -> Result<String, Errno> {
    let file = open_at(dir, name, OFlag::O_RDONLY)?;
    let mut text = Vec::new();
    let mut buf = [0; 4096];
    loop {
        let len = read_once(file.as_fd(), &mut buf)?;
        if len == 0 {
            return String::from_utf8(text).map_err(|_| Errno::EILSEQ);
        }
        text.extend_from_slice(buf.get(..len).unwrap_or_default());
    }
}

/// read(2), again after a signal.
pub(super) fn read_once(file: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match nix::unistd::read(file, buf) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}
