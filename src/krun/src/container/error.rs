//! Why a verb on an existing container fails.
use nix::errno::Errno;

use crate::cgroup::CgroupError;
use crate::state::{StateError, Status};

/// Why a verb on an existing container fails.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Its state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The verb needs its process.
    #[error("container not running: {id}")]
    NotRunning {
        /// The container.
        id: String,
    },
    /// `resume` of a container that runs.
    #[error("container not paused: {id}")]
    NotPaused {
        /// The container.
        id: String,
    },
    /// `delete` of a container that isn't stopped.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped {
        /// The container.
        id: String,
        /// What it is doing.
        status: Status,
    },
    /// It ignores SIGKILL: it waits in the kernel.
    #[error("container init still running: {id}, pid {pid}")]
    StillRunning {
        /// The container.
        id: String,
        /// Its init.
        pid: i32,
    },
    /// Something of it can't be removed.
    #[error("remove container {id}")]
    Remove {
        /// The container.
        id: String,
        /// What, and why.
        source: Box<crate::launch::LaunchError>,
    },
    /// The signal can't be sent.
    #[error("send signal {signal} to container {id}")]
    Signal {
        /// The container.
        id: String,
        /// The signal's number.
        signal: i32,
        /// Why.
        source: Errno,
    },
    /// The state root can't be listed.
    #[error("open {}", root.display())]
    List {
        /// The root.
        root: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
