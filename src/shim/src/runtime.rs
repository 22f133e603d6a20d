//! The shim's use of the runtime: one container, by its verbs. Everything here
//! may block and runs in a worker. No process of a runtime is started: the
//! krun library does the work.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use krun::bundle::{process_from_json, resources_from_json};
use krun::container::{self, Force};
use krun::launch::{self, CgroupDriver, CreateOptions, ExecOptions, ExecProcess, Host, Io, Rootless};
use krun::state::ContainerId;

use crate::options_file;
use crate::proto::metrics;
use crate::proto::options::Options;
use crate::proto::task::Create;
use crate::proto::ttrpc::{Code, Status};
use crate::rootfs;
use crate::spec::Brief;
use crate::stdio::Context;

/// A process that was made: a child of this one.
#[derive(Debug)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// The master of its terminal.
    pub console: Option<OwnedFd>,
}

impl Process {
    fn new(pid: i32, pidfd: OwnedFd, console: Option<OwnedFd>) -> Self {
        Self { pid: pid.unsigned_abs(), pidfd, console }
    }

    /// Ends it.
    pub fn kill(&self) {
        let fd = krun_sys::Fd::of(&self.pidfd);
        let _ = krun_sys::process::pidfd_send_signal(fd, krun_sys::libc::SIGKILL);
    }
}

/// A container, as the runtime knows it.
#[derive(Debug)]
pub struct Container {
    id: ContainerId,
    namespace: String,
    bundle: String,
    host: Host,
    options: Options,
    brief: Brief,
    cgroup: OnceLock<PathBuf>,
}

/// An error of the library as a client sees it: with its causes, after what
/// was tried.
fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Status {
    Status::new(Code::Unknown, format!("{what}: {}", krun::chain(error)))
}

/// What a client sent that can't be meant.
fn invalid(error: &(dyn std::error::Error + 'static)) -> Status {
    Status::new(Code::InvalidArgument, krun::chain(error))
}

fn host(options: &Options, namespace: &str) -> Host {
    let cgroup_driver = if options.systemd_cgroup { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
    Host { root: options_file::state_root(options, namespace), cgroup_driver, rootless: Rootless::Auto }
}

impl Container {
    /// Reads what Create brought and mounts the rootfs.
    pub fn prepare(request: &Create, namespace: &str) -> Result<Self, Status> {
        let invalid = |text: String| Status::new(Code::InvalidArgument, text);
        let id = ContainerId::new(request.id.as_str()).map_err(|e| invalid(e.to_string()))?;
        let options = match &request.options {
            Some(any) => Options::from_any(any)
                .map_err(|_| invalid(format!("options of unknown type {:?}", any.type_url)))?,
            None => Options::default(),
        };
        let bundle = Path::new(&request.bundle);
        let brief = Brief::read(bundle).map_err(|e| failed("config.json", &e))?;
        options_file::write(bundle, &options).map_err(|e| failed("options", &e))?;
        rootfs::mount_all(&request.rootfs, &bundle.join("rootfs"))
            .map_err(|e| failed("failed to mount rootfs", &e))?;
        Ok(Self {
            id,
            namespace: namespace.to_owned(),
            bundle: request.bundle.clone(),
            host: host(&options, namespace),
            options,
            brief,
            cgroup: OnceLock::new(),
        })
    }

    /// The bundle's path.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// Whether the death of init is the death of all.
    pub fn has_private_pids(&self) -> bool {
        self.brief.private_pids
    }

    /// What wiring a process's stdio must know.
    pub fn stdio_context(&self) -> Context<'_> {
        Context {
            id: self.id.as_str(),
            namespace: &self.namespace,
            labelled: self.brief.labelled,
            owner: (self.options.io_uid, self.options.io_gid),
        }
    }

    /// Makes the container; its init waits for the start.
    pub fn create(&self, stdio: &[Option<OwnedFd>; 3], terminal: bool) -> Result<Process, Status> {
        let options = CreateOptions {
            host: self.host.clone(),
            id: self.id.clone(),
            bundle: PathBuf::from(&self.bundle),
            config: None,
            console_socket: None,
            pidfd_socket: None,
            pid_file: None,
            no_pivot: self.options.no_pivot_root,
            no_new_keyring: self.options.no_new_keyring,
            preserve_fds: 0,
            timing: false,
            io: io(stdio, terminal),
        };
        let created = launch::create(&options).map_err(|e| failed("OCI runtime create failed", &e))?;
        let _ = self.cgroup.set(created.state.head.cgroup.dir());
        Ok(Process::new(created.pid, created.pidfd, created.console))
    }

    /// Lets init run; says why its program couldn't be executed.
    pub fn start(&self) -> Result<(), Status> {
        launch::start(&self.host.root, &self.id).map_err(|e| failed("OCI runtime start failed", &e))
    }

    /// Runs a process (the runtime spec's Process as JSON) in the container.
    pub fn exec(&self, spec: &[u8], stdio: &[Option<OwnedFd>; 3], terminal: bool) -> Result<Process, Status> {
        let mut process = process_from_json(spec, Path::new("process")).map_err(|e| invalid(&e))?;
        process.set_terminal(Some(terminal));
        let options = ExecOptions {
            host: self.host.clone(),
            id: self.id.clone(),
            process: ExecProcess::Whole(Box::new(process)),
            console_socket: None,
            pidfd_socket: None,
            pid_file: None,
            detach: true,
            preserve_fds: 0,
            cgroup: None,
            ignore_paused: false,
            timing: false,
            io: io(stdio, terminal),
        };
        let made = launch::exec(&options).map_err(|e| failed("OCI runtime exec failed", &e))?;
        Ok(Process::new(made.pid, made.pidfd, made.console))
    }

    fn open(&self, what: &str) -> Result<container::Container, Status> {
        container::Container::open(&self.host.root, &self.id).map_err(|e| failed(what, &e))
    }

    /// Signals every process of the container.
    pub fn kill(&self, signal: i32) -> Result<(), Status> {
        let what = "OCI runtime kill failed";
        self.open(what)?.signal_all(signal).map_err(|e| failed(what, &e))
    }

    /// Kills what is left after init.
    pub fn kill_all(&self) {
        let _ = self.kill(krun_sys::libc::SIGKILL);
    }

    /// Freezes it.
    pub fn pause(&self) -> Result<(), Status> {
        let what = "OCI runtime pause failed";
        self.open(what)?.pause().map_err(|e| failed(what, &e))
    }

    /// Thaws it.
    pub fn resume(&self) -> Result<(), Status> {
        let what = "OCI runtime resume failed";
        self.open(what)?.resume().map_err(|e| failed(what, &e))
    }

    /// Changes its limits (the runtime spec's LinuxResources as JSON).
    pub fn update(&self, resources: &[u8]) -> Result<(), Status> {
        let what = "OCI runtime update failed";
        let resources = resources_from_json(resources, Path::new("resources")).map_err(|e| invalid(&e))?;
        container::update(&self.host.root, &self.id, &resources).map_err(|e| failed(what, &e))
    }

    /// Its processes, in the host's pid namespace.
    pub fn pids(&self) -> Result<Vec<u32>, Status> {
        let what = "pids";
        let pids = self.open(what)?.pids().map_err(|e| failed(what, &e))?;
        Ok(pids.into_iter().map(i32::unsigned_abs).collect())
    }

    /// Its resource usage, as `io.containerd.cgroups.v2.Metrics`.
    pub fn stats(&self) -> Result<Vec<u8>, Status> {
        let what = "stats";
        let cgroup = self.open(what)?.cgroup().map_err(|e| failed(what, &e))?;
        Ok(metrics::encode(&cgroup.metrics().map_err(|e| failed(what, &e))?))
    }

    /// Directory of its cgroup.
    pub fn cgroup(&self) -> Option<PathBuf> {
        self.cgroup.get().cloned()
    }

    /// Removes it; its processes have ended.
    pub fn delete(&self) -> Result<(), Status> {
        // One that somebody deleted behind our back is as good as deleted.
        container::delete(&self.host.root, &self.id, Force::Yes)
            .map_err(|e| failed("OCI runtime delete failed", &e))?;
        rootfs::unmount_all(&self.rootfs()).map_err(|e| failed("failed to unmount rootfs", &e))
    }

    fn rootfs(&self) -> PathBuf {
        Path::new(&self.bundle).join("rootfs")
    }

    /// Takes back a create that failed half-way.
    pub fn undo(&self) {
        if self.cgroup.get().is_some() {
            let _ = container::delete(&self.host.root, &self.id, Force::Yes);
        }
        let _ = rootfs::unmount_all(&self.rootfs());
    }
}

/// The descriptors are the caller's, who closes them once the process has its
/// own.
fn io(stdio: &[Option<OwnedFd>; 3], terminal: bool) -> Io {
    let number = |fd: &Option<OwnedFd>| fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let [stdin, stdout, stderr] = stdio;
    Io { stdio: [number(stdin), number(stdout), number(stderr)], return_console: terminal, reset_thp: true }
}

/// Removes a container of a shim that died; returns its pid, if it is known.
pub fn force_delete(root: &Path, id: &str, bundle: &Path) -> u32 {
    let mut pid = 0;
    if let Ok(id) = ContainerId::new(id) {
        if let Ok(container) = container::Container::open(root, &id) {
            pid = container.head().pid.unsigned_abs();
        }
        if let Err(e) = container::delete(root, &id, Force::Yes) {
            crate::log::line(&krun::chain(&e));
        }
    }
    if let Err(e) = rootfs::unmount_all(&bundle.join("rootfs")) {
        crate::log::line(&e);
    }
    pid
}

/// The runtime spec's features as JSON.
pub fn features() -> Vec<u8> {
    krun::features::features().to_string().into_bytes()
}
