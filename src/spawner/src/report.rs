//! The fixed-size record that comes back from the child, and the parent's answer.

use krun_sys::plain;

/// First word of every report.
pub const MAGIC: u32 = 0x6b72_7270;

/// What a report says ([`Report::kind`]).
pub mod kind {
    /// A step failed; the child is gone.
    pub const FAILED: u16 = 1;
    /// The helper made the container's process: `detail` is its pid.
    pub const CLONED: u16 = 2;
    /// Waiting for the id maps.
    pub const MAPS: u16 = 3;
    /// Waiting to be put into a cgroup.
    pub const CGROUP: u16 = 4;
    /// Waiting for the hooks that the parent runs.
    pub const HOOKS: u16 = 5;
    /// Waiting for limits to be set and state to be written.
    pub const READY: u16 = 6;
    /// A terminal's master comes with this message; `detail` is its number.
    pub const CONSOLE: u16 = 7;
    /// `detail` is the child's descriptor of the seccomp listener; waiting.
    pub const LISTENER: u16 = 8;
    /// Standing at the gate.
    pub const GATE: u16 = 9;
    /// Waiting for the tree of mount `detail` (index in the specification),
    /// which comes with the answer.
    pub const TREE: u16 = 10;
    /// Waiting for the descriptor of hooks' output, which comes with the answer.
    pub const OUTPUT: u16 = 11;
}

plain! {
    /// What the child tells.
    pub struct Report {
        /// [`MAGIC`].
        pub magic: u32,
        /// One of [`kind`].
        pub kind: u16,
        /// Number of the [`crate::step::Step`].
        pub step: u16,
        /// What the step worked on.
        pub index: u32,
        /// Error number (errno(3)).
        pub errno: i32,
        /// Meaning by kind and step.
        pub detail: u64,
    }

    /// What the parent answers: go on. A closed socket means: give up.
    pub struct Reply {
        /// The kind that is answered.
        pub kind: u64,
    }
}

impl Report {
    /// A report that is not about a failure.
    pub fn of(kind: u16, detail: u64) -> Report {
        Report { magic: MAGIC, kind, detail, ..Report::default() }
    }
}
