//! `create`, and the first half of `run`.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use krun_spawner::parent::{self, Spawn, Spawned};
use krun_spawner::plan::Fds;
use krun_sys::{Fd, owned, socket, window};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Spec};

use super::born::{Born, Joins, Scope};
use super::hooks::Output;
use super::idmap::Maps;
use super::inherited::{Inherited, inherited};
use super::limits::Limits;
use super::{Agent, CreateOptions, LaunchError, deliver, filter, namespaces, program, render, trees};
use crate::bundle::{self, Bundle, Caller};
use crate::cgroup::{self, Cgroup, CgroupError, Driver, Location};
use crate::host::Facts;
use crate::launch::options::{CgroupDriver, Rootless};
use crate::plan::{self, Frozen, seccomp};
use crate::state::{GATE, NamespaceRecord, State, StateDir};

/// The FIFO on which a failure after the gate is reported.
pub const REPORT: &std::ffi::CStr = c"report.fifo";

/// A container whose process waits at the gate, or already runs.
#[derive(Debug)]
pub struct Created {
    /// Its process on the host.
    pub pid: i32,
    /// The process's pidfd.
    pub pidfd: OwnedFd,
    /// The terminal's master, if the caller wanted it back.
    pub console: Option<OwnedFd>,
    /// What was written to state.json.
    pub state: State,
}

/// Creates a container that waits for [`super::start`].
///
/// # Errors
/// [`LaunchError`]; nothing is left behind.
pub fn create(options: &CreateOptions) -> Result<Created, LaunchError> {
    launch(options, Command::Create)
}

/// Which command asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command {
    /// Stop at the gate.
    Create,
    /// Run; the caller goes away.
    RunDetached,
    /// Run; the caller stays.
    RunForeground,
}

/// All that a launch has made on the host, undone when dropped.
struct Undo {
    dir: Option<StateDir>,
    cgroup: Option<Cgroup>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(cgroup) = self.cgroup.take() {
            cgroup.discard();
        }
        if let Some(dir) = self.dir.take() {
            let _ = dir.remove();
        }
    }
}

/// Creates a container; its program runs at once unless `mode` is create.
pub(super) fn launch(options: &CreateOptions, mode: Command) -> Result<Created, LaunchError> {
    let mut bundle = bundle::load(&options.bundle, None)?;
    let location_of = |spec: &Spec, rootless| locate(options, spec, rootless);
    let facts = Facts::probe(cgroup::mountpoint().unwrap_or_else(|_| PathBuf::from("/sys/fs/cgroup")));
    bundle::validate(&bundle, Caller { rootless: !facts.privileged, no_pivot: options.no_pivot })?;
    check_terminal(options, &bundle.spec, mode)?;
    let handed = inherited(options.preserve_fds)?;
    add_env(&mut bundle.spec, &handed);
    let program = compile_filter(&bundle.spec)?;
    let rootless = match options.host.rootless {
        Rootless::Auto => !facts.privileged,
        Rootless::Yes => true,
        Rootless::No => false,
    };
    let location = location_of(&bundle.spec, rootless)?;

    let dir = StateDir::create(&options.host.root, &options.id)?;
    let mut undo = Undo { dir: Some(dir), cgroup: None };
    let state = new_state(options, &bundle, &location, rootless, program.as_ref());
    let launch =
        Launch { options, mode, bundle: &bundle, facts: &facts, handed: &handed, program: program.as_ref() };
    let created = launch.go(&mut undo, state, location)?;
    undo.dir = None;
    undo.cgroup = None;
    Ok(created)
}

fn check_terminal(options: &CreateOptions, spec: &Spec, mode: Command) -> Result<(), LaunchError> {
    if options.io.return_console {
        return Ok(());
    }
    let terminal = spec.process().as_ref().is_some_and(|process| process.terminal() == Some(true));
    let detached = mode != Command::RunForeground;
    Ok(bundle::validate_terminal(terminal, detached, options.console_socket.is_some())?)
}

fn add_env(spec: &mut Spec, handed: &Inherited) {
    if handed.env.is_empty() {
        return;
    }
    if let Some(process) = spec.process_mut() {
        let mut env = process.env().clone().unwrap_or_default();
        env.extend(handed.env.iter().cloned());
        process.set_env(Some(env));
    }
}

fn compile_filter(spec: &Spec) -> Result<Option<seccomp::Program>, LaunchError> {
    let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    Ok(profile.map(seccomp::compile).transpose().map_err(plan::PlanError::from)?)
}

fn locate(options: &CreateOptions, spec: &Spec, rootless: bool) -> Result<Location, CgroupError> {
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let path = path.map(|path| path.to_string_lossy());
    let driver = match options.host.cgroup_driver {
        CgroupDriver::Cgroupfs => Driver::Cgroupfs,
        CgroupDriver::Systemd => Driver::Systemd,
        CgroupDriver::Disabled => Driver::Disabled,
    };
    cgroup::locate(path.as_deref(), options.id.as_str(), driver, rootless)
}

fn new_state(
    options: &CreateOptions,
    bundle: &Bundle,
    location: &Location,
    rootless: bool,
    program: Option<&seccomp::Program>,
) -> State {
    let spec = &bundle.spec;
    let linux = spec.linux().as_ref();
    let listed = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let record =
        |ns: &oci_spec::runtime::LinuxNamespace| NamespaceRecord { kind: ns.typ(), path: ns.path().clone() };
    let private_pid = listed.iter().any(|ns| ns.typ() == LinuxNamespaceType::Pid && ns.path().is_none());
    let annotations = spec.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone()));
    State {
        pid: 0,
        start_time: 0,
        oci_version: spec.version().clone(),
        id: options.id.as_str().to_owned(),
        bundle: bundle.dir.clone(),
        rootfs: bundle.rootfs().unwrap_or_default(),
        created: crate::clock::now(crate::clock::Precision::Nanoseconds),
        annotations: annotations.collect::<BTreeMap<_, _>>(),
        owner_uid: nix::unistd::geteuid().as_raw(),
        rootless,
        cgroup: location.clone(),
        private_pid_namespace: private_pid,
        systemd_cgroup: options.host.cgroup_driver == CgroupDriver::Systemd,
        no_new_keyring: options.no_new_keyring,
        namespaces: listed.iter().map(record).collect(),
        process: spec.process().clone(),
        seccomp: program.is_some(),
        agent: program.filter(|program| program.notify).and_then(|_| agent(spec)),
        resources: linux.and_then(|linux| linux.resources().clone()),
        hooks: spec.hooks().clone(),
        intel_rdt: None,
    }
}

fn agent(spec: &Spec) -> Option<Agent> {
    let profile = spec.linux().as_ref()?.seccomp().as_ref()?;
    let metadata = profile.listener_metadata().clone().unwrap_or_default();
    Some(Agent { path: profile.listener_path().clone()?, metadata })
}

struct Launch<'a> {
    options: &'a CreateOptions,
    mode: Command,
    bundle: &'a Bundle,
    facts: &'a Facts,
    handed: &'a Inherited,
    program: Option<&'a seccomp::Program>,
}

/// The gate's descriptors, held open until the child has them.
struct Gate {
    gate: OwnedFd,
    report: OwnedFd,
}

impl Launch<'_> {
    fn resources(&self) -> Option<&LinuxResources> {
        self.bundle.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref())
    }

    fn go(&self, undo: &mut Undo, state: State, location: Location) -> Result<Created, LaunchError> {
        let spec = &self.bundle.spec;
        let Undo { dir: Some(dir), cgroup } = undo else {
            return Err(LaunchError::Usage("no state directory"));
        };
        let _lock = dir.lock()?;
        let template = state.render_template();
        let path = |name: &str| dir.path().join(name);
        let write = |errno: nix::Error| {
            LaunchError::call(format!("write {}", path("state.json").display()), "write", errno as i32)
        };
        // Before anything else exists: what is left if krun is killed from here
        // on is named by this file, and `delete --force` removes it.
        dir.write_bytes(&template.bytes).map_err(write)?;
        if let Some(program) = self.program {
            dir.write_file(filter::FILE, &filter::to_bytes(program)).map_err(write)?;
        }
        let gate = if self.mode == Command::Create { Some(open_gate(dir)?) } else { None };
        let joined = namespaces::open_joined(spec)?;
        let trees = trees::open(spec, &self.bundle.dir, self.facts.privileged)?;
        let output = self.hook_output()?;
        let maps = self.maps();
        let scope = location.driver == Driver::Systemd;
        if location.driver == Driver::Cgroupfs {
            *cgroup = self.make_cgroup(location.clone())?;
        }
        let (ours, theirs) = socketpair()?;
        let fds = Fds {
            socket: theirs.as_raw_fd(),
            gate: gate.as_ref().map_or(-1, |gate| gate.gate.as_raw_fd()),
            report: gate.as_ref().map_or(-1, |gate| gate.report.as_raw_fd()),
            hook_output: output.as_ref().map_or(-1, Output::fd),
            stdio: self.options.io.stdio,
            preserve: self.handed.count,
        };
        let hooks = [
            spec.hooks().as_ref().and_then(|hooks| hooks.prestart().clone()).unwrap_or_default(),
            spec.hooks().as_ref().and_then(|hooks| hooks.create_runtime().clone()).unwrap_or_default(),
        ];
        let request = plan::Request {
            spec,
            bundle: &self.bundle.dir,
            id: self.options.id.as_str(),
            facts: self.facts,
            fds,
            joined: &joined.joined,
            trees: &trees.trees,
            cgroup: cgroup.as_ref().map(|cgroup| cgroup.location().dir()),
            await_cgroup: scope,
            gate: gate.is_some(),
            no_pivot: self.options.no_pivot,
            no_new_keyring: self.options.no_new_keyring,
            reset_thp: self.options.io.reset_thp,
            deny_setgroups: maps.as_ref().is_some_and(Maps::deny_setgroups),
            await_hooks: hooks.iter().any(|list| !list.is_empty()),
        };
        let frozen = plan::build(&request)?;
        let born_in = cgroup.as_ref().map_or(Fd::NONE, |cgroup| Fd(cgroup.dir().as_raw_fd()));
        let mut born = Born {
            limits: spec.process().as_ref().map(Limits::new).unwrap_or_default(),
            maps,
            record: Some((dir, template)),
            agent: state.agent.clone(),
            state,
            hooks,
            cgroup: if scope {
                Joins::Scope(Box::new(Scope {
                    location,
                    resources: self.resources(),
                    annotations: spec.annotations().clone(),
                    made: None,
                }))
            } else {
                Joins::Born
            },
            console: None,
            status: "creating",
        };
        let spawned = spawn(&frozen, (ours, theirs), born_in, &mut born, output.as_ref());
        if let Joins::Scope(scope) = born.cgroup {
            *cgroup = scope.made;
        }
        let spawned = spawned.map_err(|error| self.explain(error))?;
        let (state, console) = (born.state, born.console);
        self.finish(spawned, state, console)
    }

    /// Adds what is wrong with the program to an error about it.
    fn explain(&self, error: LaunchError) -> LaunchError {
        error
    }

    fn finish(
        &self,
        spawned: Spawned,
        state: State,
        console: Option<OwnedFd>,
    ) -> Result<Created, LaunchError> {
        let pidfd =
            owned::own(spawned.pidfd).map_err(|e| LaunchError::call("keep the pidfd", "pidfd_open", e.0))?;
        let mut created = Created { pid: spawned.pid, pidfd, console, state };
        if let Err(error) = self.deliver(&mut created) {
            let pidfd = Fd(created.pidfd.as_raw_fd());
            let _ = krun_sys::process::pidfd_send_signal(pidfd, nix::libc::SIGKILL);
            let _ = krun_sys::process::waitid_pidfd(pidfd, 0);
            return Err(error);
        }
        Ok(created)
    }

    fn deliver(&self, created: &mut Created) -> Result<(), LaunchError> {
        use std::os::fd::AsFd as _;
        let options = self.options;
        if let Some(path) = &options.console_socket
            && let Some(console) = created.console.take()
        {
            deliver::over_socket(
                "send the terminal to --console-socket",
                path,
                "/dev/ptmx",
                console.as_fd(),
            )?;
        }
        if let Some(path) = &options.pidfd_socket {
            deliver::over_socket("send the pidfd to --pidfd-socket", path, "pidfd", created.pidfd.as_fd())?;
        }
        options.pid_file.as_ref().map_or(Ok(()), |path| deliver::pid_file(path, created.pid))
    }

    fn hook_output(&self) -> Result<Option<Output>, LaunchError> {
        let hooks = self.bundle.spec.hooks().as_ref().and_then(|hooks| hooks.create_container().as_deref());
        Output::new(hooks.unwrap_or_default())
    }

    /// The id maps of a new user namespace.
    fn maps(&self) -> Option<Maps> {
        let linux = self.bundle.spec.linux().as_ref()?;
        let listed = linux.namespaces().as_deref().unwrap_or_default();
        let new = listed.iter().any(|ns| ns.typ() == LinuxNamespaceType::User && ns.path().is_none());
        let uid = linux.uid_mappings().as_deref().unwrap_or_default();
        let gid = linux.gid_mappings().as_deref().unwrap_or_default();
        new.then(|| Maps::new(uid, gid, self.facts.privileged))
    }

    /// The cgroup with its limits; none where a rootless container can do without.
    fn make_cgroup(&self, location: Location) -> Result<Option<Cgroup>, LaunchError> {
        match Cgroup::create(location, self.resources()) {
            Ok(cgroup) => {
                if let Some(resources) = self.resources()
                    && let Err(error) = cgroup.apply(resources)
                {
                    cgroup.discard();
                    return Err(error.into());
                }
                Ok(Some(cgroup))
            }
            Err(CgroupError::RootlessUnavailable { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Both FIFOs of a created container. They are opened for reading and writing,
/// so that neither open blocks and neither reads as ended (fifo(7)).
fn open_gate(dir: &StateDir) -> Result<Gate, LaunchError> {
    let open = |name: &std::ffi::CStr| {
        let what = || format!("{}/{}", dir.path().display(), name.to_string_lossy());
        nix::unistd::mkfifoat(dir, name, Mode::from_bits_truncate(0o600))
            .map_err(|errno| LaunchError::call(what(), "mkfifo", errno as i32))?;
        openat(dir, name, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|errno| LaunchError::call(what(), "open", errno as i32))
    };
    Ok(Gate { gate: open(GATE)?, report: open(REPORT)? })
}

/// The socket to the child: ours, and the child's.
pub(super) fn socketpair() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    let failed = |e: krun_sys::Errno| LaunchError::call("make the socket to the child", "socketpair", e.0);
    let (ours, theirs) = socket::socketpair_seqpacket().map_err(failed)?;
    Ok((owned::own(ours).map_err(failed)?, owned::own(theirs).map_err(failed)?))
}

/// Hands the plan to the spawner. From clone3 to the gate (or the program) the
/// calling thread allocates nothing.
pub(super) fn spawn(
    frozen: &Frozen,
    sockets: (OwnedFd, OwnedFd),
    cgroup: Fd,
    born: &mut Born<'_>,
    output: Option<&Output>,
) -> Result<Spawned, LaunchError> {
    let program = program::memfd()?;
    let sealed = program::sealed(c"krun-plan", frozen.bytes())?;
    let view = frozen.view();
    let (ours, theirs) = sockets;
    let request = Spawn {
        view,
        program: Fd(program.as_raw_fd()),
        plan: Fd(sealed.as_raw_fd()),
        socket: Fd(ours.as_raw_fd()),
        // The spawner closes it, so that the socket ends with the child.
        child_socket: Fd(std::os::fd::IntoRawFd::into_raw_fd(theirs)),
        cgroup,
    };
    window::enter();
    let done = parent::spawn(&request, born);
    window::leave();
    done.map_err(|failure| render::failure(view, failure, &output.map(Output::text).unwrap_or_default()))
}
