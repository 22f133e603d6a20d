//! From descriptor numbers to owned descriptors, for the parent's side.

extern crate std;

use std::os::fd::{FromRawFd, OwnedFd};

use crate::{Errno, Fd, Result};

/// Takes a descriptor over: the number must not be used by anyone else any
/// more, as with [`crate::fs::close`].
///
/// # Errors
/// EBADF for a number that is not a descriptor's.
pub fn own(fd: Fd) -> Result<OwnedFd> {
    if fd.0 < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: not -1; an open descriptor that the caller gives up. A closed
    // number is no memory unsafety either: system calls answer EBADF.
    Ok(unsafe { OwnedFd::from_raw_fd(fd.0) })
}
