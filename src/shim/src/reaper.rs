//! The shim is a subreaper: what a container's processes leave behind becomes
//! its child.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::event_loop::{ProcessKey, Shim};
use crate::task::lifecycle;

/// Collects every child that has ended. A process that the shim knows is
/// collected as such: its exit status is somebody's answer.
pub fn reap(shim: &mut Shim) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Some(pid) = waitid(Id::All, look).ok().and_then(|status| status.pid()) {
        let known = find(shim, pid).is_some_and(|key| lifecycle::collect(shim, &key));
        if !known && waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG).is_err() {
            return;
        }
    }
}

fn find(shim: &Shim, pid: Pid) -> Option<ProcessKey> {
    let pid = u32::try_from(pid.as_raw()).ok()?;
    shim.tasks.iter().find_map(|(id, task)| {
        let (exec_id, _) = task.processes.iter().find(|(exec_id, live)| {
            live.pidfd.is_some() && task.model.state(exec_id).is_ok_and(|(p, ..)| p == pid)
        })?;
        Some(ProcessKey { id: id.clone(), exec_id: exec_id.clone() })
    })
}

/// Ends a child that was asked to and didn't; a pid that is no child of ours
/// any more is left alone.
pub fn kill_child(pid: i32) {
    let pid = Pid::from_raw(pid);
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    if matches!(waitid(Id::Pid(pid), look), Ok(WaitStatus::StillAlive)) {
        let _ = kill(pid, Signal::SIGKILL);
    }
}
