//! What can go wrong with a container's state directory.
use std::path::PathBuf;

use nix::errno::Errno;

/// An error of the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no such container below this root.
    #[error("container does not exist: {id}")]
    NotExist {
        /// Its id.
        id: String,
    },
    /// `create` of an id that is taken.
    #[error("container with given ID already exists: {id}")]
    Exists {
        /// Its id.
        id: String,
    },
    /// A directory that another user could change.
    #[error("{}: state directory belongs to uid {owner}, not to uid {euid}", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Our effective user id.
        euid: u32,
    },
    /// A system call on a file of the state directory.
    #[error("{call} {}", path.display())]
    Call {
        /// The system call, as in the man page.
        call: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// `state.json` is not what krun writes.
    #[error("{}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

impl StateError {
    /// Whether the container is simply not there.
    #[must_use]
    pub fn is_not_exist(&self) -> bool {
        matches!(self, Self::NotExist { .. })
    }
}
