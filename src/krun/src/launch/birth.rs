//! A container's birth as the host sees it: state, cgroup, plan, spawner.

use std::os::fd::{AsRawFd, OwnedFd};

use krun_spawner::parent::Spawned;
use krun_spawner::plan::Fds;
use krun_sys::Fd;
use krun_sys::process::Exit;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use oci_spec::runtime::{Hook, Hooks, LinuxNamespaceType, LinuxResources};

use super::born::{Born, Joins, Record, Scope};
use super::create::{Command, Created, Undo};
use super::hooks::Output;
use super::idmap::Maps;
use super::inherited::Inherited;
use super::limits::Limits;
use super::net_devices::NetDevices;
use super::spawn::{socketpair, spawn};
use super::terminal::Terminal;
use super::timing::Timing;
use super::{
    CreateOptions, LaunchError, cgroup_owner, deliver, filter, idmap, namespaces, streams, tree_namespace,
    trees,
};
use crate::bundle::Bundle;
use crate::cgroup::{Cgroup, CgroupError, Driver, Location};
use crate::host::Facts;
use crate::plan::{self, seccomp};
use crate::state::{GATE, STATE, State, StateDir};

/// What a launch works with.
pub(super) struct Launch<'a> {
    pub(super) options: &'a CreateOptions,
    pub(super) mode: Command,
    pub(super) bundle: &'a Bundle,
    pub(super) facts: &'a Facts,
    pub(super) handed: &'a Inherited,
    pub(super) program: Option<&'a seccomp::Program>,
}

impl Launch<'_> {
    fn resources(&self) -> Option<&LinuxResources> {
        self.bundle.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref())
    }

    /// Makes all that the container needs and the container.
    pub(super) fn go(
        &self,
        undo: &mut Undo,
        state: State,
        location: Location,
        mut timing: Timing,
    ) -> Result<Created, LaunchError> {
        let spec = &self.bundle.spec;
        let Undo { dir: Some(dir), cgroup, rdt, .. } = undo else {
            return Err(LaunchError::Usage("no state directory"));
        };
        let _lock = dir.lock()?;
        let template = state.render_template();
        let path = |name: &str| dir.path().join(name);
        let write = |errno: nix::Error| {
            LaunchError::call(format!("write {}", path("state.json").display()), "write", errno as i32)
        };
        // Before anything else exists: what is left if krun is killed from here
        // on is named by this file, and `delete --force` removes it. There is no
        // older state to be kept whole, and a torn one has nothing to name.
        let file = dir.write_file(STATE, &template.bytes).map_err(write)?;
        if let Some(program) = self.program {
            dir.write_file(filter::FILE, &filter::to_bytes(program)).map_err(write)?;
        }
        let gate = if self.mode == Command::Create { Some(open_gate(dir)?) } else { None };
        let joined = namespaces::open_joined(spec)?;
        let namespace = tree_namespace::open(self.bundle, self.facts, location.driver, self.options.no_pivot);
        let trees = trees::open(spec, &self.bundle.dir, self.facts.privileged, namespace.is_some())?;
        let output = self.hook_output()?;
        let maps = self.maps();
        let scope = location.driver == Driver::Systemd;
        timing.mark("prepare");
        if location.driver == Driver::Cgroupfs {
            *cgroup = self.make_cgroup(location.clone())?;
        }
        timing.mark("cgroup");
        let devices = NetDevices::new(spec);
        let (ours, theirs) = socketpair()?;
        let streams = streams::of_the_host(self.options.io.stdio, spec.process().as_ref());
        let fds = self.descriptors(theirs.as_raw_fd(), streams.numbers, gate.as_ref(), output.as_ref());
        let hooks = self.host_hooks();
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
            deny_setgroups: self.deny_setgroups(maps.as_ref()),
            await_hooks: !devices.is_empty() || hooks.iter().any(|list| !list.is_empty()),
            rdt: rdt.is_some(),
            seccomp: self.program,
            tree_namespace: namespace.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        };
        let frozen = plan::build(&request)?;
        timing.mark("plan");
        let born_in = cgroup.as_ref().map(|cgroup| cgroup.dir().into());
        let mut born = Born {
            limits: spec.process().as_ref().map(|p| Limits::new(p, frozen.view().plan)).unwrap_or_default(),
            maps,
            record: Some(Record { dir, file, template, stale: false }),
            agent: state.details.agent.clone(),
            state,
            hooks,
            cgroup: if scope {
                Joins::Scope(Box::new(Scope {
                    location,
                    resources: self.resources(),
                    annotations: spec.annotations().clone(),
                    owner: cgroup_owner::of(spec),
                    made: None,
                }))
            } else {
                Joins::Born
            },
            console: None,
            hook_output: output.as_ref().map(Output::fd),
            size: Terminal::size().filter(|_| self.mode == Command::RunForeground),
            status: "creating",
            sources: Some(trees::Sources { spec, bundle: &self.bundle.dir }),
            stays: self.options.console_socket.is_none() && !self.options.io.return_console,
            rdt: rdt.take(),
            devices,
            timing,
        };
        let spawned = spawn(&frozen, (ours, theirs), born_in, &mut born, output.as_ref());
        if let Joins::Scope(scope) = born.cgroup {
            *cgroup = scope.made;
        }
        *rdt = born.rdt;
        let spawned = spawned?;
        let (state, console, mut timing) = (born.state, born.console, born.timing);
        timing.mark("spawn");
        let created = self.finish(spawned, state, console)?;
        self.refuse_killed(&created, cgroup.as_ref())?;
        timing.mark("deliver");
        if self.options.timing {
            timing.print();
        }
        Ok(created)
    }

    /// What the child finds open.
    fn descriptors(
        &self,
        socket: i32,
        stdio: [i32; 3],
        gate: Option<&OwnedFd>,
        output: Option<&Output>,
    ) -> Fds {
        Fds {
            socket,
            gate: gate.map_or(-1, AsRawFd::as_raw_fd),
            hook_output: output.map_or(-1, Output::number),
            stdio,
            preserve: self.handed.count,
            reserved: 0,
        }
    }

    fn finish(
        &self,
        spawned: Spawned,
        state: State,
        console: Option<OwnedFd>,
    ) -> Result<Created, LaunchError> {
        let pidfd = spawned.pidfd.into();
        let mut created = Created { pid: spawned.pid, pidfd, console, notify: None, state, dir: None };
        if let Err(error) = self.deliver(&mut created) {
            let pidfd = Fd::of(&created.pidfd);
            let _ = krun_sys::process::pidfd_send_signal(pidfd, nix::libc::SIGKILL);
            let _ = krun_sys::process::waitid_pidfd(pidfd, 0);
            return Err(error);
        }
        Ok(created)
    }

    /// With `run` a child that was killed on its way to the program looks like
    /// a program that ended at once; the cgroup knows better.
    fn refuse_killed(&self, created: &Created, cgroup: Option<&Cgroup>) -> Result<(), LaunchError> {
        let limited = self.resources().is_some_and(|resources| resources.memory().is_some());
        if self.mode == Command::Create || !limited {
            return Ok(());
        }
        let Some(Ok(1..)) = cgroup.map(Cgroup::oom_kills) else { return Ok(()) };
        // The killer counts before the victim is gone.
        let pidfd = Fd::of(&created.pidfd);
        let _ = krun_sys::fs::poll(pidfd, nix::libc::POLLIN, 2000);
        let look = nix::libc::WNOHANG | nix::libc::WNOWAIT;
        match krun_sys::process::waitid_pidfd(pidfd, look) {
            Ok(Some(Exit::Signal(nix::libc::SIGKILL))) => {
                Err(LaunchError::Died("it was OOM-killed (memory limit too low?)".to_owned()))
            }
            _ => Ok(()),
        }
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

    /// prestart and createRuntime hooks.
    fn host_hooks(&self) -> [Vec<Hook>; 2] {
        let hooks = self.bundle.spec.hooks().as_ref();
        let list = |list: Option<&Option<Vec<Hook>>>| list.cloned().flatten().unwrap_or_default();
        [list(hooks.map(Hooks::prestart)), list(hooks.map(Hooks::create_runtime))]
    }

    fn hook_output(&self) -> Result<Option<Output>, LaunchError> {
        let Some(hooks) = self.bundle.spec.hooks() else { return Ok(None) };
        let create = hooks.create_container().as_deref().unwrap_or_default();
        // After `create` nobody is left who could read what they write.
        let start = hooks.start_container().as_deref().filter(|_| self.mode != Command::Create);
        Output::new(if create.is_empty() { start.unwrap_or_default() } else { create })
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

    /// Whether setgroups(2) is denied in the container's user namespace: a new
    /// one, one that is joined by the path of a process, or krun's own.
    fn deny_setgroups(&self, maps: Option<&Maps>) -> bool {
        let inherited = self.facts.in_user_namespace && idmap::denies_setgroups("/proc/self");
        if maps.is_some_and(Maps::deny_setgroups) || inherited {
            return true;
        }
        let namespaces = self.bundle.spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref());
        let user = namespaces.into_iter().flatten().find(|ns| ns.typ() == LinuxNamespaceType::User);
        let process = user.and_then(|ns| ns.path().as_deref()?.to_str()?.strip_suffix("/ns/user"));
        process.is_some_and(idmap::denies_setgroups)
    }

    /// The cgroup with its limits and its owner; none where a rootless container can do without.
    fn make_cgroup(&self, location: Location) -> Result<Option<Cgroup>, LaunchError> {
        match Cgroup::create(location, self.resources()) {
            Ok(cgroup) => {
                let applied = self.resources().map_or(Ok(()), |resources| cgroup.apply(resources));
                let owner = cgroup_owner::of(&self.bundle.spec).filter(|_| self.facts.privileged);
                let owned = applied.and_then(|()| owner.map_or(Ok(()), |uid| cgroup.chown(uid, None)));
                if let Err(error) = owned {
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

/// The FIFO of a created container. It is opened for reading and writing, so
/// that the open does not block and the read does not end early (fifo(7)).
fn open_gate(dir: &StateDir) -> Result<OwnedFd, LaunchError> {
    let what = || format!("{}/{}", dir.path().display(), GATE.to_string_lossy());
    nix::unistd::mkfifoat(dir, GATE, Mode::from_bits_truncate(0o600))
        .map_err(|errno| LaunchError::call(what(), "mkfifo", errno as i32))?;
    openat(dir, GATE, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| LaunchError::call(what(), "open", errno as i32))
}
