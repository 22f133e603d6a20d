//! Namespaces: joined, unshared, named.

use krun_sys::fs::{openat, write};
use krun_sys::process::{setdomainname, sethostname, setns, setsid, unshare};
use krun_sys::{Errno, Fd, keys, libc, net};

use super::channel::{At, Birth, Fail, index};
use crate::plan::{View, flag};
use crate::step::Step;

/// Enters the namespaces that clone3 could not give.
pub fn enter(birth: &mut Birth<'_>) -> Result<(), Fail> {
    let view = birth.view;
    for (i, join) in view.arena.slice(view.plan.joins).iter().enumerate() {
        birth.handed.get(join.fd).and_then(|fd| setns(fd, join.flags)).on(Step::Join, index(i))?;
    }
    if view.has(flag::SETSID) && !view.has(flag::CLONE_LAST) {
        new_session()?;
    }
    if view.has(flag::UNSHARE_CGROUP) {
        #[allow(clippy::cast_sign_loss)] // a flag below bit 31
        unshare(libc::CLONE_NEWCGROUP as u64).at(Step::UnshareCgroup)?;
    }
    if view.has(flag::TIME_NAMESPACE) && !view.has(flag::HELPER) {
        time_namespace(view)?;
    }
    if view.has(flag::LOOPBACK) {
        net::loopback_up().at(Step::Loopback)?;
    }
    Ok(())
}

/// A session of the process's own.
pub fn new_session() -> Result<(), Fail> {
    match setsid() {
        // Already a session's leader.
        Ok(()) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(Fail::new(Step::Setsid, 0, errno)),
    }
}

/// A time namespace's offsets may be written until someone is in it; an execve
/// does not enter it on every kernel, so setns(2) does (time_namespaces(7)).
pub fn time_namespace(view: &View<'_>) -> Result<(), Fail> {
    const CLONE_NEWTIME: u64 = 0x80;
    unshare(CLONE_NEWTIME).at(Step::TimeNamespace)?;
    let offsets = view.arena.cstr(view.plan.time_offsets).to_bytes();
    let open = |path, flags| openat(Fd::CWD, path, flags | libc::O_CLOEXEC, 0).at(Step::TimeNamespace);
    if !offsets.is_empty() {
        let fd = open(c"/proc/self/timens_offsets", libc::O_WRONLY)?;
        write(fd.as_fd(), offsets).at(Step::TimeNamespace)?;
    }
    let own = open(c"/proc/self/ns/time_for_children", libc::O_RDONLY)?;
    setns(own.as_fd(), CLONE_NEWTIME).at(Step::TimeNamespace)
}

/// A session keyring of the container's own, so that it cannot read the
/// caller's keys (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING).
pub fn keyring(birth: &Birth<'_>) -> Result<(), Fail> {
    if !birth.view.has(flag::KEYRING) {
        return Ok(());
    }
    match keys::join_session_keyring(birth.view.arena.cstr(birth.view.plan.keyring)) {
        Ok(key) => {
            // KEY_POS_ALL for the possessor, search for the user: as runc sets it.
            keys::setperm(key, 0x3f0b_0000).at(Step::Keyring)
        }
        // A kernel without keyrings, a filter around krun, or a full quota.
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EACCES) => Ok(()),
        Err(errno) => Err(Fail::new(Step::Keyring, 0, errno)),
    }
}

/// Host name and domain name.
pub fn names(birth: &Birth<'_>) -> Result<(), Fail> {
    let (arena, plan) = (birth.view.arena, birth.view.plan);
    if plan.hostname.is_some() {
        sethostname(arena.cstr(plan.hostname)).at(Step::Hostname)?;
    }
    if plan.domainname.is_some() {
        setdomainname(arena.cstr(plan.domainname)).at(Step::Domainname)?;
    }
    Ok(())
}
