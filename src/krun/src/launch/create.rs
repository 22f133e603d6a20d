//! `create`, and the first half of `run`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use super::birth::Launch;
use super::inherited::{Inherited, inherited};
use super::intel_rdt::Groups;
use super::notify::{Notify, Proxy};
use super::timing::Timing;
use super::{CreateOptions, LaunchError, record, rootfs_bind};
use crate::bundle::{self, Caller};
use crate::cgroup::{self, Cgroup, CgroupError, Driver, Location};
use crate::check;
use crate::host::Facts;
use crate::launch::options::{CgroupDriver, Rootless};
use crate::plan::{self, seccomp};
use crate::state::{State, StateDir};

/// A container whose process waits at the gate, or already runs.
#[derive(Debug)]
pub struct Created {
    /// Its process on the host.
    pub pid: i32,
    /// The process's pidfd.
    pub pidfd: OwnedFd,
    /// The terminal's master, if the caller wanted it back.
    pub console: Option<OwnedFd>,
    /// The container's notify socket, which `run` looks after.
    pub(super) notify: Option<Proxy>,
    /// What was written to state.json.
    pub state: State,
    /// Its state directory.
    pub(super) dir: Option<StateDir>,
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
pub(super) struct Undo {
    pub(super) dir: Option<StateDir>,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) rdt: Option<Groups>,
    /// The root file system and the mount below it, for a container without a mount namespace.
    rootfs: Option<(PathBuf, u64)>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(cgroup) = self.cgroup.take() {
            cgroup.discard();
        }
        if let Some(rdt) = self.rdt.take() {
            rdt.remove();
        }
        if let Some((rootfs, below)) = self.rootfs.take() {
            rootfs_bind::unmount(&rootfs, below);
        }
        if let Some(dir) = self.dir.take() {
            let _ = dir.remove();
        }
    }
}

/// Creates a container; its program runs at once unless `mode` is create.
pub(super) fn launch(options: &CreateOptions, mode: Command) -> Result<Created, LaunchError> {
    let mut timing = Timing::begin();
    let mut bundle = bundle::load(&options.bundle, options.config.as_deref())?;
    let mount = cgroup::mountpoint();
    let facts = Facts::probe(mount.as_ref().map_or(Path::new("/sys/fs/cgroup"), PathBuf::as_path).to_owned());
    // Root of a user namespace (rootless podman) needs none of its own: its engine has made one.
    let rootless = !nix::unistd::geteuid().is_root();
    bundle::validate(&bundle, Caller { rootless, no_pivot: options.no_pivot })?;
    check_terminal(options, &bundle.spec, mode)?;
    let handed = inherited(options.preserve_fds)?;
    // exec's defaults are those of the file, without what is handed to this one process.
    let process = bundle.spec.process().clone();
    add_env(&mut bundle.spec, &handed);
    // A program that embeds krun has a NOTIFY_SOCKET of its own, not the container's.
    let state_path = options.host.root.join(options.id.as_str());
    let notify = if options.io.return_console { None } else { Notify::from_env(&state_path) };
    if let Some(notify) = &notify {
        notify.add_to(&mut bundle.spec)?;
    }
    let program = seccomp::of(&bundle.spec).map_err(plan::PlanError::from)?;
    let rootless = match options.host.rootless {
        Rootless::Auto => !facts.privileged,
        Rootless::Yes => true,
        Rootless::No => false,
    };
    let location = locate(mount, options, &bundle.spec, rootless)?;
    timing.mark("load");

    let dir = StateDir::create(&options.host.root, &options.id)?;
    let mut undo = Undo { dir: Some(dir), cgroup: None, rdt: None, rootfs: None };
    let proxy = make_notify(notify.as_ref(), mode)?;
    let mut state = record::new_state(options, mode, &bundle, &location, rootless, program.as_ref());
    state.details.process = process;
    undo.rootfs = state.details.mount_below.map(|below| (state.head.rootfs.clone(), below));
    undo.rdt = Groups::make(&bundle.spec, options.id.as_str())?;
    state.details.intel_rdt = undo.rdt.as_ref().map(Groups::record);
    let launch =
        Launch { options, mode, bundle: &bundle, facts: &facts, handed: &handed, program: program.as_ref() };
    let mut created = launch
        .go(&mut undo, state, location, timing)
        .map_err(|error| error.explained(|| check::entry_point(&bundle)))?;
    created.notify = proxy;
    if mode != Command::Create {
        // `run` ends with its container: the kernel frees all of this at once, and more cheaply than
        // piece by piece, which would copy page after page that the child shares.
        std::mem::forget(bundle);
    }
    created.dir = undo.dir.take();
    undo.cgroup = None;
    undo.rdt = None;
    undo.rootfs = None;
    Ok(created)
}

/// The directory of the container's notify socket; the socket itself only if
/// this call stays until the container is ready. `start` makes it otherwise.
fn make_notify(notify: Option<&Notify>, mode: Command) -> Result<Option<Proxy>, LaunchError> {
    let Some(notify) = notify else { return Ok(None) };
    notify.make_dir()?;
    if mode == Command::Create { Ok(None) } else { notify.bind().map(Some) }
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

fn locate(
    mount: Result<PathBuf, CgroupError>,
    options: &CreateOptions,
    spec: &Spec,
    rootless: bool,
) -> Result<Location, CgroupError> {
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let path = path.map(|path| path.to_string_lossy());
    let driver = match options.host.cgroup_driver {
        CgroupDriver::Cgroupfs => Driver::Cgroupfs,
        CgroupDriver::Systemd => Driver::Systemd,
        CgroupDriver::Disabled => Driver::Disabled,
    };
    cgroup::locate(mount, path.as_deref(), options.id.as_str(), driver, rootless)
}
