//! Ids and capabilities.

use std::str::FromStr;

use krun_spawner::plan::{Identity, flag, sched_flag};
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, PosixRlimitType, Process};

use super::{PlanBuf, PlanError, set};
use crate::host::Facts;

/// runc's words, and why (user_namespaces(7)).
const NO_GROUPS: &str = "cannot set any additional groups in a rootless container: \
                         setgroups is denied in its user namespace";

/// Plans who the process is. In a user namespace of its own it has every
/// capability to choose from, otherwise what krun has. Without `capabilities` it has none, as with runc.
///
/// # Errors
/// Additional groups where setgroups(2) is denied; the own group is there anyway.
pub fn plan(buf: &mut PlanBuf, process: &Process, facts: &Facts, in_user: bool) -> Result<(), PlanError> {
    let user = process.user();
    let groups = user.additional_gids().as_deref().unwrap_or_default();
    if buf.plan.flags & flag::KEEP_GROUPS != 0 && groups.iter().any(|group| *group != user.gid()) {
        return Err(PlanError::conflict("process.user.additionalGids", NO_GROUPS));
    }
    let all = mask_up_to(facts.last_cap);
    let available = if in_user { all } else { facts.permitted & all };
    let caps = process.capabilities().as_ref();
    let set_of = |which: Option<&Capabilities>| which.map_or(0, mask) & available;
    buf.plan.identity = Identity {
        uid: user.uid(),
        gid: user.gid(),
        umask: user.umask().unwrap_or(0o022),
        last_cap: facts.last_cap,
        groups: buf.slice(groups),
        bounding: set_of(caps.and_then(|caps| caps.bounding().as_ref())),
        effective: set_of(caps.and_then(|caps| caps.effective().as_ref())),
        permitted: set_of(caps.and_then(|caps| caps.permitted().as_ref())),
        inheritable: set_of(caps.and_then(|caps| caps.inheritable().as_ref())),
        ambient: 0,
        kept: 0,
        building: 0,
    };
    if let Some(caps) = caps {
        refuse_beyond_permitted(caps, buf.plan.identity)?;
    }
    let id = &mut buf.plan.identity;
    // Only what is permitted and inheritable can be ambient (capabilities(7));
    // for the rest runc warns, and so does krun.
    let ambient = caps.and_then(|caps| caps.ambient().as_ref()).map_or(0, mask) & all;
    id.ambient = ambient & id.permitted & id.inheritable;
    if ambient != id.ambient {
        warn_of_ambient(ambient & !id.ambient);
    }
    set(buf, flag::NO_NEW_PRIVS, process.no_new_privileges() == Some(true));
    Ok(())
}

/// Plans what the process keeps beyond its program's capabilities, and until when.
///
/// A filter without no_new_privs takes CAP_SYS_ADMIN to load (seccomp(2)); a process of exec, which is made last,
/// sets its scheduling itself (sched_setattr(2), ioprio_set(2)), and its RLIMIT_NPROC.
pub fn keep(buf: &mut PlanBuf, process: &Process, facts: &Facts, in_user: bool) {
    let plan = &mut buf.plan;
    let available = if in_user { mask_up_to(facts.last_cap) } else { facts.permitted };
    let mut kept = 0;
    if !plan.seccomp.filter.is_empty() && plan.flags & flag::NO_NEW_PRIVS == 0 {
        kept |= caps::Capability::CAP_SYS_ADMIN.bitmask();
    }
    if plan.flags & flag::CLONE_LAST != 0
        && plan.sched.set & (sched_flag::SCHEDULER | sched_flag::IOPRIO) != 0
    {
        kept |= caps::Capability::CAP_SYS_NICE.bitmask();
    }
    let limits = process.rlimits().iter().flatten();
    if plan.flags & flag::CLONE_LAST != 0
        && limits.into_iter().any(|l| l.typ() == PosixRlimitType::RlimitNproc)
    {
        kept |= caps::Capability::CAP_SYS_RESOURCE.bitmask();
    }
    plan.identity.kept = kept & available;
}

/// Plans what a process may keep that builds a container in a pid namespace of others: what mounts, nodes, ids,
/// limits and networks take, and what its program gets. A process there with CAP_SYS_PTRACE may take it over.
pub fn build_with_less(buf: &mut PlanBuf, facts: &Facts, in_user: bool) {
    use caps::Capability as C;
    const NEEDED: [C; 17] = [
        C::CAP_SYS_ADMIN,
        C::CAP_SYS_CHROOT,
        C::CAP_SYS_NICE,
        C::CAP_SYS_RESOURCE,
        C::CAP_MKNOD,
        C::CAP_CHOWN,
        C::CAP_FOWNER,
        C::CAP_FSETID,
        C::CAP_DAC_OVERRIDE,
        C::CAP_DAC_READ_SEARCH,
        C::CAP_SETUID,
        C::CAP_SETGID,
        C::CAP_SETPCAP,
        C::CAP_SETFCAP,
        C::CAP_NET_ADMIN,
        C::CAP_MAC_ADMIN,
        C::CAP_MAC_OVERRIDE,
    ];
    let available = if in_user { mask_up_to(facts.last_cap) } else { facts.permitted };
    let needed = NEEDED.iter().fold(0, |bits, cap| bits | cap.bitmask());
    buf.plan.identity.building = (needed | buf.plan.identity.permitted) & available;
}

fn warn_of_ambient(missing: u64) {
    let mut names: Vec<_> = caps::all().into_iter().collect();
    names.sort_by_key(caps::Capability::index);
    for cap in names.iter().filter(|cap| missing & cap.bitmask() != 0) {
        crate::log::warning(format!("can't raise ambient capability {cap}: operation not permitted"));
    }
}

/// capset(2) would refuse it without a name.
fn refuse_beyond_permitted(caps: &LinuxCapabilities, id: Identity) -> Result<(), PlanError> {
    let beyond = id.effective & !id.permitted;
    let mut named = caps.effective().iter().flatten();
    match named.find(|cap| beyond & bit(**cap) != 0) {
        Some(cap) => {
            let reason = format!("CAP_{cap} is not in process.capabilities.permitted");
            Err(PlanError::conflict("process.capabilities.effective", reason))
        }
        None => Ok(()),
    }
}

fn mask_up_to(last: u32) -> u64 {
    u64::MAX >> (63 - last.min(63))
}

/// A set's bits (capabilities(7)).
#[must_use]
pub fn mask(set: &Capabilities) -> u64 {
    set.iter().fold(0, |bits, cap| bits | bit(*cap))
}

/// By way of the names that both crates share.
fn bit(cap: Capability) -> u64 {
    caps::Capability::from_str(&format!("CAP_{cap}")).map_or(0, |cap| cap.bitmask())
}
