//! The shim is a subreaper: what a container's processes leave behind becomes
//! its child.

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::event_loop::{ProcessKey, Shim};
use crate::task::lifecycle;

/// Which children a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// Every thread's.
    All,
    /// Those of this thread, the first of its process: orphans become its
    /// children, and so do those of a worker that has left. It makes none.
    Inherited,
}

/// Collects every child that has ended. A process that the shim knows is
/// collected as such: its exit status is somebody's answer.
pub fn reap(shim: &mut Shim, whose: Children) {
    let mut look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    look.set(WaitPidFlag::__WNOTHREAD, whose == Children::Inherited);
    while let Some(pid) = waitid(Id::All, look).ok().and_then(|status| status.pid()) {
        // A worker tells what it has made before it leaves.
        shim.finish_jobs();
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
