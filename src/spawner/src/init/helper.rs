//! The helper: a process in the host's pid namespace that joins everything
//! first and only then makes the container's process.
//!
//! A process that joined the container's pid namespace before its mount
//! namespace would be visible there as /proc/PID/root: a window on the host.

use krun_sys::process::{self, CloneArgs, Side};
use krun_sys::{Errno, Fd, identity, libc};

use super::channel::{At, Channel, Fail, index};
use super::namespaces;
use crate::plan::{View, flag};
use crate::report::{Report, kind};
use crate::step::Step;

/// Returns in the container's process; the helper itself ends here.
pub fn become_container(view: &View<'_>, channel: &Channel) -> Result<(), Fail> {
    if view.has(flag::AWAIT_CGROUP) {
        channel.ask(kind::CGROUP, 0, Step::Reply)?;
    }
    for (i, join) in view.arena.slice(view.plan.helper_joins).iter().enumerate() {
        process::setns(Fd(join.fd), join.flags).on(Step::HelperJoin, index(i))?;
    }
    // A sibling of the helper, a child of krun: CLONE_PARENT also hands the
    // helper's exit signal on, and any other exit_signal would be EINVAL.
    #[allow(clippy::cast_sign_loss)] // a flag below bit 31
    let flags = view.plan.clone_flags | libc::CLONE_PARENT as u64;
    match process::clone3(CloneArgs { flags, ..CloneArgs::default() }).at(Step::HelperClone)? {
        Side::Parent { pid, .. } => {
            let said =
                channel.say(Report::of(kind::CLONED, u64::from(pid.unsigned_abs())), Step::HelperClone);
            if said.is_err() {
                // Nobody else knows of it.
                let _ = process::kill(pid, libc::SIGKILL);
            }
            said?;
            process::exit(0)
        }
        Side::Child => {}
    }
    if view.has(flag::AWAIT_MAPS) {
        channel.ask(kind::MAPS, 0, Step::Reply)?;
    }
    if view.has(flag::TIME_NAMESPACE) {
        // While this process still is the user who started it, to whom its files
        // in /proc belong: as another one it could not write the offsets.
        namespaces::time_namespace(view)?;
    }
    if view.has(flag::AWAIT_MAPS) {
        process::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0).at(Step::Dumpable)?;
    }
    if view.has(flag::BECOME_ROOT) {
        become_root(view)?;
    }
    Ok(())
}

/// Files that are made from here on belong to the user namespace's root.
fn become_root(view: &View<'_>) -> Result<(), Fail> {
    identity::setresgid(0).at(Step::BecomeRoot)?;
    if !view.has(flag::KEEP_GROUPS) {
        match identity::setgroups(&[]) {
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(Fail::new(Step::BecomeRoot, 0, errno)),
        }
    }
    identity::setresuid(0).at(Step::BecomeRoot)
}
