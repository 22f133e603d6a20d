//! Limits that the parent sets on the waiting child: oom_score_adj, which needs the host's procfs, and
//! inside a user namespace resource limits, which are out of the child's reach there.

use std::ffi::CStr;
use std::io::Write as _;

use krun_spawner::plan::{Plan, Rlimit};
use krun_sys::Errno;
use krun_sys::process::prlimit;
use nix::libc;
use oci_spec::runtime::Process;

use super::LaunchError;
use crate::plan::rlimits;

/// Rlimits and OOM score, prepared so that setting them allocates nothing.
#[derive(Debug, Default)]
pub struct Limits {
    rlimits: Vec<Rlimit>,
    oom_score_adj: Option<i32>,
}

impl Limits {
    /// The limits of a process that are not left to itself by `plan`.
    #[must_use]
    pub fn new(process: &Process, plan: &Plan) -> Limits {
        let rlimits = if plan.rlimits.is_empty() { rlimits(process) } else { Vec::new() };
        Limits { rlimits, oom_score_adj: process.oom_score_adj() }
    }

    /// Sets them on process `pid`. Allocates only to report an error.
    ///
    /// # Errors
    /// The limit that the kernel refuses.
    pub fn set(&self, pid: i32) -> Result<(), LaunchError> {
        for (index, Rlimit { resource, soft, hard, .. }) in self.rlimits.iter().enumerate() {
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
    krun_sys::fs::write(fd.as_fd(), text.get(..len).unwrap_or_default()).map(drop)
}
