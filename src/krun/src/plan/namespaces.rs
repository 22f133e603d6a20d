//! Namespaces: which are new, which are joined, and by whom.

use krun_spawner::plan::{Join, flag};
use oci_spec::runtime::{LinuxNamespaceType as Kind, Spec};

use super::{ExecRequest, PlanBuf, PlanError, Request, maps_root, set};

/// A namespace that is open for joining.
#[derive(Clone, Copy, Debug)]
pub struct Joined {
    /// Its kind; with a pidfd, several at once.
    pub flags: u64,
    /// The namespace's descriptor, or a pidfd.
    pub fd: i32,
    /// Index into linux.namespaces.
    pub index: usize,
}

impl Joined {
    /// The namespaces that a specification joins, without opening them.
    #[must_use]
    pub fn unopened(spec: &Spec) -> Vec<Joined> {
        let joined = kinds(spec).enumerate().filter(|(_, (_, joined))| *joined);
        joined.map(|(index, (kind, _))| Joined { flags: bit(kind), fd: -1, index }).collect()
    }
}

/// What the other parts of the plan need to know.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // one fact each
pub struct Namespaces {
    /// A new mount namespace.
    pub new_mount: bool,
    /// A joined mount namespace.
    pub joined_mount: bool,
    /// A new user namespace.
    pub new_user: bool,
    /// A joined user namespace.
    pub joined_user: bool,
    /// A joined pid namespace: others see this process while it builds the container.
    pub joined_pid: bool,
    /// A network namespace that the container's user namespace owns.
    pub new_network: bool,
    /// A cgroup namespace of its own.
    pub private_cgroup: bool,
}

const NEWTIME: u64 = 0x80;

#[allow(clippy::cast_sign_loss)] // the enum's values are the kernel's flags
fn bit(kind: Kind) -> u64 {
    kind as i32 as u32 as u64
}

fn kinds(spec: &Spec) -> impl Iterator<Item = (Kind, bool)> + '_ {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    list.iter().map(|ns| (ns.typ(), ns.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty())))
}

/// Plans who clones and joins what.
pub fn plan(buf: &mut PlanBuf, request: &Request<'_>) -> Result<Namespaces, PlanError> {
    let spec = request.spec;
    let new = |kind| kinds(spec).any(|(k, joined)| k == kind && !joined);
    let joined = |kind| kinds(spec).any(|(k, joined)| k == kind && joined);
    let found = Namespaces {
        new_mount: new(Kind::Mount),
        joined_mount: joined(Kind::Mount),
        new_user: new(Kind::User),
        joined_user: joined(Kind::User),
        joined_pid: joined(Kind::Pid),
        new_network: new(Kind::Network),
        private_cgroup: new(Kind::Cgroup) || joined(Kind::Cgroup),
    };
    let in_clone = kinds(spec).filter(|(kind, joined)| !joined && bit(*kind) != NEWTIME);
    buf.plan.clone_flags = in_clone.fold(0, |flags, (kind, _)| flags | bit(kind));

    // The helper joins what must be joined before the container's process is
    // made: its pid namespace, and everything when a user namespace is involved.
    let helper_joins_all = found.new_user || found.joined_user || joined(Kind::Pid);
    let helper = helper_joins_all || request.await_cgroup;
    set(buf, flag::HELPER, helper);
    let order = order(request.joined, request.facts.privileged);
    let joins = joins(&order);
    if helper_joins_all {
        buf.plan.helper_joins = buf.slice(&joins);
    } else {
        buf.plan.joins = buf.slice(&joins);
    }
    set(buf, flag::LOOPBACK, found.new_network);
    user(buf, request, &found);
    time(buf, spec, new(Kind::Time));
    Ok(found)
}

/// With privileges over the host the user namespace comes last, as those are
/// lost with it; without them it comes first, as it is what gives any.
fn order(joined: &[Joined], privileged: bool) -> Vec<Joined> {
    let mut order = joined.to_vec();
    order.sort_by_key(|join| (join.flags & bit(Kind::User) != 0) == privileged);
    order
}

fn joins(list: &[Joined]) -> Vec<Join> {
    let index = |at: usize| i32::try_from(at).unwrap_or(-1);
    list.iter().map(|j| Join { fd: j.fd, index: index(j.index), flags: j.flags }).collect()
}

fn user(buf: &mut PlanBuf, request: &Request<'_>, found: &Namespaces) {
    let maps =
        request.spec.linux().as_ref().and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
    let groups =
        request.spec.linux().as_ref().and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
    set(buf, flag::AWAIT_MAPS, found.new_user);
    // The owner of /proc/PID/uid_map is root once the process is undumpable.
    set(buf, flag::DUMPABLE_FOR_MAPS, found.new_user && !request.facts.privileged);
    set(
        buf,
        flag::BECOME_ROOT,
        found.joined_user || (found.new_user && maps_root(maps) && maps_root(groups)),
    );
    set(buf, flag::KEEP_GROUPS, request.deny_setgroups);
}

fn time(buf: &mut PlanBuf, spec: &Spec, new: bool) {
    set(buf, flag::TIME_NAMESPACE, new);
    let offsets = spec.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref());
    if let Some(offsets) = offsets.filter(|offsets| new && !offsets.is_empty()) {
        let mut lines: Vec<_> = offsets
            .iter()
            .map(|(clock, at)| format!("{clock} {} {}\n", at.secs().unwrap_or(0), at.nanosecs().unwrap_or(0)))
            .collect();
        lines.sort();
        buf.plan.time_offsets = buf.str(lines.concat());
    }
}

/// In a mount namespace that is joined nothing is mounted, made or hidden: what it shows is another's.
pub fn refuse_in_joined(spec: &Spec) -> Result<(), PlanError> {
    let linux = spec.linux().as_ref();
    let some = |paths: Option<&Vec<String>>| paths.is_some_and(|paths| !paths.is_empty());
    let path = if spec.mounts().as_ref().is_some_and(|mounts| !mounts.is_empty()) {
        "mounts"
    } else if spec.root().as_ref().is_some_and(|root| root.readonly() == Some(true)) {
        "root.readonly"
    } else if linux.and_then(|l| l.devices().as_ref()).is_some_and(|devices| !devices.is_empty()) {
        "linux.devices"
    } else if some(linux.and_then(|l| l.masked_paths().as_ref())) {
        "linux.maskedPaths"
    } else if some(linux.and_then(|l| l.readonly_paths().as_ref())) {
        "linux.readonlyPaths"
    } else if linux.and_then(|l| l.sysctl().as_ref()).is_some_and(|sysctl| !sysctl.is_empty()) {
        "linux.sysctl"
    } else {
        return Ok(());
    };
    let reason = "can't be had in a mount namespace that is joined (linux.namespaces): leave it out";
    Err(PlanError::conflict(path, reason))
}

/// Exec joins everything in its helper.
pub fn plan_exec(buf: &mut PlanBuf, request: &ExecRequest<'_>) {
    let joins = joins(request.joined);
    buf.plan.helper_joins = buf.slice(&joins);
}
