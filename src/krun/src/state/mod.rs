//! What is remembered about a container between two commands: `<root>/<id>/state.json` and its neighbours.
//!
//! The status is never stored: it follows from the process, the start gate and the freezer.
mod dir;
mod error;
mod id;
mod listing;
pub mod process;
mod root;
mod template;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use oci_spec::runtime::{
    Hooks, LinuxMemoryPolicy, LinuxNamespaceType, LinuxPersonality, LinuxResources, Process,
};
use serde::{Deserialize, Serialize};

use crate::cgroup::Location;

pub use dir::{GATE, Lock, STATE, StateDir};
pub use error::StateError;
pub use id::{ContainerId, IdError};
pub use listing::Listing;
pub use root::default_root;
pub use template::Template;
#[cfg(feature = "fuzz")]
pub(crate) use view::parse as user_names;
pub use view::{OciState, Owners, View};

/// `state.json`: two JSON values, a line each, so that who needs the first alone does not read on.
#[derive(Clone, Debug)]
pub struct State {
    /// The first line.
    pub head: Head,
    /// The second line; boxed, since states travel from function to function.
    pub details: Box<Details>,
}

/// What `state`, `list`, `kill` and `delete` need. The three numbers that are only known after clone come first:
/// [`Template`] relies on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Pid of the container's init in krun's pid namespace; 0 before it is cloned.
    pub pid: i32,
    /// See [`process::Identity::start_time`].
    pub start_time: u64,
    /// See [`process::Identity::inode`].
    #[serde(default)]
    pub pidfd_inode: u64,
    /// `ociVersion` of config.json.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root file system.
    pub rootfs: PathBuf,
    /// When it was created: RFC 3339 with nanoseconds, UTC.
    pub created: String,
    /// The annotations of config.json.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who created it.
    pub owner_uid: u32,
    /// Its cgroup; the driver is `Disabled` where it has none of its own.
    pub cgroup: Location,
    /// Whether it has a pid namespace of its own, so that its init's death is everyone's.
    #[serde(default)]
    pub private_pid_namespace: bool,
    /// Whether it was made with a start gate, which `start` takes away: without one nobody looks for it.
    pub gate: bool,
}

/// What `exec`, `start`, `update` and hooks need besides.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Created without privileges over the host.
    #[serde(default)]
    pub rootless: bool,
    /// Whether systemd owns the cgroup.
    #[serde(default)]
    pub systemd_cgroup: bool,
    /// `create --no-new-keyring`.
    #[serde(default)]
    pub no_new_keyring: bool,
    /// The mount on which the root file system was bound, for a container without a mount namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_below: Option<u64>,
    /// The namespaces that exec joins: kind and, where it was joined by path, that path.
    #[serde(default)]
    pub namespaces: Vec<NamespaceRecord>,
    /// The process of config.json: exec's defaults.
    pub process: Option<Process>,
    /// The limits in force: what `update` starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<LinuxResources>,
    /// The compiled seccomp program lies beside this file, for exec.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seccomp: bool,
    /// The agent that gets the filter's listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<crate::launch::Agent>,
    /// `linux.personality`, which exec's processes have too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<LinuxPersonality>,
    /// `linux.memoryPolicy`, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_policy: Option<LinuxMemoryPolicy>,
    /// The hooks that are still to run: poststart, poststop (startContainer runs in the container).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// The resctrl group, relative to its mount point, and whether krun made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<IntelRdtRecord>,
}

/// One namespace of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: LinuxNamespaceType,
    /// The file it was joined by; none if it was made for this container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// What `delete` has to undo in resctrl.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntelRdtRecord {
    /// Directory below the resctrl mount.
    pub group: PathBuf,
    /// Whether it is removed with the container.
    pub remove: bool,
    /// Whether there is a monitoring group below it, which always is.
    #[serde(default)]
    pub monitor: bool,
}

/// What a container is doing (runtime-spec, "State").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting at the start gate.
    Created,
    /// Its process runs.
    Running,
    /// Frozen.
    Paused,
    /// Its process is gone.
    Stopped,
}

impl Status {
    /// The spec's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Head {
    /// Reads the first line; what follows is not looked at.
    ///
    /// # Errors
    /// serde_json's.
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        Self::deserialize(&mut serde_json::Deserializer::from_slice(bytes))
    }

    /// What names its process.
    #[must_use]
    pub fn identity(&self) -> process::Identity {
        process::Identity { pid: self.pid, start_time: self.start_time, inode: self.pidfd_inode }
    }

    /// Notes which process it is.
    pub fn set_identity(&mut self, identity: process::Identity) {
        (self.pid, self.start_time, self.pidfd_inode) = (identity.pid, identity.start_time, identity.inode);
    }
}

impl State {
    /// Reads a `state.json`.
    ///
    /// # Errors
    /// serde_json's.
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        let mut lines = serde_json::Deserializer::from_slice(bytes);
        let (head, details) = (Head::deserialize(&mut lines)?, Box::deserialize(&mut lines)?);
        lines.end()?;
        Ok(Self { head, details })
    }

    /// The bytes of a `state.json`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and maps with string keys, which always serialize.
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        let _ = serde_json::to_writer(&mut bytes, &self.details);
        bytes
    }

    /// `state.json` with room for the process's identity, to be filled in without allocating.
    #[must_use]
    pub fn render_template(&self) -> Template {
        Template::render(self)
    }
}

#[cfg(test)]
mod tests;
