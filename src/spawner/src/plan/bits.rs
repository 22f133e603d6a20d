//! The bits and numbers that stand in a plan.

/// What the child does, bit by bit ([`super::Plan::flags`]).
pub mod flag {
    /// A helper joins namespaces and clones the container's process.
    pub const HELPER: u64 = 1 << 0;
    /// The helper waits until the parent has put it into its cgroup.
    pub const AWAIT_CGROUP: u64 = 1 << 1;
    /// A new user namespace: wait for the id maps.
    pub const AWAIT_MAPS: u64 = 1 << 2;
    /// In a user namespace: become its root first (id 0 is mapped).
    pub const BECOME_ROOT: u64 = 1 << 3;
    /// A new mount namespace: build the root file system.
    pub const ROOTFS: u64 = 1 << 4;
    /// Move the root with MS_MOVE instead of pivot_root(2).
    pub const NO_PIVOT: u64 = 1 << 5;
    /// Only chroot(2): there is no mount namespace of our own.
    pub const CHROOT: u64 = 1 << 6;
    /// The root file system becomes read-only at the end.
    pub const READONLY_ROOT: u64 = 1 << 7;
    /// Create device nodes and links under /dev.
    pub const DEVICES: u64 = 1 << 8;
    /// Bind the host's device nodes: mknod(2) is not for this user namespace.
    pub const BIND_DEVICES: u64 = 1 << 9;
    /// Stop for hooks that the parent runs.
    pub const AWAIT_HOOKS: u64 = 1 << 10;
    /// Allocate a terminal and send its master to the parent.
    pub const TERMINAL: u64 = 1 << 11;
    /// Set no_new_privs.
    pub const NO_NEW_PRIVS: u64 = 1 << 12;
    /// Stand at the gate until `start`.
    pub const GATE: u64 = 1 << 13;
    /// Create the working directory when it is missing.
    pub const CREATE_CWD: u64 = 1 << 14;
    /// unshare(CLONE_NEWCGROUP) in the child, after the parent moved it.
    pub const UNSHARE_CGROUP: u64 = 1 << 15;
    /// Bring the loopback interface up.
    pub const LOOPBACK: u64 = 1 << 16;
    /// setgroups(2) is denied in this user namespace.
    pub const KEEP_GROUPS: u64 = 1 << 17;
    /// Undo PR_SET_THP_DISABLE that a shim set for itself.
    pub const RESET_THP: u64 = 1 << 18;
    /// Set all processors in the affinity mask.
    pub const RESET_AFFINITY: u64 = 1 << 19;
    /// A new time namespace with `time_offsets`.
    pub const TIME_NAMESPACE: u64 = 1 << 20;
    /// Stay undumpable only from the id maps on: an unprivileged parent writes them.
    pub const DUMPABLE_FOR_MAPS: u64 = 1 << 22;
    /// The root file system's propagation was not private: protect the old root.
    pub const SHARED_ROOT: u64 = 1 << 23;
    /// The mount namespace came by OPEN_TREE_NAMESPACE: its root is the rootfs.
    pub const TREE_NAMESPACE: u64 = 1 << 24;
    /// Setting a session keyring is best effort.
    pub const KEYRING: u64 = 1 << 25;
    /// Only with HELPER: it does all that needs privileges, and makes the process last. For exec.
    pub const CLONE_LAST: u64 = 1 << 28;
    /// The root is entered by the descriptor `root.directory`: exec into a container that shares its mount namespace.
    pub const ENTER_ROOT: u64 = 1 << 29;
    /// Start a new session.
    pub const SETSID: u64 = 1 << 27;
    /// What the parent has to do before the program runs (limits, state) it does unasked, as soon
    /// as there is a process, while this one works: its answer is waited for, but nobody is woken
    /// for a question.
    pub const READY_AHEAD: u64 = 1 << 26;
}

/// What a mount is and how its target is treated ([`super::Mount::flags`]).
pub mod mount_flag {
    /// The bind takes the tree below with it.
    pub const RECURSIVE: u32 = 1 << 0;
    /// Copy the target's content into the new tmpfs.
    pub const COPY_UP: u32 = 1 << 1;
    /// Give the tmpfs the mode of the directory below.
    pub const INHERIT_MODE: u32 = 1 << 2;
    /// The target is an ordinary directory: no symbolic link on the way.
    pub const ORDINARY_TARGET: u32 = 1 << 3;
    /// Do not follow a link that the target itself is.
    pub const TARGET_NOFOLLOW: u32 = 1 << 4;
    /// Do not follow a link that the source itself is.
    pub const SOURCE_NOFOLLOW: u32 = 1 << 5;
    /// A source that is a link is created as a link.
    pub const COPY_SYMLINK: u32 = 1 << 6;
    /// If the file system is refused, bind `fallback` instead.
    pub const FALLBACK_BIND: u32 = 1 << 7;
    /// The target may lie within procfs.
    pub const PROC_TARGET: u32 = 1 << 8;
    /// Become read-only only when all mounts are done.
    pub const LATE_READONLY: u32 = 1 << 9;
    /// The parent opens the source when it is this mount's turn: earlier mounts
    /// are part of it.
    pub const ASK_TREE: u32 = 1 << 10;
    /// Propagation applies to the whole tree.
    pub const PROPAGATION_RECURSIVE: u32 = 1 << 11;
    /// One mount(2) with `data` and `ms_flags` does the same as fsopen(2) and what follows.
    pub const AT_ONCE: u32 = 1 << 12;
    /// Later mounts lie directly below this tmpfs, in which nothing is yet.
    pub const PARENT: u32 = 1 << 13;
}

/// Kinds of mount ([`super::Mount::kind`]).
pub mod mount_kind {
    /// fsopen(2), fsconfig(2), fsmount(2).
    pub const FILESYSTEM: u32 = 0;
    /// open_tree(2) of a source.
    pub const BIND: u32 = 1;
    /// mount(2) with a data string, for what fsconfig(2) cannot carry.
    pub const CLASSIC: u32 = 2;
    /// Change the propagation of what is mounted at the target.
    pub const REMOUNT: u32 = 3;
}

/// Which fields of [`super::Sched`] apply.
pub mod sched_flag {
    /// policy, nice, priority, …
    pub const SCHEDULER: u32 = 1 << 0;
    /// ioprio
    pub const IOPRIO: u32 = 1 << 1;
    /// mempolicy and nodes
    pub const MEMPOLICY: u32 = 1 << 2;
    /// personality
    pub const PERSONALITY: u32 = 1 << 3;
}
