//! Namespaces that are joined by path.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::LaunchError;
use crate::plan::Joined;

/// Open namespaces; they close when this is dropped.
#[derive(Debug, Default)]
pub struct Open {
    fds: Vec<OwnedFd>,
    /// For the plan.
    pub joined: Vec<Joined>,
}

/// Opens every namespace of the specification that has a path.
///
/// # Errors
/// The path can't be opened: `lstat`-like text with the path, as runc's.
pub fn open_joined(spec: &Spec) -> Result<Open, LaunchError> {
    let mut opened = Open::default();
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    for (index, namespace) in list.iter().enumerate() {
        let Some(path) = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) else {
            continue;
        };
        let fd = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).map_err(|errno| {
            LaunchError::call(
                format!("linux.namespaces[{index}].path {}", path.display()),
                "open",
                errno as i32,
            )
        })?;
        opened.joined.push(Joined { flags: flag(namespace.typ()), fd: fd.as_raw_fd(), index });
        opened.fds.push(fd);
    }
    Ok(opened)
}

/// The kernel's flag of a kind of namespace (`CLONE_NEW*`).
#[must_use]
pub fn flag(kind: LinuxNamespaceType) -> u64 {
    u64::from((kind as i32).cast_unsigned())
}
