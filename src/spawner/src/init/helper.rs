//! The helper: a process in the host's pid namespace that joins everything
//! first and only then makes the container's process.
//!
//! A process that joined the container's pid namespace before its mount
//! namespace would be visible there as /proc/PID/root: a window on the host.
//!
//! For a process of an existing container (CLONE_LAST) the helper goes through the whole story of a birth and
//! makes the process at its end; for a new container, whose procfs has to be mounted from within its pid
//! namespace, it makes the process as soon as it has joined.

use krun_sys::handed::Handed;
use krun_sys::process::{self, CloneArgs};
use krun_sys::{Errno, identity as ids, libc};

use super::channel::{At, Birth, Channel, Fail, index};
use super::{identity, namespaces};
use crate::plan::{View, flag};
use crate::report::{Report, kind};
use crate::step::Step;

/// Joins the namespaces. The helper stays in the host's pid namespace: only its children enter the container's.
pub fn join(view: &View<'_>, channel: &Channel, handed: &Handed) -> Result<(), Fail> {
    if view.has(flag::AWAIT_CGROUP) {
        channel.ask(kind::CGROUP, 0, Step::Reply)?;
    }
    for (i, join) in view.arena.slice(view.plan.helper_joins).iter().enumerate() {
        handed.get(join.fd).and_then(|fd| process::setns(fd, join.flags)).on(Step::HelperJoin, index(i))?;
    }
    if view.has(flag::CLONE_LAST) && view.has(flag::BECOME_ROOT) {
        become_root(view)?;
    }
    Ok(())
}

/// Returns in the process of a new container, which still has to be built.
pub fn become_container(view: &View<'_>, channel: &Channel) -> Result<(), Fail> {
    identity::drop_unneeded(view)?;
    clone_process(view, channel)?;
    if view.has(flag::AWAIT_MAPS) {
        channel.ask(kind::MAPS, 0, Step::Reply)?;
    }
    if view.has(flag::TIME_NAMESPACE) {
        // While this process still is the user who started it, to whom its files
        // in /proc belong: as another one it could not write the offsets.
        namespaces::time_namespace(view)?;
    }
    if view.has(flag::AWAIT_MAPS) {
        process::set_dumpable(false).at(Step::Dumpable)?;
        // A new user namespace has given it all capabilities there.
        identity::drop_unneeded(view)?;
    }
    if view.has(flag::BECOME_ROOT) {
        become_root(view)?;
    }
    Ok(())
}

/// Returns in a process of an existing container. The helper has done all that needs privileges, out of sight of
/// the container: the new process is in its pid namespace and never had more than its program will have.
pub fn become_process(birth: &Birth<'_>) -> Result<(), Fail> {
    clone_process(birth.view, birth.channel)
}

/// Clones the process that the helper is for; the helper itself ends here.
fn clone_process(view: &View<'_>, channel: &Channel) -> Result<(), Fail> {
    // A sibling of the helper, a child of krun: CLONE_PARENT also hands the
    // helper's exit signal on, and any other exit_signal would be EINVAL.
    #[allow(clippy::cast_sign_loss)] // a flag below bit 31
    let flags = view.plan.clone_flags | libc::CLONE_PARENT as u64;
    match process::clone3_by_pid(CloneArgs { flags, ..CloneArgs::default() }).at(Step::HelperClone)? {
        Some(pid) => {
            let said =
                channel.say(Report::of(kind::CLONED, u64::from(pid.unsigned_abs())), Step::HelperClone);
            if said.is_err() {
                // Nobody else knows of it.
                let _ = process::kill(pid, libc::SIGKILL);
            }
            said?;
            process::exit(0)
        }
        None => Ok(()),
    }
}

/// Files that are made from here on belong to the user namespace's root.
fn become_root(view: &View<'_>) -> Result<(), Fail> {
    ids::setresgid(0).at(Step::BecomeRoot)?;
    if !view.has(flag::KEEP_GROUPS) {
        match ids::setgroups(&[]) {
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(Fail::new(Step::BecomeRoot, 0, errno)),
        }
    }
    ids::setresuid(0).at(Step::BecomeRoot)
}
