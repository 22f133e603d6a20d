//! The end of a container: its cgroup, its hooks, its state directory.

use super::{LaunchError, intel_rdt, rootfs_bind};
use crate::cgroup;
use crate::state::{State, StateDir};

/// Removes a container whose process is gone: kills what is left in its
/// cgroup, removes the cgroup, runs poststop hooks, removes the state.
///
/// # Errors
/// The cgroup or the state directory; poststop hooks only warn.
pub fn remove(dir: StateDir, state: &State) -> Result<(), LaunchError> {
    if !state.head.private_pid_namespace
        && let Ok(cgroup) = cgroup::Cgroup::open(state.head.cgroup.clone())
    {
        cgroup.kill_all()?;
    }
    // Also if the directory is gone: a failed unit of systemd's may be left.
    cgroup::delete(&state.head.cgroup)?;
    if let Some(groups) =
        state.details.intel_rdt.as_ref().and_then(|rdt| intel_rdt::Groups::open(rdt, &state.head.id))
    {
        groups.remove();
    }
    if let Some(below) = state.details.mount_below {
        rootfs_bind::unmount(&state.head.rootfs, below);
    }
    let hooks =
        state.details.hooks.as_ref().and_then(|hooks| hooks.poststop().as_deref()).unwrap_or_default();
    for hook in hooks {
        if let Err(error) = super::hooks::run("poststop", std::slice::from_ref(hook), state, "stopped") {
            crate::log::warning(crate::chain(&error));
        }
    }
    Ok(dir.remove()?)
}
