//! What can go wrong with a cgroup.

use std::path::PathBuf;

use nix::errno::Errno;

/// An operation on a cgroup failed. Every variant names the file, the cgroup
/// or the field of config.json it is about; an errno is the `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// The host has no cgroup v2 at all.
    #[error(
        "no cgroup2 filesystem is mounted (looked at /sys/fs/cgroup, /sys/fs/cgroup/unified and /proc/self/mountinfo)"
    )]
    NoMount,

    /// `linux.cgroupsPath` can't be a cgroupfs path.
    #[error("linux.cgroupsPath: {reason}: {path:?}")]
    Path {
        /// The value found.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// `linux.cgroupsPath` is not what the systemd driver expects.
    #[error(
        "linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {0:?} instead"
    )]
    SystemdPath(String),

    /// A systemd slice name that doesn't follow systemd's naming.
    #[error("linux.cgroupsPath: invalid slice name: {0}")]
    SliceName(String),

    /// The container was created with `--cgroup-manager=disabled`.
    #[error("the container has no cgroup of its own (cgroup manager \"disabled\")")]
    Disabled,

    /// Processes live in the cgroup that the container is to get.
    #[error("container's cgroup is not empty: {count} process(es) found in {}", path.display())]
    NotEmpty {
        /// The cgroup's directory.
        path: PathBuf,
        /// Processes in it and in its sub-cgroups.
        count: usize,
    },

    /// A process put into the cgroup would never run.
    #[error("container's cgroup unexpectedly frozen: {}", .0.display())]
    Frozen(PathBuf),

    /// The cgroup lies below a threaded one or one with processes.
    #[error("cannot enter cgroupv2 {path:?} with domain controllers -- it is in {kind} mode")]
    NotDomain {
        /// The cgroup's directory.
        path: PathBuf,
        /// What cgroup.type says.
        kind: String,
    },

    /// A system call on a file of cgroupfs failed.
    #[error("{call} {}", path.display())]
    File {
        /// The system call.
        call: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: Errno,
    },

    /// A rootless container may not make its cgroup, and needs none: run
    /// without.
    #[error("no permission to create cgroup {}", path.display())]
    RootlessUnavailable {
        /// The cgroup that could not be made.
        path: PathBuf,
    },

    /// A rootless container may not make its cgroup, and needs one.
    #[error(
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: mkdir {}",
        path.display()
    )]
    RootlessLimits {
        /// The cgroup that could not be made.
        path: PathBuf,
        /// Why.
        source: Errno,
    },

    /// A limit was refused by the kernel.
    #[error("{field}: cannot set {file} to {value:?} in {}", dir.display())]
    Set {
        /// Field of config.json (or of `update --resources`).
        field: String,
        /// The interface file.
        file: String,
        /// What was written.
        value: String,
        /// The cgroup's directory.
        dir: PathBuf,
        /// Why.
        source: Errno,
    },

    /// A limit needs a controller that this cgroup doesn't have.
    #[error("{field}: cannot set {file} in {}: the {controller} controller {reason}", dir.display())]
    NoController {
        /// Field of config.json.
        field: String,
        /// The interface file.
        file: String,
        /// The cgroup's directory.
        dir: PathBuf,
        /// Which controller.
        controller: String,
        /// Why it is missing.
        reason: String,
    },

    /// A value of config.json that can't be turned into a cgroup v2 setting.
    #[error("{field}: {reason}")]
    Value {
        /// Field of config.json.
        field: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The device filter could not be loaded or attached.
    #[error("linux.resources.devices: bpf {call} for {}{log}", dir.display())]
    Devices {
        /// `BPF_PROG_LOAD` or `BPF_PROG_ATTACH`, …
        call: &'static str,
        /// The cgroup's directory.
        dir: PathBuf,
        /// The verifier's words, if it had any, with a leading ": ".
        log: String,
        /// Why.
        source: Errno,
    },

    /// A wait on cgroup.events took too long.
    #[error("timed out after {seconds} s waiting for {} to become {state}", dir.display())]
    Timeout {
        /// The cgroup's directory.
        dir: PathBuf,
        /// frozen, thawed or empty.
        state: &'static str,
        /// How long it was.
        seconds: u64,
    },

    /// An interface file has a form this version doesn't know.
    #[error("{}: cannot parse {text:?}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// The line or word in question.
        text: String,
    },

    /// A process can't be moved into a cgroup.
    #[error("adding pid {pid} to cgroups {}", path.display())]
    Join {
        /// The process.
        pid: i32,
        /// The cgroup's list of processes.
        path: PathBuf,
        /// Why.
        source: Errno,
    },

    /// `exec --cgroup` with a path that leaves the container's cgroup.
    #[error("bad sub cgroup path: {0}")]
    SubCgroup(String),

    /// The systemd driver failed.
    #[error(transparent)]
    Systemd(#[from] super::systemd::SystemdError),
}

impl CgroupError {
    pub(crate) fn file(call: &'static str, path: impl Into<PathBuf>, source: Errno) -> Self {
        Self::File { call, path: path.into(), source }
    }
}
