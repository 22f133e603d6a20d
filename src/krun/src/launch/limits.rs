//! Limits that the parent sets on the waiting child: inside a user namespace
//! hard limits and oom_score_adj are out of the child's reach.

use std::ffi::CStr;
use std::io::Write as _;

use krun_sys::Errno;
use krun_sys::process::prlimit;
use nix::libc;
use oci_spec::runtime::{PosixRlimitType, Process};

use super::LaunchError;

/// Rlimits and OOM score, prepared so that setting them allocates nothing.
#[derive(Debug, Default)]
pub struct Limits {
    rlimits: Vec<(u32, u64, u64)>,
    oom_score_adj: Option<i32>,
}

impl Limits {
    /// The limits of a process.
    #[must_use]
    pub fn new(process: &Process) -> Limits {
        let rlimits = process.rlimits().iter().flatten();
        Limits {
            rlimits: rlimits.map(|limit| (resource(limit.typ()), limit.soft(), limit.hard())).collect(),
            oom_score_adj: process.oom_score_adj(),
        }
    }

    /// Sets them on process `pid`. Allocates only to report an error.
    ///
    /// # Errors
    /// The limit that the kernel refuses.
    pub fn set(&self, pid: i32) -> Result<(), LaunchError> {
        for (index, (resource, soft, hard)) in self.rlimits.iter().enumerate() {
            prlimit(pid, *resource, *soft, *hard).map_err(|Errno(errno)| {
                krun_sys::window::leave();
                LaunchError::call(
                    format!("process.rlimits[{index}] (soft {soft}, hard {hard})"),
                    "prlimit",
                    errno,
                )
            })?;
        }
        match self.oom_score_adj {
            None => Ok(()),
            Some(score) => set_oom_score(pid, score).map_err(|Errno(errno)| {
                krun_sys::window::leave();
                LaunchError::call(format!("process.oomScoreAdj {score}"), "write", errno)
            }),
        }
    }
}

fn set_oom_score(pid: i32, score: i32) -> krun_sys::Result<()> {
    let mut path = [0u8; 40];
    let mut text = [0u8; 12];
    let too_long = |_| Errno::ENAMETOOLONG;
    write!(&mut path[..], "/proc/{pid}/oom_score_adj").map_err(too_long)?;
    let mut rest = &mut text[..];
    write!(rest, "{score}").map_err(too_long)?;
    let len = 12 - rest.len();
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::EINVAL)?;
    let fd = krun_sys::fs::openat(krun_sys::Fd::CWD, path, libc::O_WRONLY | libc::O_CLOEXEC, 0)?;
    let written = krun_sys::fs::write(fd, text.get(..len).unwrap_or_default());
    krun_sys::fs::close(fd);
    written.map(drop)
}

/// getrlimit(2)
fn resource(kind: PosixRlimitType) -> u32 {
    use PosixRlimitType as T;
    match kind {
        T::RlimitCpu => libc::RLIMIT_CPU,
        T::RlimitFsize => libc::RLIMIT_FSIZE,
        T::RlimitData => libc::RLIMIT_DATA,
        T::RlimitStack => libc::RLIMIT_STACK,
        T::RlimitCore => libc::RLIMIT_CORE,
        T::RlimitRss => libc::RLIMIT_RSS,
        T::RlimitNproc => libc::RLIMIT_NPROC,
        T::RlimitNofile => libc::RLIMIT_NOFILE,
        T::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        T::RlimitAs => libc::RLIMIT_AS,
        T::RlimitLocks => libc::RLIMIT_LOCKS,
        T::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        T::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        T::RlimitNice => libc::RLIMIT_NICE,
        T::RlimitRtprio => libc::RLIMIT_RTPRIO,
        T::RlimitRttime => libc::RLIMIT_RTTIME,
    }
}
