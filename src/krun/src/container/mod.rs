//! The verbs on an existing container: state, list, kill, pause, resume, processes. The command line and the containerd
//! shim share them; `delete` and `update` are in their own files.
mod delete;
mod error;
mod list;
mod update;

use std::path::Path;

use nix::errno::Errno;

use crate::cgroup::{self, Cgroup, CgroupError, Location};
use crate::state::{ContainerId, GATE, Head, StateDir, Status};

pub use delete::{Force, delete};
pub use error::ContainerError;
pub use list::{Listed, list};
pub use update::update;

/// A container that has a state.
#[derive(Debug)]
pub struct Container {
    dir: StateDir,
    head: Head,
}

impl Container {
    /// Reads the state of a container.
    ///
    /// # Errors
    /// [`ContainerError::State`].
    pub fn open(root: &Path, id: &ContainerId) -> Result<Self, ContainerError> {
        let dir = StateDir::open(root, id)?;
        let head = dir.head()?;
        Ok(Self { dir, head })
    }

    /// What its state says.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Its state directory.
    #[must_use]
    pub fn dir(&self) -> &StateDir {
        &self.dir
    }

    /// What it is doing now.
    ///
    /// # Errors
    /// [`ContainerError::Cgroup`] if the freezer can't be read.
    pub fn status(&self) -> Result<Status, ContainerError> {
        let alive = self.head.identity().is_alive();
        status_of(&self.head, alive, cgroup::is_frozen, || self.dir.has(GATE))
    }

    /// Its cgroup.
    ///
    /// # Errors
    /// [`CgroupError`]: it is gone, or the container has none of its own.
    pub fn cgroup(&self) -> Result<Cgroup, CgroupError> {
        Cgroup::open(self.head.cgroup.clone())
    }

    fn not_running(&self) -> ContainerError {
        ContainerError::NotRunning { id: self.head.id.clone() }
    }

    /// Sends a signal to init. SIGKILL to a container without a pid namespace of its own kills the whole cgroup, where
    /// init's death takes nobody else along.
    ///
    /// # Errors
    /// [`ContainerError::NotRunning`], [`ContainerError::Signal`].
    pub fn kill(&self, signal: i32) -> Result<(), ContainerError> {
        let kills_all = signal == nix::libc::SIGKILL && !self.head.private_pid_namespace;
        if kills_all && self.kill_cgroup()? {
            return Ok(());
        }
        let failed = |source| match source {
            Errno::ESRCH => self.not_running(),
            source => ContainerError::Signal { id: self.head.id.clone(), signal, source },
        };
        let init = self.head.identity().open().map_err(failed)?;
        init.send_signal(signal).map_err(failed)
    }

    /// Sends a signal to every process of the container; to init if it has no cgroup of its own.
    ///
    /// # Errors
    /// [`ContainerError::NotRunning`], [`ContainerError::Signal`], [`ContainerError::Cgroup`].
    pub fn signal_all(&self, signal: i32) -> Result<(), ContainerError> {
        let sent = match (signal, self.cgroup()) {
            (nix::libc::SIGKILL, _) => self.kill_cgroup()?,
            (_, Ok(cgroup)) if cgroup.events()?.populated => {
                cgroup.signal_frozen(signal)?;
                true
            }
            (_, Ok(_)) => false,
            (_, Err(error)) if is_absent(&error) => false,
            (_, Err(error)) => return Err(error.into()),
        };
        if sent { Ok(()) } else { self.kill(signal) }
    }

    /// Kills everything in the cgroup; false if there was nothing, or no cgroup.
    fn kill_cgroup(&self) -> Result<bool, ContainerError> {
        match self.cgroup() {
            Ok(cgroup) => {
                let populated = cgroup.events()?.populated;
                if populated {
                    cgroup.kill_all()?;
                }
                Ok(populated)
            }
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Freezes it.
    ///
    /// # Errors
    /// [`ContainerError::NotRunning`] unless it is created or running; [`ContainerError::Cgroup`].
    pub fn pause(&self) -> Result<(), ContainerError> {
        match self.status()? {
            Status::Created | Status::Running => Ok(self.cgroup()?.freeze()?),
            Status::Paused | Status::Stopped => Err(self.not_running()),
        }
    }

    /// Thaws it.
    ///
    /// # Errors
    /// [`ContainerError::NotPaused`]; [`ContainerError::Cgroup`].
    pub fn resume(&self) -> Result<(), ContainerError> {
        match self.status()? {
            Status::Paused => Ok(self.cgroup()?.thaw()?),
            _ => Err(ContainerError::NotPaused { id: self.head.id.clone() }),
        }
    }

    /// The pids of its processes, sorted, in krun's pid namespace. Empty for a stopped container.
    ///
    /// # Errors
    /// [`ContainerError::Cgroup`].
    pub fn pids(&self) -> Result<Vec<i32>, ContainerError> {
        let mut pids = match self.cgroup() {
            Ok(cgroup) => cgroup.pids(true)?,
            Err(error) if is_absent(&error) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        if pids.is_empty() && self.head.identity().is_alive() {
            pids.push(self.head.pid);
        }
        pids.sort_unstable();
        Ok(pids)
    }
}

/// What a container is doing: it follows from its process, the freezer and the start gate.
fn status_of(
    head: &Head,
    alive: bool,
    is_frozen: impl FnOnce(&Location) -> Result<bool, CgroupError>,
    has_gate: impl FnOnce() -> bool,
) -> Result<Status, ContainerError> {
    if !alive {
        return Ok(Status::Stopped);
    }
    if is_frozen(&head.cgroup)? {
        return Ok(Status::Paused);
    }
    Ok(if head.gate && has_gate() { Status::Created } else { Status::Running })
}

/// A cgroup that is gone, or that the container never had, holds no process.
fn is_absent(error: &CgroupError) -> bool {
    match error {
        CgroupError::Disabled => true,
        CgroupError::File { source, .. } => matches!(source, Errno::ENOENT | Errno::ENODEV),
        _ => false,
    }
}
