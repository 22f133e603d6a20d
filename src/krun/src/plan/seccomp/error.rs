//! What can be wrong with a seccomp section.

use oci_spec::runtime::LinuxSeccompAction;

/// A seccomp section that cannot be compiled; every variant names the place in
/// config.json.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeccompError {
    /// The agent would have to answer for every call, `write` included.
    #[error("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action")]
    NotifyAsDefault,

    /// Handing the listener over needs `write` (runc's rule, kept for profiles
    /// that have to work with both).
    #[error("{path}: SCMP_ACT_NOTIFY cannot be used for the write syscall")]
    NotifyForWrite {
        /// JSON path of the name.
        path: String,
    },

    /// Notifications need an agent to go to.
    #[error("linux.seccomp.listenerPath: seccomp listenerPath is not set, but {path} is SCMP_ACT_NOTIFY")]
    NoListener {
        /// JSON path of the first action that notifies.
        path: String,
    },

    /// seccomp(2) answers EINVAL to this flag without a listener.
    #[error("{path}: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY")]
    FlagNeedsListener {
        /// JSON path of the flag.
        path: String,
    },

    /// A name of length zero.
    #[error("{path}: empty string is not a valid syscall")]
    EmptyName {
        /// JSON path of the name.
        path: String,
    },

    /// A system call has six arguments.
    #[error("{path}: argument index {index} is out of range 0..=5")]
    ArgumentIndex {
        /// JSON path of the index.
        path: String,
        /// The index asked for.
        index: usize,
    },

    /// Only ERRNO and TRACE carry a value (OCI runtime-spec, config-linux,
    /// "seccomp": the runtime must fail for other actions).
    #[error("{path}: action {action} takes no errno value")]
    ErrnoNotTaken {
        /// JSON path of the value.
        path: String,
        /// The action it was given with.
        action: LinuxSeccompAction,
    },

    /// The kernel caps errno values at 4095 and trace values at 16 bits.
    #[error("{path}: value {value} is out of range 0..={limit}")]
    ErrnoRange {
        /// JSON path of the value.
        path: String,
        /// The value asked for.
        value: u32,
        /// The largest value the action can carry.
        limit: u32,
    },

    /// Two rules with the same conditions and different actions.
    #[error("{path}: a rule for syscall {name} with the same conditions and another action comes before it")]
    Conflict {
        /// JSON path of the later rule.
        path: String,
        /// The system call.
        name: String,
    },

    /// The kernel takes at most 4096 instructions (`BPF_MAXINSNS`).
    #[error("linux.seccomp: the filter has {length} instructions, the kernel takes at most {limit}", limit = super::bpf::MAX_INSTRUCTIONS)]
    TooLong {
        /// Instructions the profile compiles to.
        length: usize,
    },
}
