//! What can go wrong between a bundle and a running process.

use std::path::PathBuf;

use nix::errno::Errno;

use crate::bundle::BundleError;
use crate::cgroup::CgroupError;
use crate::check::ExecFault;
use crate::plan::PlanError;
use crate::state::StateError;

/// A failure of create, start, run or exec. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// config.json.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A value that has no meaning for the kernel.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A system call of krun itself.
    #[error("{what}: {call}")]
    Call {
        /// What krun was doing, with its object.
        what: String,
        /// The system call.
        call: &'static str,
        /// Why.
        source: Errno,
    },
    /// A file of krun's side.
    #[error("{what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A step of the container's process.
    #[error("unable to start container process: error during container init: {0}")]
    Child(String),
    /// The program can't be found or executed; and why, where that can be told from outside.
    #[error("unable to start container process: {text}{}", .fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default())]
    Exec {
        /// The step and the kernel's word for it.
        text: String,
        /// What is wrong with the file.
        fault: Option<ExecFault>,
    },
    /// The container's process died without a word.
    #[error("container process died before its program could start: {0}")]
    Died(String),
    /// A hook.
    #[error("error running {kind} hook #{index}: {reason}")]
    Hook {
        /// Its kind.
        kind: &'static str,
        /// Its place in the list.
        index: usize,
        /// What happened.
        reason: String,
    },
    /// The id maps could not be written.
    #[error("linux.{member}: {reason}")]
    IdMap {
        /// uidMappings or gidMappings.
        member: &'static str,
        /// What newuidmap(1), newgidmap(1) or the kernel said.
        reason: String,
    },
    /// A network device.
    #[error(
        "linux.netDevices.{name}: error creating network interfaces: move netDevice {name}: {what}: {call}"
    )]
    NetDevice {
        /// Its name on the host.
        name: String,
        /// What was done with it.
        what: String,
        /// The kernel's interface.
        call: &'static str,
        /// Why.
        source: Errno,
    },
    /// resctrl.
    #[error("linux.intelRdt: {what} {}{}", path.display(), last_command(status))]
    IntelRdt {
        /// What was tried.
        what: String,
        /// With which file.
        path: PathBuf,
        /// resctrl's last_cmd_status.
        status: String,
        /// Why.
        source: std::io::Error,
    },
    /// The flags contradict the container.
    #[error("{0}")]
    Usage(&'static str),
    /// The container is in no state for this.
    #[error("{0}")]
    Status(String),
    /// Descriptors that the caller promised are not there.
    #[error("please check that preserved-fd {fd} (of {count}) exists")]
    Preserve {
        /// The missing descriptor.
        fd: i32,
        /// How many were promised.
        count: u32,
    },
    /// The seccomp agent.
    #[error("failed to connect with seccomp agent specified in the seccomp profile: {}", path.display())]
    Agent {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn last_command(status: &str) -> String {
    if status.is_empty() { String::new() } else { format!(" (last_cmd_status: {status})") }
}

impl LaunchError {
    /// Adds what is wrong with the file, if this is about a program that can't be executed and says less.
    pub(super) fn explained(self, diagnose: impl FnOnce() -> Option<ExecFault>) -> Self {
        match self {
            LaunchError::Exec { text, fault: None } => {
                LaunchError::Exec { text, fault: diagnose().filter(|fault| !fault.is_absence()) }
            }
            other => other,
        }
    }

    /// A system call of krun itself.
    pub fn call(what: impl Into<String>, call: &'static str, errno: impl Into<i32>) -> Self {
        LaunchError::Call { what: what.into(), call, source: Errno::from_raw(errno.into()) }
    }

    /// A file of krun's side.
    pub fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| LaunchError::File { what, path, source }
    }
}
