//! A process that can't be mistaken for another one: pidfd_open(2), and what can be learned from it.
use std::os::fd::OwnedFd;
use std::time::Instant;

use krun_sys::{fs, process};
use nix::errno::Errno;

/// An open pidfd.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

fn errno(error: krun_sys::Errno) -> Errno {
    Errno::from_raw(error.0)
}

impl PidFd {
    /// pidfd_open(2), Linux 5.3.
    ///
    /// # Errors
    /// ESRCH when there is no such process.
    pub fn open(pid: i32) -> Result<Self, Errno> {
        process::pidfd_open(pid).map(OwnedFd::from).map(Self).map_err(errno)
    }

    /// Its inode number: unique where the kernel has pidfs (Linux 6.9).
    ///
    /// # Errors
    /// The kernel's, of statx(2).
    pub fn inode(&self) -> Result<u64, Errno> {
        fs::fstat(self.as_fd()).map(|st| st.ino).map_err(errno)
    }

    /// Whether the whole process has ended, reaped or not.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        fs::poll(self.as_fd(), nix::libc::POLLIN, 0).is_ok_and(|events| events != 0)
    }

    fn as_fd(&self) -> krun_sys::Fd<'_> {
        krun_sys::Fd::of(&self.0)
    }

    /// The descriptor, to be kept.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// pidfd_send_signal(2); signal 0 only asks whether the process is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send_signal(&self, signal: i32) -> Result<(), Errno> {
        process::pidfd_send_signal(self.as_fd(), signal).map_err(errno)
    }

    /// Waits until the process has exited; false at the deadline. It need not be our child.
    ///
    /// # Errors
    /// The kernel's, of poll(2).
    pub fn wait_for_exit(&self, deadline: Instant) -> Result<bool, Errno> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis();
            let left = i64::try_from(left).unwrap_or(i64::MAX);
            match fs::poll(self.as_fd(), nix::libc::POLLIN, left).map_err(errno) {
                Ok(0) if Instant::now() >= deadline => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno),
            }
        }
    }
}
