//! Filter, ids and capabilities: from krun's privileges to the container's.

use krun_sys::fs::{chdir, getcwd};
use krun_sys::identity::{
    CapSets, cap_ambient_clear, cap_ambient_raise, capbset_drop, capset, seccomp_set_filter, setgroups,
    setresgid, setresuid,
};
use krun_sys::process::{prctl, prlimit};
use krun_sys::{Errno, Fd, libc};

use super::channel::{At, Birth, Fail, index};
use super::path::{self, Missing, PATH_MAX};
use crate::plan::flag;
use crate::report::kind;
use crate::step::Step;

/// Loads the filter; its listener goes to the parent before anything else is
/// called, since from here on calls may wait for an agent.
pub fn load_filter(birth: &Birth<'_>) -> Result<(), Fail> {
    let seccomp = birth.view.plan.seccomp;
    let filter = birth.view.arena.slice(seccomp.filter);
    if filter.is_empty() {
        return Ok(());
    }
    let listener = seccomp_set_filter(filter, seccomp.flags).at(Step::SeccompLoad)?;
    if seccomp.listener != 0 {
        birth.channel.ask(kind::LISTENER, u64::from(listener.unsigned_abs()), Step::SeccompListener)?;
    }
    Ok(())
}

/// Resource limits; those inside a user namespace are the parent's to set (prlimit(2) wants
/// CAP_SYS_RESOURCE over the host).
pub fn set_limits(birth: &Birth<'_>) -> Result<(), Fail> {
    for (i, limit) in birth.view.arena.slice(birth.view.plan.rlimits).iter().enumerate() {
        prlimit(0, limit.resource, limit.soft, limit.hard).on(Step::Rlimit, index(i))?;
    }
    Ok(())
}

/// Becomes the container's user, with its capabilities, in its directory.
pub fn assume(birth: &Birth<'_>) -> Result<(), Fail> {
    let id = birth.view.plan.identity;
    for cap in 0..=id.last_cap {
        if id.bounding & bit(cap) == 0 {
            capbset_drop(cap).on(Step::CapBounding, cap)?;
        }
    }
    let entered = enter_cwd(birth, false)?;
    prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0).at(Step::KeepCaps)?;
    if !birth.view.has(flag::KEEP_GROUPS) {
        setgroups(birth.view.arena.slice(id.groups)).at(Step::Groups)?;
    }
    setresgid(id.gid).at(Step::Gid)?;
    setresuid(id.uid).at(Step::Uid)?;
    prctl(libc::PR_SET_KEEPCAPS, 0, 0, 0, 0).at(Step::KeepCaps)?;
    if !entered {
        // What root may not enter (a network file system) its owner may.
        enter_cwd(birth, true)?;
    }
    verify_cwd()?;
    capset(CapSets { effective: id.effective, permitted: id.permitted, inheritable: id.inheritable })
        .at(Step::Capset)?;
    cap_ambient_clear().at(Step::CapAmbient)?;
    for cap in (0..=id.last_cap).filter(|cap| id.ambient & bit(*cap) != 0) {
        cap_ambient_raise(cap).on(Step::CapAmbient, cap)?;
    }
    Ok(())
}

fn bit(cap: u32) -> u64 {
    1u64.checked_shl(cap).unwrap_or(0)
}

/// Enters the working directory; `false` if another user has to try.
fn enter_cwd(birth: &Birth<'_>, last_try: bool) -> Result<bool, Fail> {
    let cwd = birth.view.arena.cstr(birth.view.plan.process.cwd);
    match chdir(cwd) {
        Ok(()) => Ok(true),
        Err(Errno::EACCES | Errno::EPERM) if !last_try => Ok(false),
        Err(Errno::ENOENT) if birth.view.has(flag::CREATE_CWD) => {
            let fd = path::open_or_create(Fd::CWD, cwd, Missing::Directory, false).at(Step::CwdCreate)?;
            krun_sys::fs::close(fd);
            chdir(cwd).at(Step::Chdir).map(|()| true)
        }
        Err(errno) => Err(Fail::new(Step::Chdir, 0, errno)),
    }
}

/// A working directory by a leaked descriptor of the host (CVE-2024-21626)
/// is "(unreachable)" or no path at all (getcwd(2)).
#[inline(never)] // its buffer is not for the usual stack frame
fn verify_cwd() -> Result<(), Fail> {
    let mut buf = [0u8; PATH_MAX];
    match getcwd(&mut buf) {
        Ok(_) if buf.first() == Some(&b'/') => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => Err(Fail::new(Step::CwdOutside, 0, Errno::ENOENT)),
        Err(errno) => Err(Fail::new(Step::CwdOutside, 0, errno)),
    }
}
