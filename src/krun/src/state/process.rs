//! Is the process of a container still that process?
use std::ffi::CStr;
use std::io::Write as _;
use std::os::fd::AsFd;

use krun_sys::{Fd, fs};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::pidfd::PidFd;

/// The fields of `/proc/PID/stat` that krun uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Field 3: `R`, `S`, `D`, `T`, `Z`, `X`…
    pub state: u8,
    /// Field 22: clock ticks after boot.
    pub start_time: u64,
}

impl Stat {
    /// Neither a zombie nor gone.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads `/proc/PID/stat` (proc_pid_stat(5)); three system calls, no allocation.
///
/// # Errors
/// ENOENT or ESRCH when there is no such process; EPROTO when the text is not as documented.
pub fn stat(pid: i32) -> Result<Stat, Errno> {
    let mut name = [0_u8; 32];
    write!(&mut name[..], "/proc/{pid}/stat").map_err(|_| Errno::ENAMETOOLONG)?;
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| Errno::ENAMETOOLONG)?;
    let file = open(name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut text = [0_u8; 512];
    let length = nix::unistd::read(file.as_fd(), &mut text)?;
    parse(text.get(..length).unwrap_or_default()).ok_or(Errno::EPROTO)
}

/// The process' command name may contain anything, so the fields are counted from the last parenthesis.
pub(crate) fn parse(text: &[u8]) -> Option<Stat> {
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = text.get(close + 2..)?.split(|&byte| byte == b' ');
    let state = *fields.next()?.first()?;
    let start_time = std::str::from_utf8(fields.nth(18)?).ok()?.parse().ok()?;
    Some(Stat { state, start_time })
}

/// pidfs, statfs(2); since Linux 6.9 a pidfd's inode number is never used again.
const PIDFS_MAGIC: u64 = 0x5049_4446;

/// What names a process for good: a pid alone is reused. One of the two numbers is known; the other is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// In krun's pid namespace; 0 for none.
    pub pid: i32,
    /// Clock ticks after boot, where the kernel has no pidfs.
    pub start_time: u64,
    /// The inode number of its pidfds (Linux 6.9): two cheap calls, where procfs makes two directory entries.
    pub inode: u64,
}

impl Identity {
    /// Asks the kernel. Allocates nothing.
    #[must_use]
    pub fn of(pid: i32, pidfd: Fd<'_>) -> Self {
        let inode = match fs::fstatfs_magic(pidfd) {
            Ok(PIDFS_MAGIC) => fs::fstat(pidfd).map_or(0, |st| st.ino),
            _ => 0,
        };
        let start_time = if inode == 0 { stat(pid).map_or(0, |stat| stat.start_time) } else { 0 };
        Self { pid, start_time, inode }
    }

    /// The process, if it still runs. Between opening the pidfd and looking at it the pid can't be reused.
    ///
    /// # Errors
    /// ESRCH when it is gone.
    pub fn open(&self) -> Result<PidFd, Errno> {
        if self.pid <= 0 {
            return Err(Errno::ESRCH);
        }
        let pidfd = PidFd::open(self.pid)?;
        let same = if self.inode == 0 {
            let start = self.start_time;
            stat(self.pid).is_ok_and(|stat| stat.is_alive() && (start == 0 || stat.start_time == start))
        } else {
            pidfd.inode() == Ok(self.inode) && !pidfd.has_exited()
        };
        if same { Ok(pidfd) } else { Err(Errno::ESRCH) }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.open().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_cannot_forge_fields() {
        let text = b"7 (a) Z 1 (b) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1 1\n";
        assert_eq!(parse(text), Some(Stat { state: b'S', start_time: 4242 }));
        assert_eq!(parse(b"7 (a"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn this_process_is_alive_and_pid_reuse_is_seen() {
        let pid = nix::unistd::getpid().as_raw();
        let by_time = Identity { pid, start_time: stat(pid).unwrap().start_time, inode: 0 };
        assert!(by_time.is_alive());
        assert!(!Identity { start_time: by_time.start_time + 1, ..by_time }.is_alive());
        assert!(!Identity::default().is_alive());
        let own = krun_sys::process::pidfd_open(pid).unwrap();
        let told = Identity::of(pid, own.as_fd());
        drop(own);
        assert!(told.is_alive());
        assert!((told.inode == 0) != (told.start_time == 0), "{told:?}");
        if told.inode != 0 {
            assert!(!Identity { inode: told.inode + 1, ..told }.is_alive());
        }
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let pidfd = krun_sys::process::pidfd_open(pid).unwrap();
        let told = Identity::of(pid, pidfd.as_fd());
        fs::poll(pidfd.as_fd(), nix::libc::POLLIN, -1).unwrap();
        assert!(!told.is_alive());
        child.wait().unwrap();
        assert!(!told.is_alive());
    }
}
