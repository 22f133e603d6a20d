//! A process that can't be mistaken for another one: pidfd_open(2), checked against the start time in the state.
use std::time::Instant;

use krun_sys::{Fd, fs, process};
use nix::errno::Errno;

/// An open pidfd.
#[derive(Debug)]
pub struct PidFd(Fd);

impl Drop for PidFd {
    fn drop(&mut self) {
        fs::close(self.0);
    }
}

fn errno(error: krun_sys::Errno) -> Errno {
    Errno::from_raw(error.0)
}

impl PidFd {
    /// pidfd_open(2), Linux 5.3.
    ///
    /// # Errors
    /// ESRCH when there is no such process.
    pub fn open(pid: i32) -> Result<Self, Errno> {
        process::pidfd_open(pid).map(Self).map_err(errno)
    }

    /// The process that was started as `pid` at `start_time`, if it still runs. Between opening the pidfd and looking at
    /// the start time the pid can't be reused.
    ///
    /// # Errors
    /// ESRCH when it is gone.
    pub fn open_started(pid: i32, start_time: u64) -> Result<Self, Errno> {
        let pidfd = Self::open(pid)?;
        if crate::state::process::is_alive(pid, start_time) { Ok(pidfd) } else { Err(Errno::ESRCH) }
    }

    /// pidfd_send_signal(2); signal 0 only asks whether the process is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send_signal(&self, signal: i32) -> Result<(), Errno> {
        process::pidfd_send_signal(self.0, signal).map_err(errno)
    }

    /// Waits until the process has exited; false at the deadline. It need not be our child.
    ///
    /// # Errors
    /// The kernel's, of poll(2).
    pub fn wait_for_exit(&self, deadline: Instant) -> Result<bool, Errno> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis();
            let left = i64::try_from(left).unwrap_or(i64::MAX);
            match fs::poll(self.0, nix::libc::POLLIN, left).map_err(errno) {
                Ok(0) if Instant::now() >= deadline => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno),
            }
        }
    }
}
