//! Filter, ids and capabilities: from krun's privileges to the container's.

use krun_sys::fs::{chdir, getcwd};
use krun_sys::identity::{
    CapSets, cap_ambient_clear, cap_ambient_raise, capbset_drop, capset, seccomp_set_filter, setgroups,
    setresgid, setresuid,
};
use krun_sys::process::{prlimit, set_keepcaps};
use krun_sys::{Errno, Fd, libc};

use super::channel::{At, Birth, Fail, index};
use super::path::{self, Missing, PATH_MAX};
use crate::plan::{View, flag};
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
    if let Some(listener) = listener {
        let number = u64::from(listener.as_fd().number().unsigned_abs());
        let asked = birth.channel.ask(kind::LISTENER, number, Step::SeccompListener);
        if asked.is_err() {
            // The filter may forbid close(2), and what failed is still to be said.
            listener.leak();
        }
        asked?;
    }
    Ok(())
}

/// Gives up what was kept for the filter: a filter without no_new_privs takes CAP_SYS_ADMIN (seccomp(2)), and an
/// exec'd process sets its scheduling itself.
pub fn settle(birth: &Birth<'_>) -> Result<(), Fail> {
    let id = birth.view.plan.identity;
    if id.kept & !id.permitted == 0 {
        return Ok(());
    }
    capset(CapSets { effective: id.effective, permitted: id.permitted, inheritable: id.inheritable })
        .at(Step::Capset)
}

/// Gives up what building a container does not take, before others in its pid namespace can see the process: with
/// CAP_SYS_PTRACE they may take it over.
pub fn drop_unneeded(view: &View<'_>) -> Result<(), Fail> {
    let building = view.plan.identity.building;
    if building == 0 {
        return Ok(());
    }
    capset(CapSets { effective: building, permitted: building, inheritable: 0 }).at(Step::Capset)
}

/// Resource limits; those inside a user namespace are the parent's to set (prlimit(2) wants
/// CAP_SYS_RESOURCE over the host).
pub fn set_limits(birth: &Birth<'_>) -> Result<(), Fail> {
    set_each(birth, |resource| resource != NPROC || !birth.view.has(flag::CLONE_LAST))
}

/// The limit on the user's processes where the helper makes the process: set before, the helper would count too.
pub fn set_process_limit(birth: &Birth<'_>) -> Result<(), Fail> {
    set_each(birth, |resource| resource == NPROC)
}

#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "an int for musl")]
const NPROC: u32 = libc::RLIMIT_NPROC as u32;

fn set_each(birth: &Birth<'_>, which: impl Fn(u32) -> bool) -> Result<(), Fail> {
    for (i, limit) in birth.view.arena.slice(birth.view.plan.rlimits).iter().enumerate() {
        if which(limit.resource) {
            prlimit(0, limit.resource, limit.soft, limit.hard).on(Step::Rlimit, index(i))?;
        }
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
    set_keepcaps(true).at(Step::KeepCaps)?;
    if !birth.view.has(flag::KEEP_GROUPS) {
        setgroups(birth.view.arena.slice(id.groups)).at(Step::Groups)?;
    }
    setresgid(id.gid).at(Step::Gid)?;
    setresuid(id.uid).at(Step::Uid)?;
    set_keepcaps(false).at(Step::KeepCaps)?;
    if !entered {
        // What root may not enter (a network file system) its owner may.
        enter_cwd(birth, true)?;
    }
    verify_cwd()?;
    capset(CapSets {
        effective: id.effective | id.kept,
        permitted: id.permitted | id.kept,
        inheritable: id.inheritable,
    })
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
            drop(path::open_or_create(Fd::CWD, cwd, Missing::Directory, false).at(Step::CwdCreate)?);
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
