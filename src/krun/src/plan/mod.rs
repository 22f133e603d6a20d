//! From a container specification to the plan its birth follows.
//!
//! `(Spec, Facts) -> PlanBuf`, without side effects: what a plan needs to have
//! open already (namespaces, sockets) comes in as numbers. Everything the child
//! would have to think about is decided here.

mod affinity;
mod buf;
mod devices;
pub mod dump;
mod error;
mod hooks;
mod identity;
mod limits;
mod mount_options;
mod mounts;
mod namespaces;
mod process;
mod root;
mod sched;
pub mod seccomp;

pub use buf::{Frozen, PlanBuf, no_fds};
pub use error::PlanError;
pub use limits::rlimits;
pub use mount_options::known as known_mount_options;
pub use mounts::{is_bind, is_virtual};
pub use namespaces::{Joined, Namespaces};
pub use process::merge_env;
pub use root::rootfs;
pub use sched::initial_affinity;

use std::path::{Path, PathBuf};

use krun_spawner::plan::{Fds, flag};
use oci_spec::runtime::{LinuxIdMapping, LinuxMemoryPolicy, LinuxPersonality, Process, Spec};

use crate::host::Facts;

/// What a plan depends on besides the specification.
#[derive(Debug)]
pub struct Request<'a> {
    /// The specification.
    pub spec: &'a Spec,
    /// Absolute path of the bundle.
    pub bundle: &'a Path,
    /// The container's id.
    pub id: &'a str,
    /// Facts about this host.
    pub facts: &'a Facts,
    /// Descriptors by role; -1 where there is none.
    pub fds: Fds,
    /// Namespaces that are joined, opened.
    pub joined: &'a [Joined],
    /// Trees of bind mounts that the parent opened, by index of the mount.
    pub trees: &'a [Tree],
    /// The container's cgroup on the host, where it is bound as a fallback.
    pub cgroup: Option<PathBuf>,
    /// The parent moves the process into its cgroup while it waits.
    pub await_cgroup: bool,
    /// The container waits for `start`.
    pub gate: bool,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// The parent has disabled transparent huge pages for itself.
    pub reset_thp: bool,
    /// setgroups(2) is denied in the container's user namespace.
    pub deny_setgroups: bool,
    /// Prestart or createRuntime hooks wait for the child.
    pub await_hooks: bool,
    /// The parent puts the process into resctrl groups.
    pub rdt: bool,
    /// The compiled `linux.seccomp`.
    pub seccomp: Option<&'a seccomp::Program>,
    /// A mount namespace that holds the root file system, or -1; all sources of binds are opened then.
    pub tree_namespace: i32,
}

impl<'a> Request<'a> {
    /// A request with nothing opened, for looking at the plan only; `joined` is
    /// [`Joined::unopened`].
    #[must_use]
    pub fn dry(
        bundle: &'a crate::bundle::Bundle,
        id: &'a str,
        facts: &'a Facts,
        joined: &'a [Joined],
        seccomp: Option<&'a seccomp::Program>,
    ) -> Self {
        Request {
            spec: &bundle.spec,
            bundle: &bundle.dir,
            id,
            facts,
            fds: no_fds(),
            joined,
            trees: &[],
            cgroup: None,
            await_cgroup: false,
            gate: false,
            no_pivot: false,
            no_new_keyring: false,
            reset_thp: false,
            deny_setgroups: false,
            await_hooks: false,
            rdt: false,
            seccomp,
            tree_namespace: -1,
        }
    }
}

/// A bind mount whose source the parent has opened, its ids mapped.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    /// Index into the specification's mounts.
    pub index: usize,
    /// The detached tree; -1 if it is opened when it is this mount's turn.
    pub tree: i32,
}

/// Builds the plan of a new container.
///
/// # Errors
/// A value that has no meaning for the kernel, named by its JSON path.
pub fn build(request: &Request<'_>) -> Result<Frozen, PlanError> {
    let spec = request.spec;
    let process = spec.process().as_ref().ok_or(PlanError::Missing("process"))?;
    let mut buf = PlanBuf::new();
    buf.plan.fds = request.fds;
    inherit(&mut buf, request.joined, request.trees, request.tree_namespace);
    buf.plan.flags = flag::SETSID | flag::RESET_AFFINITY | flag::CREATE_CWD;
    set(&mut buf, flag::GATE, request.gate);
    set(&mut buf, flag::NO_PIVOT, request.no_pivot);
    set(&mut buf, flag::RESET_THP, request.reset_thp);
    set(&mut buf, flag::AWAIT_HOOKS, request.await_hooks);
    set(&mut buf, flag::AWAIT_CGROUP, request.await_cgroup);

    let namespaces = namespaces::plan(&mut buf, request)?;
    // Without a mount namespace the mounts are the host's, as with runc.
    set(&mut buf, flag::CHROOT, !namespaces.new_mount && !namespaces.joined_mount);
    if !namespaces.joined_mount {
        root::plan(&mut buf, request)?;
        mounts::plan(&mut buf, request, &namespaces)?;
        root::tree_namespace(&mut buf, request);
        devices::plan(&mut buf, request, &namespaces)?;
        paths(&mut buf, spec)?;
        sysctls(&mut buf, spec);
    } else {
        namespaces::refuse_in_joined(spec)?;
    }
    names(&mut buf, spec);
    let in_user = namespaces.new_user || namespaces.joined_user;
    common(&mut buf, request, process, in_user)?;
    own_limits(&mut buf, process, in_user);
    let ahead = ready_ahead(&buf, request, in_user);
    set(&mut buf, flag::READY_AHEAD, ahead);
    hooks::plan(&mut buf, request);
    if let Some(program) = request.seccomp {
        buf.seccomp(program);
    }
    identity::keep(&mut buf, process, request.facts, in_user);
    // createContainer hooks are the host's programs, and get what the host has.
    if namespaces.joined_pid && buf.plan.hooks.create_container.is_empty() {
        identity::build_with_less(&mut buf, request.facts, in_user);
    }
    if let Some(linux) = spec.linux() {
        sched::memory_policy(&mut buf, linux.memory_policy().as_ref())?;
        sched::personality(&mut buf, linux.personality().as_ref())?;
    }
    Ok(buf.freeze())
}

/// What an exec'd process depends on.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// The process.
    pub process: &'a Process,
    /// The container's id.
    pub id: &'a str,
    /// Facts about this host.
    pub facts: &'a Facts,
    /// Descriptors by role.
    pub fds: Fds,
    /// Namespaces to enter, opened, in order.
    pub joined: &'a [Joined],
    /// The container's root directory, opened, where it has no mount namespace of its own; else -1.
    pub root: i32,
    /// Whether one of them is a user namespace, and whether its id 0 is mapped.
    pub user_namespace: Option<UserNamespace>,
    /// setgroups(2) is denied in the process's user namespace.
    pub deny_setgroups: bool,
    /// The container's filter.
    pub seccomp: Option<&'a seccomp::Program>,
    /// The container's `linux.personality`.
    pub personality: Option<&'a LinuxPersonality>,
    /// The container's `linux.memoryPolicy`.
    pub memory_policy: Option<&'a LinuxMemoryPolicy>,
    /// `create --no-new-keyring`.
    pub no_new_keyring: bool,
    /// The parent moves the process into its cgroup while it waits.
    pub await_cgroup: bool,
    /// The parent puts the process into resctrl groups.
    pub rdt: bool,
    /// The parent has disabled transparent huge pages for itself.
    pub reset_thp: bool,
}

/// The user namespace that exec enters.
#[derive(Clone, Copy, Debug)]
pub struct UserNamespace {
    /// Id 0 has a meaning in it.
    pub root_mapped: bool,
}

/// Builds the plan of a process in an existing container: the same as a new
/// container's, with everything joined and nothing mounted.
///
/// # Errors
/// A value that has no meaning for the kernel, named by its JSON path.
pub fn build_exec(request: &ExecRequest<'_>) -> Result<Frozen, PlanError> {
    let mut buf = PlanBuf::new();
    buf.plan.fds = request.fds;
    inherit(&mut buf, request.joined, &[], request.root);
    buf.plan.flags = flag::SETSID | flag::HELPER | flag::CLONE_LAST;
    set(&mut buf, flag::ENTER_ROOT, request.root >= 0);
    buf.plan.root.directory = request.root;
    set(&mut buf, flag::AWAIT_CGROUP, request.await_cgroup);
    set(&mut buf, flag::RESET_THP, request.reset_thp);
    namespaces::plan_exec(&mut buf, request);
    let user = request.user_namespace;
    set(&mut buf, flag::BECOME_ROOT, user.is_some_and(|user| user.root_mapped));
    set(&mut buf, flag::KEEP_GROUPS, request.deny_setgroups);
    keyring(&mut buf, request.id, request.no_new_keyring);
    process::plan(&mut buf, request.process)?;
    own_limits(&mut buf, request.process, user.is_some());
    let terminal = buf.plan.flags & flag::TERMINAL != 0;
    set(&mut buf, flag::READY_AHEAD, user.is_none() && !request.rdt && !terminal);
    identity::plan(&mut buf, request.process, request.facts, user.is_some())?;
    sched::plan(&mut buf, request.process)?;
    sched::exec_affinity(&mut buf, request.process)?;
    sched::memory_policy(&mut buf, request.memory_policy)?;
    sched::personality(&mut buf, request.personality)?;
    if let Some(program) = request.seccomp {
        buf.seccomp(program);
    }
    identity::keep(&mut buf, request.process, request.facts, user.is_some());
    Ok(buf.freeze())
}

/// What a new container's process shares with an exec'd one.
fn common(
    buf: &mut PlanBuf,
    request: &Request<'_>,
    process: &Process,
    in_user: bool,
) -> Result<(), PlanError> {
    keyring(buf, request.id, request.no_new_keyring);
    process::plan(buf, process)?;
    identity::plan(buf, process, request.facts, in_user)?;
    sched::check_exec_affinity(process)?;
    sched::plan(buf, process)
}

/// Inside a user namespace hard limits can't be raised: there the parent sets them.
fn own_limits(buf: &mut PlanBuf, process: &Process, in_user: bool) {
    if !in_user {
        buf.plan.rlimits = buf.slice(&limits::rlimits(process));
    }
}

/// Whether the parent can do its part (oom_score_adj, state.json) while the child builds the
/// container: nothing else is asked for and answered before, and nothing of it would disturb. A
/// terminal has to reach the parent, which sets it up, before the program writes to it.
fn ready_ahead(buf: &PlanBuf, request: &Request<'_>, in_user: bool) -> bool {
    let asks = flag::HELPER | flag::AWAIT_CGROUP | flag::AWAIT_HOOKS | flag::TERMINAL;
    let late_tree = request.trees.iter().any(|tree| tree.tree < 0);
    buf.plan.flags & asks == 0 && !in_user && !late_tree && !request.rdt
}

/// What must survive the exec of krun-init, besides the socket and the plan.
fn inherit(buf: &mut PlanBuf, joined: &[Joined], trees: &[Tree], root: i32) {
    let fds = buf.plan.fds;
    let mut all = vec![fds.socket, fds.gate, fds.hook_output];
    all.extend(fds.stdio);
    all.extend(joined.iter().map(|join| join.fd));
    all.extend(trees.iter().map(|tree| tree.tree)); // -1 is left out below
    all.push(root);
    all.retain(|fd| *fd >= 0);
    all.sort_unstable();
    all.dedup();
    buf.plan.inherit = buf.slice(&all);
}

fn set(buf: &mut PlanBuf, bit: u64, on: bool) {
    if on {
        buf.plan.flags |= bit;
    }
}

/// A session keyring per container, as runc names it: `_ses.ID`.
fn keyring(buf: &mut PlanBuf, id: &str, keep: bool) {
    if !keep {
        set(buf, flag::KEYRING, true);
        buf.plan.keyring = buf.str(format!("_ses.{id}"));
    }
}

fn paths(buf: &mut PlanBuf, spec: &Spec) -> Result<(), PlanError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let root = |path: &Path| path.as_os_str() == "/";
    let masked = each_once(linux.masked_paths().as_deref());
    if masked.iter().any(|path| root(path)) {
        return Err(PlanError::conflict("linux.maskedPaths", "the root file system itself can't be masked"));
    }
    let mut readonly = each_once(linux.readonly_paths().as_deref());
    // A mount on the root would be none of the container's: nobody's path leads through it.
    if readonly.iter().any(|path| root(path)) {
        set(buf, flag::READONLY_ROOT, true);
        readonly.retain(|path| !root(path));
    }
    let masked: Vec<_> = masked.iter().map(|path| buf.path(path)).collect();
    buf.plan.masked = buf.slice(&masked);
    let readonly: Vec<_> = readonly.iter().map(|path| buf.path(path)).collect();
    buf.plan.readonly = buf.slice(&readonly);
    Ok(())
}

/// Twice the same would be two mounts, one on the other. (A tree, since a hash wants random numbers.)
fn each_once(paths: Option<&[String]>) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        paths.unwrap_or_default().iter().map(|path| mounts::clean(Path::new(path))).collect();
    let mut seen = std::collections::BTreeSet::new();
    let first: Vec<bool> = all.iter().map(|path| seen.insert(path.as_os_str())).collect();
    let mut first = first.into_iter();
    all.retain(|_| first.next().unwrap_or(true));
    all
}

fn sysctls(buf: &mut PlanBuf, spec: &Spec) {
    let Some(sysctl) = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref()) else { return };
    let mut sorted: Vec<_> = sysctl.iter().collect();
    sorted.sort();
    let entries: Vec<_> = sorted
        .into_iter()
        .map(|(key, value)| krun_spawner::plan::Sysctl {
            path: buf.str(format!("sys/{}", sysctl_path(key))),
            // The kernel takes no notice of a write of nothing; a line without text empties what is a list or a name.
            value: buf.str(if value.is_empty() { "\n" } else { value }),
        })
        .collect();
    buf.plan.sysctls = buf.slice(&entries);
}

/// A key's path (sysctl(8)): whichever of "." and "/" comes first separates,
/// the other is part of a name.
fn sysctl_path(key: &str) -> String {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes().get(at) == Some(&b'.') => key.chars().map(swap).collect(),
        _ => key.to_owned(),
    }
}

fn names(buf: &mut PlanBuf, spec: &Spec) {
    if let Some(name) = spec.hostname().as_ref().filter(|name| !name.is_empty()) {
        buf.plan.hostname = buf.str(name);
    }
    if let Some(name) = spec.domainname().as_ref().filter(|name| !name.is_empty()) {
        buf.plan.domainname = buf.str(name);
    }
}

/// Whether id 0 has a meaning under these maps.
#[must_use]
pub fn maps_root(maps: &[LinuxIdMapping]) -> bool {
    maps.iter().any(|map| map.container_id() == 0 && map.size() > 0)
}
