//! Is the process of a container still that process? A pid alone is reused; with its start time it is unique.
use std::ffi::CStr;
use std::io::Write as _;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

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
fn parse(text: &[u8]) -> Option<Stat> {
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = text.get(close + 2..)?.split(|&byte| byte == b' ');
    let state = *fields.next()?.first()?;
    let start_time = std::str::from_utf8(fields.nth(18)?).ok()?.parse().ok()?;
    Some(Stat { state, start_time })
}

/// Whether the process that was started as `pid` at `start_time` still runs. Start time 0 means unknown.
#[must_use]
pub fn is_alive(pid: i32, start_time: u64) -> bool {
    pid > 0
        && stat(pid).is_ok_and(|stat| stat.is_alive() && (start_time == 0 || stat.start_time == start_time))
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
        let start = stat(pid).map(|stat| stat.start_time);
        assert_eq!(start.map(|start| is_alive(pid, start)), Ok(true));
        assert_eq!(start.map(|start| is_alive(pid, start + 1)), Ok(false));
        assert!(!is_alive(0, 0));
    }
}
