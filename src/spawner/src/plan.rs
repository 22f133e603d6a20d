//! The plan: everything about one process to be born, in one flat memory.
//!
//! krun builds it, seals it in a memfd and hands it to the child, which maps it
//! at [`ADDRESS`]. It holds no OCI word: paths, numbers and flags of system calls.

mod bits;

pub use bits::{flag, mount_flag, mount_kind, sched_flag};

use krun_sys::plain;
use krun_sys::plain::{Arena, Slice, Str};

/// Where the child maps the plan: far above a static program, below the 39-bit
/// address spaces of small aarch64 kernels. Pointers in `argv` and `envp` are
/// absolute for it.
pub const ADDRESS: usize = 0x10_0000_0000;
/// Where the plan begins in the file that holds krun-init too: behind it, and on a page of any size (64 KiB at most).
pub const FILE_OFFSET: usize = 0x1_0000;
/// First word of every plan; the last byte counts layouts.
pub const MAGIC: u64 = 0x6b72_756e_706c_0003;
/// Bytes at the end of the plan in which the child writes `HOME=…`.
pub const HOME_LEN: usize = 512;
/// The plan's header lies this far from the start: offset 0 means "none".
pub const HEADER: u32 = 8;

plain! {
    /// Everything about one process.
    pub struct Plan {
        /// [`MAGIC`].
        pub magic: u64,
        /// Bits of [`flag`].
        pub flags: u64,
        /// Flags of the clone3 that makes the container's process.
        pub clone_flags: u64,
        /// Namespaces that the helper joins, in order.
        pub helper_joins: Slice<Join>,
        /// Namespaces that the container's process joins, in order.
        pub joins: Slice<Join>,
        /// Descriptors that survive into the child besides stdio.
        pub inherit: Slice<i32>,
        /// Descriptors by role.
        pub fds: Fds,
        /// The root file system.
        pub root: Root,
        /// Mounts, in order.
        pub mounts: Slice<Mount>,
        /// Device nodes.
        pub devices: Slice<Device>,
        /// Symbolic links under /dev.
        pub links: Slice<Link>,
        /// Kernel parameters.
        pub sysctls: Slice<Sysctl>,
        /// Paths to be hidden.
        pub masked: Slice<Str>,
        /// Paths to be made read-only.
        pub readonly: Slice<Str>,
        /// Host name.
        pub hostname: Str,
        /// NIS domain name.
        pub domainname: Str,
        /// Text for timens_offsets.
        pub time_offsets: Str,
        /// Name of the session keyring.
        pub keyring: Str,
        /// AppArmor profile, as written to attr/apparmor/exec ("exec NAME").
        pub apparmor: Str,
        /// SELinux label, as written to attr/exec.
        pub selinux: Str,
        /// Resource limits that the process sets for itself.
        pub rlimits: Slice<Rlimit>,
        /// Ids and capabilities.
        pub identity: Identity,
        /// System call filter.
        pub seccomp: Seccomp,
        /// Scheduling.
        pub sched: Sched,
        /// The program.
        pub process: Process,
        /// Hooks that the child runs.
        pub hooks: Hooks,
    }

    /// A namespace to join.
    pub struct Join {
        /// Its descriptor, or a pidfd.
        pub fd: i32,
        /// Index into the spec, for messages; -1 when there is none.
        pub index: i32,
        /// `CLONE_NEW*`.
        pub flags: u64,
    }

    /// Descriptors by role; -1 where there is none.
    pub struct Fds {
        /// The socket to the parent.
        pub socket: i32,
        /// The FIFO on which `start` opens the gate, and on which it hears of a
        /// failure after that.
        pub gate: i32,
        /// Where hooks' output goes.
        pub hook_output: i32,
        /// stdin, stdout, stderr; -1 inherits.
        pub stdio: [i32; 3],
        /// How many descriptors from 3 on belong to the container.
        pub preserve: u32,
        /// Always 0: a plain structure has no padding.
        pub reserved: u32,
    }

    /// The root file system.
    pub struct Root {
        /// Its path on the host.
        pub path: Str,
        /// `MS_*` propagation of "/" at first.
        pub propagation: u64,
        /// `MS_*` propagation at the end, or 0.
        pub final_propagation: u64,
        /// Where the host has procfs and sysfs; only for NO_PIVOT.
        pub pseudo: Slice<Str>,
        /// With TREE_NAMESPACE, the mount namespace that holds it; else -1.
        pub namespace: i32,
        /// With ENTER_ROOT, the root directory of the container; else -1.
        pub directory: i32,
    }

    /// A mount.
    pub struct Mount {
        /// One of [`mount_kind`].
        pub kind: u32,
        /// Bits of [`mount_flag`].
        pub flags: u32,
        /// Index into the spec's mounts, for messages.
        pub index: u32,
        /// A detached tree opened by the parent, or -1.
        pub tree: i32,
        /// `MOUNT_ATTR_*` of a new file system.
        pub attr: u32,
        /// Always 0: a plain structure has no padding.
        pub reserved: u32,
        /// Path of the source of a bind; device or "source" of a file system.
        pub source: Str,
        /// What is bound if the file system is refused.
        pub fallback: Str,
        /// Path in the container.
        pub target: Str,
        /// File system type.
        pub fstype: Str,
        /// Options of a new file system.
        pub options: Slice<FsOption>,
        /// Options as one string, for mount(2).
        pub data: Str,
        /// SELinux label of the root of a new file system that takes none as an option.
        pub label: Str,
        /// `MS_*` flags, for mount(2).
        pub ms_flags: u64,
        /// Attributes to set on the mount itself, and to clear.
        pub attr_set: u64,
        /// Attributes to clear.
        pub attr_clr: u64,
        /// Attributes to set on the tree, and to clear.
        pub rec_set: u64,
        /// Attributes to clear on the tree.
        pub rec_clr: u64,
        /// One propagation type (`MS_*`), or 0.
        pub propagation: u64,
    }

    /// An option of a file system.
    pub struct FsOption {
        /// Its name.
        pub key: Str,
        /// Its value; none for a flag.
        pub value: Str,
    }

    /// A device node.
    pub struct Device {
        /// Absolute path in the container.
        pub path: Str,
        /// Path relative to /dev when it lies directly there, else none.
        pub name: Str,
        /// Type and permissions.
        pub mode: u32,
        /// Owner.
        pub uid: u32,
        /// Group.
        pub gid: u32,
        /// Index into linux.devices, or `u32::MAX` for a default device.
        pub index: u32,
        /// Major number.
        pub major: u32,
        /// Minor number.
        pub minor: u32,
    }

    /// A symbolic link in /dev.
    pub struct Link {
        /// Its name below /dev.
        pub name: Str,
        /// What it points to.
        pub target: Str,
    }

    /// A kernel parameter.
    pub struct Sysctl {
        /// Path below the root of procfs ("sys/net/…").
        pub path: Str,
        /// Its value.
        pub value: Str,
    }

    /// A resource limit.
    pub struct Rlimit {
        /// `RLIMIT_*`.
        pub resource: u32,
        /// Always 0: a plain structure has no padding.
        pub reserved: u32,
        /// Soft limit.
        pub soft: u64,
        /// Hard limit.
        pub hard: u64,
    }

    /// Ids and capabilities.
    pub struct Identity {
        /// User id.
        pub uid: u32,
        /// Group id.
        pub gid: u32,
        /// File mode creation mask.
        pub umask: u32,
        /// Highest capability number that this kernel knows.
        pub last_cap: u32,
        /// Supplementary groups.
        pub groups: Slice<u32>,
        /// Bounding set.
        pub bounding: u64,
        /// Effective set.
        pub effective: u64,
        /// Permitted set.
        pub permitted: u64,
        /// Inheritable set.
        pub inheritable: u64,
        /// Ambient set.
        pub ambient: u64,
        /// What the process keeps beyond its permitted set until the filter is loaded.
        pub kept: u64,
        /// What a process may keep while it builds a container that others can see it from; 0 is everything.
        pub building: u64,
    }

    /// A system call filter.
    pub struct Seccomp {
        /// `struct sock_filter`s; empty means no filter.
        pub filter: Slice<u64>,
        /// `SECCOMP_FILTER_FLAG_*`.
        pub flags: u32,
        /// Whether a listener is to be handed to the parent.
        pub listener: u32,
    }

    /// Scheduling; `set` says which fields apply.
    pub struct Sched {
        /// Bits of [`sched_flag`].
        pub set: u32,
        /// `SCHED_*` policy.
        pub policy: u32,
        /// `SCHED_FLAG_*`.
        pub flags: u64,
        /// Nice value.
        pub nice: i32,
        /// Real-time priority.
        pub priority: u32,
        /// Nanoseconds.
        pub runtime: u64,
        /// Nanoseconds.
        pub deadline: u64,
        /// Nanoseconds.
        pub period: u64,
        /// ioprio_set(2) value.
        pub ioprio: i32,
        /// set_mempolicy(2) mode.
        pub mempolicy: i32,
        /// Its nodes.
        pub nodes: Slice<u64>,
        /// personality(2) value.
        pub personality: u64,
        /// Affinity at execve (a bit per processor).
        pub final_affinity: Slice<u64>,
    }

    /// The program to execute.
    pub struct Process {
        /// Where it may be, in the order of PATH.
        pub candidates: Slice<Str>,
        /// Addresses of its arguments, ending in 0.
        pub argv: Slice<u64>,
        /// Addresses of its environment, ending in 0.
        pub envp: Slice<u64>,
        /// Working directory.
        pub cwd: Str,
        /// Whether HOME has to be found in /etc/passwd.
        pub find_home: u32,
        /// Rows of the terminal.
        pub rows: u16,
        /// Columns of the terminal; 0 leaves the size alone.
        pub columns: u16,
    }

    /// Hooks that run in the container's namespaces.
    pub struct Hooks {
        /// createContainer.
        pub create_container: Slice<Hook>,
        /// startContainer.
        pub start_container: Slice<Hook>,
        /// State JSON up to the pid, with status creating.
        pub creating: Str,
        /// State JSON up to the pid, with status created.
        pub created: Str,
        /// State JSON after the pid.
        pub rest: Str,
    }

    /// A hook.
    pub struct Hook {
        /// Its program.
        pub path: Str,
        /// Addresses of its arguments, ending in 0.
        pub argv: Slice<u64>,
        /// Addresses of its environment, ending in 0.
        pub envp: Slice<u64>,
        /// Milliseconds; 0 waits for ever.
        pub timeout_ms: u64,
    }
}

/// A plan together with the memory that it lies in.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The memory.
    pub arena: Arena<'a>,
    /// The header.
    pub plan: &'a Plan,
}

impl<'a> View<'a> {
    /// Reads the header of a plan; `None` if it is not one of this layout.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let end = (HEADER as usize).checked_add(size_of::<Plan>())?;
        if bytes.len() < end {
            return None;
        }
        let arena = Arena::new(bytes);
        let plan: &Plan = arena.value(HEADER);
        (plan.magic == MAGIC).then_some(View { arena, plan })
    }

    /// Whether a bit of [`flag`] is set.
    pub const fn has(&self, flag: u64) -> bool {
        self.plan.flags & flag != 0
    }
}
