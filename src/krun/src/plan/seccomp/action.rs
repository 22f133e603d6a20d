//! Actions and their values: what a filter returns to the kernel.

use oci_spec::runtime::LinuxSeccompAction;

use super::error::SeccompError;

/// A filter's return value: action in the upper half, data in the lower
/// (`SECCOMP_RET_*` of linux/seccomp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Return(pub u32);

impl Return {
    pub(super) const KILL_PROCESS: Self = Self(0x8000_0000);
    pub(super) const KILL_THREAD: Self = Self(0x0000_0000);
    pub(super) const TRAP: Self = Self(0x0003_0000);
    pub(super) const ERRNO: Self = Self(0x0005_0000);
    pub(super) const NOTIFY: Self = Self(0x7fc0_0000);
    pub(super) const TRACE: Self = Self(0x7ff0_0000);
    pub(super) const LOG: Self = Self(0x7ffc_0000);
    pub(super) const ALLOW: Self = Self(0x7fff_0000);

    /// "Function not implemented": what a kernel without the call says, and
    /// what makes C libraries fall back to an older one.
    pub(super) const ENOSYS: Self = Self(Self::ERRNO.0 | 38);

    /// The action without its data.
    pub(super) fn action(self) -> Self {
        Self(self.0 & 0xffff_0000)
    }

    /// Whether calls that nobody knew of when the profile was written may run.
    /// A tracer counts: it has to answer ENOSYS by itself.
    pub(super) fn is_permissive(self) -> bool {
        matches!(self.action(), Self::ALLOW | Self::LOG | Self::TRACE)
    }

    /// The return value for an OCI action; `path` is where its errno value stands.
    pub(super) fn new(
        action: LinuxSeccompAction,
        errno: Option<u32>,
        path: impl FnOnce() -> String,
    ) -> Result<Self, SeccompError> {
        let (base, limit) = match action {
            LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
                (Self::KILL_THREAD, None)
            }
            LinuxSeccompAction::ScmpActKillProcess => (Self::KILL_PROCESS, None),
            LinuxSeccompAction::ScmpActTrap => (Self::TRAP, None),
            // MAX_ERRNO of linux/err.h; the kernel would cap it silently.
            LinuxSeccompAction::ScmpActErrno => (Self::ERRNO, Some(4095)),
            LinuxSeccompAction::ScmpActNotify => (Self::NOTIFY, None),
            LinuxSeccompAction::ScmpActTrace => (Self::TRACE, Some(0xffff)),
            LinuxSeccompAction::ScmpActLog => (Self::LOG, None),
            LinuxSeccompAction::ScmpActAllow => (Self::ALLOW, None),
        };
        match (errno, limit) {
            (None, None) => Ok(base),
            // OCI runtime-spec, config-linux: the default is EPERM.
            (None, Some(_)) => Ok(Self(base.0 | 1)),
            (Some(value), Some(limit)) if value <= limit => Ok(Self(base.0 | value)),
            (Some(value), Some(limit)) => Err(SeccompError::ErrnoRange { path: path(), value, limit }),
            (Some(_), None) => Err(SeccompError::ErrnoNotTaken { path: path(), action }),
        }
    }
}
