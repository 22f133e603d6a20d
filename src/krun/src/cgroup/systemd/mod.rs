//! The systemd driver: the container's cgroup is a transient scope that
//! systemd makes, asked over D-Bus.

mod unit;

use oci_spec::runtime::LinuxResources;

use super::Scope;

pub(super) use unit::unit_of;

/// systemd or the way to it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// The driver is not there yet.
    #[error("systemd unit {0}: the systemd driver is not available")]
    Unavailable(String),
}

/// Stops the unit; one that is gone is fine.
pub(super) fn stop(scope: &Scope) -> Result<(), SystemdError> {
    Err(SystemdError::Unavailable(scope.unit.clone()))
}

/// Sets the unit's properties from `resources`.
pub(super) fn update(scope: &Scope, _: &LinuxResources) -> Result<(), SystemdError> {
    Err(SystemdError::Unavailable(scope.unit.clone()))
}
