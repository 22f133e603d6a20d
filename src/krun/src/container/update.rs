//! `update`: other limits for a container that runs.
use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::{Container, ContainerError};
use crate::cgroup::{Cgroup, merge};
use crate::state::{ContainerId, StateDir, Status};

/// Sets the limits of `new`; what it doesn't name stays as the state knows it, and the state knows both from then on.
///
/// # Errors
/// [`ContainerError::NotRunning`]; [`ContainerError::Cgroup`] with the limit that can't be set; the state's.
pub fn update(root: &Path, id: &ContainerId, new: &LinuxResources) -> Result<(), ContainerError> {
    let dir = StateDir::open(root, id)?;
    let _lock = dir.lock()?;
    if Container::open(root, id)?.status()? == Status::Stopped {
        return Err(ContainerError::NotRunning { id: id.to_string() });
    }
    let mut state = dir.load()?;
    let merged = merge(&state.details.resources.clone().unwrap_or_default(), new);
    Cgroup::open(state.head.cgroup.clone())?.update(&merged)?;
    state.details.resources = Some(merged);
    Ok(dir.write(&state)?)
}
