//! A user namespace that nobody lives in, only to carry the id maps of a mount (mount_setattr(2), "ID-mapped mounts").
use std::fs::File;
use std::os::fd::OwnedFd;

use krun_sys::libc;
use krun_sys::process::{self, CloneArgs, Side};
use nix::errno::Errno;

/// Why there is no such namespace.
#[derive(Debug, thiserror::Error)]
pub enum UsernsError<E> {
    /// Its process can't be made, or its namespace can't be opened.
    #[error("{call}")]
    Call {
        /// The system call.
        call: &'static str,
        /// Why.
        source: Errno,
    },
    /// Its maps can't be written.
    #[error("write the id maps")]
    Maps(E),
}

/// Makes a user namespace, which lives as long as the descriptor. A child stays in it while `write_maps` writes the
/// maps of its pid. It is killed then, and when its parent dies before that.
///
/// # Errors
/// [`UsernsError`].
pub fn user_namespace<E>(write_maps: impl FnOnce(i32) -> Result<(), E>) -> Result<OwnedFd, UsernsError<E>> {
    let flags = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
    let parent = process::getpid();
    let refused = |call| move |e: krun_sys::Errno| UsernsError::Call { call, source: Errno::from_raw(e.0) };
    // Without an exit signal the child is nobody's business but ours.
    match process::clone3(CloneArgs { flags, ..CloneArgs::default() }).map_err(refused("clone3"))? {
        // Any thread may hold any lock in this copy: system calls only.
        Side::Child => stay(parent),
        Side::Parent { pid, pidfd } => {
            let opened = write_maps(pid).map_err(UsernsError::Maps).and_then(|()| {
                let namespace = File::open(format!("/proc/{pid}/ns/user")).map_err(|error| {
                    let source = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                    UsernsError::Call { call: "open ns/user", source }
                })?;
                Ok(namespace.into())
            });
            let _ = process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
            let _ = process::waitid_pidfd(pidfd.as_fd(), 0);
            opened
        }
    }
}

/// Waits to be killed; ends by itself if the parent has died before that could be arranged (prctl(2)).
fn stay(parent: i32) -> ! {
    let asked = process::set_pdeathsig(libc::SIGKILL);
    if asked.is_ok() && process::getppid() == parent {
        krun_sys::fs::sleep(-1);
    }
    process::exit(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Whoever is not the child of `parent` has lost its parent already.
    #[test]
    fn a_child_whose_parent_is_gone_does_not_stay() {
        let args = CloneArgs::default();
        match process::clone3(args).unwrap() {
            Side::Child => stay(0),
            Side::Parent { pidfd, .. } => {
                let ended = krun_sys::fs::poll(pidfd.as_fd(), libc::POLLIN, 10_000).unwrap();
                let _ = process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
                let _ = process::waitid_pidfd(pidfd.as_fd(), 0);
                assert_ne!(ended, 0, "it stayed");
            }
        }
    }

    /// The parent is killed while its child waits.
    #[test]
    fn a_child_whose_parent_is_killed_does_not_stay() {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let args = CloneArgs::default();
        match process::clone3(args).unwrap() {
            Side::Child => {
                let _ = user_namespace(|_| -> Result<(), Errno> { process::exit(0) });
                process::exit(1)
            }
            Side::Parent { pidfd, .. } => {
                // Both have the pipe's other end; it is closed when the second has ended.
                drop(write);
                let ended = krun_sys::fs::poll(krun_sys::Fd::of(&read), 0, 10_000);
                let _ = process::waitid_pidfd(pidfd.as_fd(), 0);
                assert_ne!(ended.unwrap(), 0, "it stayed");
            }
        }
    }
}
