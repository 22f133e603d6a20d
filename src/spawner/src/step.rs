//! Every step of a birth that can fail: a number for the report, and what the
//! parent says about it. Append only: numbers are part of the report's format.

/// What a step works on: how a report's index is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Object {
    /// Nothing in particular.
    None,
    /// `mounts[index]` of the plan.
    Mount,
    /// `devices[index]` of the plan.
    Device,
    /// `links[index]` of the plan.
    Link,
    /// `sysctls[index]` of the plan.
    Sysctl,
    /// `masked[index]` of the plan.
    Masked,
    /// `readonly[index]` of the plan.
    Readonly,
    /// `joins[index]` of the plan.
    Join,
    /// `helper_joins[index]` of the plan.
    HelperJoin,
    /// A capability number.
    Capability,
    /// `hooks.create_container[index]` of the plan.
    CreateHook,
    /// `hooks.start_container[index]` of the plan.
    StartHook,
    /// A standard stream.
    Stdio,
    /// `rlimits[index]` of the plan, and of the specification.
    Rlimit,
}

macro_rules! steps {
    ($($id:ident = $n:literal, $object:ident, $what:literal, $call:literal;)*) => {
        /// A step of a birth.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        pub enum Step { $(#[doc = $what] $id = $n,)* }

        impl Step {
            /// All steps.
            pub const ALL: &'static [Step] = &[$(Step::$id,)*];

            /// The step of this number.
            pub fn from_number(n: u16) -> Option<Step> {
                match n { $($n => Some(Step::$id),)* _ => None }
            }

            /// What the step's index refers to.
            pub const fn object(self) -> Object {
                match self { $(Step::$id => Object::$object,)* }
            }

            /// What was being done, for a person.
            pub const fn what(self) -> &'static str {
                match self { $(Step::$id => $what,)* }
            }

            /// The system call.
            pub const fn call(self) -> &'static str {
                match self { $(Step::$id => $call,)* }
            }
        }
    };
}

steps! {
    PlanMap = 1, None, "map the plan", "mmap";
    PlanMagic = 2, None, "the plan is of another krun", "mmap";
    Dumpable = 3, None, "make the process undumpable", "prctl(PR_SET_DUMPABLE)";
    InitExec = 4, None, "start krun-init", "execveat";
    Inherit = 5, None, "pass a descriptor on", "fcntl";
    CloseOnExec = 6, None, "mark descriptors close-on-exec", "close_range";
    Reply = 7, None, "wait for krun", "read";
    HelperJoin = 8, HelperJoin, "join a namespace", "setns";
    HelperClone = 9, None, "create the container's process", "clone3";
    Join = 10, Join, "join a namespace", "setns";
    BecomeRoot = 11, None, "become root of the user namespace", "setresuid";
    Setsid = 12, None, "start a session", "setsid";
    Keyring = 13, None, "join a session keyring", "keyctl";
    UnshareCgroup = 14, None, "unshare the cgroup namespace", "unshare";
    TimeNamespace = 15, None, "set the time namespace's offsets", "write";
    Loopback = 16, None, "bring the loopback interface up", "ioctl(SIOCSIFFLAGS)";
    RootPropagation = 20, None, "set the propagation of /", "mount";
    RootBind = 21, None, "bind the root file system", "mount";
    RootOpen = 22, None, "open the root file system", "openat";
    MountTarget = 23, Mount, "resolve the mount's destination", "openat2";
    MountTargetCreate = 24, Mount, "create the mount's destination", "mkdirat";
    MountSource = 25, Mount, "open the mount's source", "open_tree";
    MountFsopen = 26, Mount, "open the file system", "fsopen";
    MountOption = 27, Mount, "set an option of the file system", "fsconfig";
    MountCreate = 28, Mount, "create the file system", "fsconfig";
    MountFsmount = 29, Mount, "mount the file system", "fsmount";
    MountAttr = 30, Mount, "set the mount's attributes", "mount_setattr";
    MountMove = 31, Mount, "attach the mount", "move_mount";
    MountPropagation = 32, Mount, "set the mount's propagation", "mount_setattr";
    MountClassic = 33, Mount, "mount", "mount";
    MountCopyUp = 35, Mount, "copy the directory into the tmpfs", "write";
    MountInProc = 36, Mount, "the destination lies inside /proc", "fstatfs";
    MountNotOrdinary = 37, Mount, "must be mounted on ordinary directory", "openat2";
    MountLateReadonly = 38, Mount, "make the mount read-only", "mount_setattr";
    MountSymlink = 39, Mount, "copy the symbolic link", "symlinkat";
    MountLabel = 40, Mount, "label the file system", "fsetxattr";
    DevOpen = 45, None, "open /dev", "openat2";
    DeviceCreate = 46, Device, "create the device", "mknodat";
    DeviceOwner = 47, Device, "set the device's owner", "fchownat";
    DeviceParent = 48, Device, "create the device's directory", "mkdirat";
    DeviceExists = 49, Device, "another file is in the device's place", "mknodat";
    DeviceBind = 50, Device, "bind the host's device", "open_tree";
    LinkCreate = 51, Link, "create the link", "symlinkat";
    Hooks = 55, None, "wait for hooks", "read";
    HookSpawn = 56, CreateHook, "start the hook", "execve";
    HookFailed = 57, CreateHook, "the hook failed", "execve";
    HookTimeout = 58, CreateHook, "the hook timed out", "poll";
    StartHookSpawn = 59, StartHook, "start the hook", "execve";
    StartHookFailed = 60, StartHook, "the hook failed", "execve";
    StartHookTimeout = 61, StartHook, "the hook timed out", "poll";
    MaskOpen = 65, Masked, "resolve the masked path", "openat2";
    MaskSource = 66, Masked, "prepare the mask", "open_tree";
    MaskMount = 67, Masked, "mask the path", "move_mount";
    ReadonlyOpen = 68, Readonly, "resolve the read-only path", "openat2";
    ReadonlyMount = 69, Readonly, "make the path read-only", "mount_setattr";
    PivotChdir = 70, None, "enter the root file system", "fchdir";
    PivotRoot = 71, None, "make the root file system /", "pivot_root";
    PivotUmount = 72, None, "detach the host's file systems", "umount2";
    PivotMove = 73, None, "move the root file system to /", "mount(MS_MOVE)";
    Chroot = 74, None, "change the root", "chroot";
    RootReadonly = 75, None, "make the root file system read-only", "mount_setattr";
    RootFinalPropagation = 76, None, "set the root file system's propagation", "mount";
    ConsoleOpen = 80, None, "open /dev/pts/ptmx of the container", "openat2";
    ConsoleUntrusted = 81, None, "/dev/pts/ptmx of the container is not a devpts master", "fstatfs";
    ConsolePeer = 82, None, "open the terminal", "ioctl(TIOCGPTPEER)";
    ConsoleSend = 83, None, "send the terminal to krun", "sendmsg";
    ConsoleMount = 84, None, "mount /dev/console", "move_mount";
    ConsoleAttach = 85, None, "make the terminal the session's", "ioctl(TIOCSCTTY)";
    ConsoleSize = 86, None, "set the terminal's size", "ioctl(TIOCSWINSZ)";
    Hostname = 90, None, "set the host name", "sethostname";
    Domainname = 91, None, "set the domain name", "setdomainname";
    ProcOpen = 92, None, "open a procfs of krun's own", "fsmount";
    SysctlOpen = 93, Sysctl, "open the kernel parameter", "openat2";
    SysctlWrite = 94, Sysctl, "write the kernel parameter", "write";
    Apparmor = 95, None, "set the AppArmor profile (/proc/thread-self/attr/apparmor/exec)", "write";
    Selinux = 96, None, "set the SELinux label (/proc/thread-self/attr/exec)", "write";
    NoNewPrivs = 97, None, "set no_new_privs", "prctl(PR_SET_NO_NEW_PRIVS)";
    Scheduler = 98, None, "set the scheduler", "sched_setattr";
    Ioprio = 99, None, "set the I/O priority", "ioprio_set";
    Personality = 100, None, "set the personality", "personality";
    Mempolicy = 101, None, "set the memory policy", "set_mempolicy";
    Affinity = 102, None, "set the CPU affinity", "sched_setaffinity";
    Ready = 105, None, "wait for krun to set limits", "read";
    SeccompLoad = 106, None, "load the seccomp filter", "seccomp";
    SeccompListener = 107, None, "hand the seccomp listener to krun", "write";
    Stdio = 108, Stdio, "set up a standard stream", "dup3";
    CapBounding = 110, Capability, "drop from the bounding set", "prctl(PR_CAPBSET_DROP)";
    KeepCaps = 111, None, "keep capabilities over the change of user", "prctl(PR_SET_KEEPCAPS)";
    Groups = 112, None, "set the additional groups", "setgroups";
    Gid = 113, None, "set the group id", "setresgid";
    Uid = 114, None, "set the user id", "setresuid";
    Capset = 115, None, "set the capabilities", "capset";
    CapAmbient = 116, Capability, "can't raise ambient capability", "prctl(PR_CAP_AMBIENT)";
    CwdCreate = 117, None, "create the working directory", "mkdirat";
    Chdir = 118, None, "change to the working directory", "chdir";
    CwdOutside = 119, None, "the working directory is outside of the container", "getcwd";
    Lookup = 120, None, "find the executable", "faccessat2";
    Gate = 121, None, "wait at the start gate", "read";
    Exec = 122, None, "execute the program", "execve";
    ThpReset = 123, None, "allow transparent huge pages again", "prctl(PR_SET_THP_DISABLE)";
    SignalReset = 124, None, "reset the signal mask", "rt_sigprocmask";
    Rlimit = 125, Rlimit, "set the limit", "prlimit";
    CloseAll = 127, None, "close the descriptors of the host", "close_range";
    MagicLink = 128, None, "look at the executable's path", "openat2";
    RootNamespace = 126, None, "enter the mount namespace of the root file system", "setns";
}
