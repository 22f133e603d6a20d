//! `exec`: one more process in a container that exists.

use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};

use krun_spawner::plan::Fds;
use krun_sys::Fd;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use oci_spec::runtime::{LinuxNamespaceType, Process};

use super::affinity::Borrowed;
use super::born::{Born, Joins};
use super::inherited::inherited;
use super::limits::Limits;
use super::net_devices::NetDevices;
use super::spawn::{socketpair, spawn};
use super::terminal::Terminal;
use super::timing::Timing;
use super::{ExecOptions, LaunchError, deliver, filter, foreground, idmap, intel_rdt, namespaces, streams};
use crate::bundle;
use crate::cgroup::{Cgroup, CgroupError, Driver};
use crate::check::{self, ExecFault};
use crate::host::Facts;
use crate::pidfd::PidFd;
use crate::plan::{self, Joined, UserNamespace};
use crate::state::{State, StateDir};

/// A process that was added to a container.
#[derive(Debug)]
pub struct Executed {
    /// Its pid on the host.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// The terminal's master, if the caller wanted it back.
    pub console: Option<OwnedFd>,
}

/// Adds a process to a container and returns when its program runs.
///
/// # Errors
/// [`LaunchError`]; then there is no process.
pub fn exec(options: &ExecOptions) -> Result<Executed, LaunchError> {
    match attempt(options, Home::Container) {
        // A manager in the container has enabled controllers below its cgroup,
        // which thus takes no processes: where init is, there is room.
        Err(error) if options.cgroup.is_none() && takes_none(&error) => attempt(options, Home::Init),
        done => done,
    }
}

/// Whether it was the cgroup that took no process. A user's systemd, which asks the system's to
/// move one, does not tell what that answered.
fn takes_none(error: &LaunchError) -> bool {
    matches!(
        error,
        LaunchError::Call { call: "clone3", source: Errno::EBUSY, .. }
            | LaunchError::Cgroup(CgroupError::Join { source: Errno::EBUSY, .. } | CgroupError::Systemd(_))
    )
}

/// The cgroup in which an exec'd process is born.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    Container,
    Init,
}

fn attempt(options: &ExecOptions, home: Home) -> Result<Executed, LaunchError> {
    let mut timing = Timing::begin();
    let dir = StateDir::open(&options.host.root, &options.id)?;
    let state = dir.load()?;
    let mut wanted = options.process.complete(state.details.process.as_ref())?;
    bundle::validate_process(&wanted)?;
    if !options.io.return_console {
        let terminal = wanted.terminal() == Some(true);
        bundle::validate_terminal(terminal, options.detach, options.console_socket.is_some())?;
    }
    let init = open_init(&state)?;
    let root = open_root(&state, &init)?;
    let handed = inherited(options.preserve_fds)?;
    if !handed.env.is_empty() {
        let mut env = wanted.env().clone().unwrap_or_default();
        env.extend(handed.env.iter().cloned());
        wanted.set_env(Some(env));
    }
    let cgroup = open_cgroup(options, &state, home)?;
    let facts = Facts::probe(state.head.cgroup.mount.clone());
    let program = if state.details.seccomp { filter::read(&dir) } else { None };
    if state.details.seccomp && program.is_none() {
        return Err(LaunchError::Status(format!("{}/seccomp.bpf: missing or damaged", dir.path().display())));
    }
    timing.mark("load");
    let (ours, theirs) = socketpair()?;
    let streams = streams::of_the_host(options.io.stdio, Some(&wanted));
    let fds =
        Fds { socket: theirs.as_raw_fd(), stdio: streams.numbers, preserve: handed.count, ..plan::no_fds() };
    let sub = options.cgroup.as_ref().map(|path| path.to_string_lossy().into_owned());
    let born_in = sub.is_none() && !cgroup.as_ref().is_some_and(is_user_s);
    let rdt =
        state.details.intel_rdt.as_ref().and_then(|record| intel_rdt::Groups::open(record, &state.head.id));
    let request = plan::ExecRequest {
        process: &wanted,
        id: &state.head.id,
        facts: &facts,
        fds,
        joined: &[Joined { flags: joined_flags(&state), fd: init.as_raw_fd(), index: 0 }],
        root: root.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        user_namespace: user_namespace(&state)?,
        deny_setgroups: idmap::denies_setgroups(&format!("/proc/{}", state.head.pid)),
        seccomp: program.as_ref(),
        personality: state.details.personality.as_ref(),
        memory_policy: state.details.memory_policy.as_ref(),
        no_new_keyring: state.details.no_new_keyring,
        await_cgroup: cgroup.is_some() && !born_in,
        rdt: rdt.is_some(),
        reset_thp: options.io.reset_thp,
    };
    let frozen = plan::build_exec(&request)?;
    let born_dir = cgroup.as_ref().filter(|_| born_in).map(|cgroup| cgroup.dir().into());
    timing.mark("plan");
    let agent = state.details.agent.clone();
    // The record's pid becomes the new process's.
    let first = state.head.pid;
    let mut born = Born {
        limits: Limits::new(&wanted, frozen.view().plan),
        maps: None,
        record: None,
        state,
        hooks: [Vec::new(), Vec::new()],
        cgroup: match &cgroup {
            Some(cgroup) if !born_in => Joins::Moved(cgroup, sub.as_deref()),
            _ => Joins::Born,
        },
        agent,
        console: None,
        hook_output: None,
        size: Terminal::size().filter(|_| !options.detach && !options.io.return_console),
        status: "running",
        sources: None,
        stays: options.console_socket.is_none() && !options.io.return_console,
        rdt,
        devices: NetDevices::default(),
        timing,
    };
    let spawned = {
        let _initial = Borrowed::take(&plan::initial_affinity(&wanted)?)?;
        let spawned = spawn(&frozen, (ours, theirs), born_dir, &mut born, None);
        spawned.map_err(|error| error.explained(|| diagnose(&wanted, first, &init)))?
    };
    born.timing.mark("spawn");
    let mut executed = Executed { pid: spawned.pid, pidfd: spawned.pidfd.into(), console: born.console };
    if let Err(error) = hand_over(options, &mut executed) {
        let pidfd = Fd::of(&executed.pidfd);
        let _ = krun_sys::process::pidfd_send_signal(pidfd, nix::libc::SIGKILL);
        let _ = krun_sys::process::waitid_pidfd(pidfd, 0);
        return Err(error);
    }
    born.timing.mark("deliver");
    if options.timing {
        born.timing.print();
    }
    Ok(executed)
}

/// The container's own view of its files: its mounts are in it too.
fn diagnose(process: &Process, pid: i32, init: &OwnedFd) -> Option<ExecFault> {
    let root = std::path::PathBuf::from(format!("/proc/{pid}/root"));
    let path = process.env().iter().flatten().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let fault = check::diagnose_exec(&root, process.args().as_ref()?.first()?, path, process.cwd(), &[]);
    // Of another process, if the container's has ended meanwhile and its pid is in use again.
    fault.filter(|_| is_there(init))
}

/// Whether the process has not been reaped: its pid is its own then.
fn is_there(process: &OwnedFd) -> bool {
    krun_sys::process::pidfd_send_signal(Fd::of(process), 0).is_ok()
}

/// `exec` on the command line: in the foreground the exit code of the process
/// comes back, detached it is 0.
///
/// # Errors
/// As [`exec`].
pub fn exec_wait(options: &ExecOptions) -> Result<u8, LaunchError> {
    if options.detach {
        return exec(options).map(|_| 0);
    }
    let watch = foreground::Signals::block()?;
    let executed = exec(options)?;
    foreground::attend(&watch, &executed.pidfd, executed.pid, executed.console, None)
}

/// The container's init, verified to be the one in the state: a pid alone may
/// have been reused.
fn open_init(state: &State) -> Result<OwnedFd, LaunchError> {
    let init = state.head.identity().open().map(PidFd::into_fd);
    init.map_err(|_| LaunchError::Status("cannot exec in a stopped container".to_owned()))
}

/// The container's root directory, where it has no mount namespace that is joined with a root of its own.
fn open_root(state: &State, init: &OwnedFd) -> Result<Option<OwnedFd>, LaunchError> {
    if state.details.namespaces.iter().any(|record| record.kind == LinuxNamespaceType::Mount) {
        return Ok(None);
    }
    let path = format!("/proc/{}/root", state.head.pid);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open(path.as_str(), flags, Mode::empty())
        .map_err(|errno| LaunchError::call(format!("open {path}"), "open", errno as i32))?;
    if !is_there(init) {
        return Err(LaunchError::Status("cannot exec in a stopped container".to_owned()));
    }
    Ok(Some(root))
}

fn open_cgroup(options: &ExecOptions, state: &State, home: Home) -> Result<Option<Cgroup>, LaunchError> {
    if state.head.cgroup.driver == Driver::Disabled {
        return Ok(None);
    }
    let cgroup = match Cgroup::open(state.head.cgroup.clone()) {
        Ok(cgroup) => cgroup,
        // Someone has moved init out of the container's cgroup and removed it.
        Err(CgroupError::File { source: Errno::ENOENT, .. }) if !state.details.rootless => {
            return Ok(Some(Cgroup::open(crate::cgroup::Location {
                path: init_cgroup(state.head.pid).unwrap_or_default(),
                ..state.head.cgroup.clone()
            })?));
        }
        // A rootless container without a cgroup of its own.
        Err(CgroupError::File { source: Errno::ENOENT, .. }) if state.details.rootless => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    // In a frozen cgroup the helper would never run.
    if !options.ignore_paused && cgroup.is_frozen()? {
        return Err(LaunchError::Usage(
            "cannot exec in a paused container (use --ignore-paused to override)",
        ));
    }
    if home == Home::Init {
        return Ok(Some(cgroup.of_process(state.head.pid)?));
    }
    Ok(Some(cgroup))
}

/// Whether it is a unit of a user's manager. A caller from outside of that user's part of the
/// tree may make no process in it; systemd may move one there.
fn is_user_s(cgroup: &Cgroup) -> bool {
    cgroup.location().scope.as_ref().is_some_and(|scope| scope.user_bus)
}

/// The cgroup v2 path of a process (cgroups(7), /proc/PID/cgroup).
fn init_cgroup(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// All namespaces that the container does not share with the host.
fn joined_flags(state: &State) -> u64 {
    state.details.namespaces.iter().fold(0, |flags, record| flags | namespaces::flag(record.kind))
}

/// What the container's user namespace allows.
fn user_namespace(state: &State) -> Result<Option<UserNamespace>, LaunchError> {
    if !state.details.namespaces.iter().any(|record| record.kind == LinuxNamespaceType::User) {
        return Ok(None);
    }
    let read = |name: &str| {
        let path = format!("/proc/{}/{name}", state.head.pid);
        std::fs::read_to_string(&path).map_err(LaunchError::file("read", path))
    };
    let maps_zero = |map: String| map.lines().any(|line| line.split_ascii_whitespace().next() == Some("0"));
    Ok(Some(UserNamespace { root_mapped: maps_zero(read("uid_map")?) && maps_zero(read("gid_map")?) }))
}

fn hand_over(options: &ExecOptions, executed: &mut Executed) -> Result<(), LaunchError> {
    if let Some(path) = &options.console_socket
        && let Some(console) = executed.console.take()
    {
        deliver::over_socket("send the terminal to --console-socket", path, "/dev/ptmx", console.as_fd())?;
    }
    if let Some(path) = &options.pidfd_socket {
        deliver::over_socket("send the pidfd to --pidfd-socket", path, "pidfd", executed.pidfd.as_fd())?;
    }
    options.pid_file.as_ref().map_or(Ok(()), |path| deliver::pid_file(path, executed.pid))
}
