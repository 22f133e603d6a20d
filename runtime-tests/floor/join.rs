//! `floor exec`: a helper joins the container's namespaces and makes the process.

use std::ffi::CStr;

use krun_sys::fs::openat;
use krun_sys::identity::{CapSets, capbset_drop, capset, set_no_new_privs};
use krun_sys::process::{CLONE_CLEAR_SIGHAND, CloneArgs, Side, clone3, pidfd_open, setns};
use krun_sys::{Errno, Fd, libc};

use super::{At, Failed, become_program, wait};

/// CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE
const CAPS: u64 = 1 << 5 | 1 << 10 | 1 << 29;

/// Runs a program in the container of process `pid`; its exit code.
pub fn exec(pid: &CStr, cgroup: &CStr, program: &CStr) -> Result<i32, Failed> {
    let pid = pid.to_str().ok().and_then(|text| text.parse().ok()).ok_or(("pid", Errno::EINVAL))?;
    let target = pidfd_open(pid).at("pidfd_open")?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let dir = openat(Fd::CWD, cgroup, flags, 0).at("open cgroup")?;
    let args = CloneArgs {
        flags: CLONE_CLEAR_SIGHAND,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        cgroup: Some(dir.as_fd()),
    };
    match clone3(args).at("clone3")? {
        Side::Parent { pidfd, .. } => wait(pidfd.as_fd()),
        Side::Child => helper(target.as_fd(), program),
    }
}

fn helper(target: Fd<'_>, program: &CStr) -> Result<i32, Failed> {
    let all = libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP;
    setns(target, u64::from(all.cast_unsigned())).at("setns")?;
    let args = CloneArgs { exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()), ..CloneArgs::default() };
    match clone3(args).at("clone3")? {
        Side::Parent { pidfd, .. } => wait(pidfd.as_fd()),
        Side::Child => {
            set_no_new_privs().at("no_new_privs")?;
            for cap in (0..=40).filter(|cap| CAPS >> cap & 1 == 0) {
                capbset_drop(cap).at("PR_CAPBSET_DROP")?;
            }
            capset(CapSets { effective: CAPS, permitted: CAPS, inheritable: 0 }).at("capset")?;
            Err(become_program(program))
        }
    }
}
