//! `delete`: nothing of the container is left, whatever state it was in, and even if krun was killed while making it.
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{Container, ContainerError};
use crate::state::{ContainerId, StateDir, Status};
use crate::{launch, log};

/// How long a killed process may take to go away: it may have to finish a write to a slow disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// `delete --force`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Kill what runs; a container that doesn't exist is deleted already.
    Yes,
    /// Only a stopped or a created container.
    No,
}

/// Deletes a container, then runs its poststop hooks (whose errors are only logged: runtime-spec, "Lifecycle").
///
/// # Errors
/// [`ContainerError::NotStopped`] without force; [`ContainerError::StillRunning`]; the state's and the cgroup's.
pub fn delete(root: &Path, id: &ContainerId, force: Force) -> Result<(), ContainerError> {
    let absent = |error: &ContainerError| {
        matches!(error, ContainerError::State(error) if error.is_not_exist()) && force == Force::Yes
    };
    match try_delete(root, id, force) {
        Err(error) if absent(&error) => Ok(()),
        other => other,
    }
}

fn try_delete(root: &Path, id: &ContainerId, force: Force) -> Result<(), ContainerError> {
    let dir = StateDir::open(root, id)?;
    // A create or a start that is under way holds the lock; what it leaves behind is looked at after it.
    let lock = dir.lock()?;
    let state = match dir.load() {
        Ok(state) => state,
        Err(error) if error.is_not_exist() => {
            // krun was killed before there was anything but the directory.
            dir.remove()?;
            return Err(error.into());
        }
        // Written by another version, or damaged: its processes and cgroup can't be known.
        Err(error) if force == Force::Yes => {
            log::warning(format_args!("deleting a container with a damaged state: {}", crate::chain(&error)));
            return Ok(dir.remove()?);
        }
        Err(error) => return Err(error.into()),
    };
    let container = Container { head: dir.head()?, dir };
    let status = container.status()?;
    match (status, force) {
        (Status::Stopped, Force::No) => {}
        (Status::Created, _) | (_, Force::Yes) => container.kill_and_wait(status)?,
        (status, Force::No) => return Err(ContainerError::NotStopped { id: id.to_string(), status }),
    }
    if state.head.pid == 0
        && let Ok(cgroup) = container.cgroup()
    {
        // krun was killed before its child had a name. The child gives up by itself; whoever else is in there was there
        // before, and is why the container could not be made.
        cgroup.wait_empty(PATIENCE)?;
    }
    let removed = launch::remove(container.dir, &state);
    drop(lock);
    removed.map_err(|error| ContainerError::Remove { id: id.to_string(), source: Box::new(error) })
}

impl Container {
    fn kill_and_wait(&self, status: Status) -> Result<(), ContainerError> {
        let head = &self.head;
        if status != Status::Stopped {
            let failed =
                |source| ContainerError::Signal { id: head.id.clone(), signal: nix::libc::SIGKILL, source };
            match head.identity().open() {
                Ok(init) => {
                    init.send_signal(nix::libc::SIGKILL).or_else(gone_is_fine).map_err(failed)?;
                    if !init.wait_for_exit(Instant::now() + PATIENCE).map_err(failed)? {
                        return Err(ContainerError::StillRunning { id: head.id.clone(), pid: head.pid });
                    }
                }
                Err(Errno::ESRCH) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(())
    }
}

fn gone_is_fine(errno: Errno) -> Result<(), Errno> {
    if errno == Errno::ESRCH { Ok(()) } else { Err(errno) }
}
