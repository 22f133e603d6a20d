//! Every command and flag of krun, for the reader ([`super::args`]) and the help ([`super::help`]).
use super::args::{Flag, switch, value};

/// One command.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Its words, for the help.
    pub usage: &'static str,
    /// Its flags.
    pub flags: &'static [Flag],
    /// How many words it takes: at least and at most.
    pub words: (usize, usize),
    /// After this many words, flags are no longer krun's.
    pub stop_after: usize,
}

const ANY: usize = usize::MAX;

/// The flags before the command.
pub const GLOBAL: &[Flag] = &[
    value(
        "root",
        "DIR",
        "where the state of containers is kept (default: /run/krun, or $XDG_RUNTIME_DIR/krun)",
    ),
    value("log", "FILE", "append the log to FILE (default: standard error)"),
    value("log-format", "text|json", "how a line of the log looks"),
    switch("debug", "log warnings and debug messages too"),
    switch("systemd-cgroup", "let systemd manage cgroups; cgroupsPath is then slice:prefix:name"),
    value("cgroup-manager", "cgroupfs|systemd|disabled", "who manages cgroups"),
    value("rootless", "true|false|auto", "ignore cgroup permission errors"),
    value("criu", "PATH", ""),
    switch("version", "print the version").short('v'),
    switch("help", "print this help").short('h'),
];

const CONSOLE: Flag =
    value("console-socket", "SOCKET", "unix socket that receives the master of the container's terminal");
const PIDFD: Flag = value("pidfd-socket", "SOCKET", "unix socket that receives a pidfd of the process");
const PID_FILE: Flag = value("pid-file", "FILE", "write the process id to FILE");
const PRESERVE: Flag =
    value("preserve-fds", "N", "pass N more descriptors (stdio + $LISTEN_FDS + N in total)");
const BUNDLE: Flag = value("bundle", "DIR", "the bundle's directory (default: the current one)").short('b');
const CONFIG: Flag = value("config", "FILE", "read FILE in place of the bundle's config.json").short('f');
const NO_PIVOT: Flag = switch("no-pivot", "don't use pivot_root(2): for a rootfs on the initial ramdisk");
const NO_KEYRING: Flag = switch("no-new-keyring", "keep the caller's session keyring");
const DETACH: Flag = switch("detach", "return once the process runs").short('d');
const NO_SUBREAPER: Flag = switch("no-subreaper", "don't reap reparented processes while in the foreground");
const FORMAT: Flag = value("format", "table|json", "how to print it").short('f');
const TIMING: Flag = switch("timing", "print the microseconds of each phase");
const HELP: Flag = switch("help", "print this help").short('h');

const CREATE: &[Flag] =
    &[BUNDLE, CONFIG, CONSOLE, PIDFD, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE, TIMING, HELP];
const RUN: &[Flag] = &[
    BUNDLE,
    CONFIG,
    value("id", "ID", "the container's id, where the word names the bundle"),
    CONSOLE,
    PIDFD,
    PID_FILE,
    DETACH,
    switch("keep", "don't delete the container when it exits"),
    NO_SUBREAPER,
    NO_PIVOT,
    NO_KEYRING,
    PRESERVE,
    TIMING,
    HELP,
];
const EXEC: &[Flag] = &[
    value("process", "FILE", "read the whole process description from FILE").short('p'),
    CONSOLE,
    PIDFD,
    PID_FILE,
    DETACH,
    value("cwd", "DIR", "working directory in the container"),
    value("env", "NAME=VALUE", "add an environment variable").short('e'),
    switch("tty", "allocate a terminal").short('t'),
    value("user", "UID[:GID]", "run as this user").short('u'),
    value("additional-gids", "GID", "add a supplementary group").short('g'),
    value("process-label", "LABEL", "SELinux label of the process"),
    value("apparmor", "PROFILE", "AppArmor profile of the process"),
    switch("no-new-privs", "set no_new_privs"),
    value("cap", "CAP", "add a capability").short('c'),
    PRESERVE,
    value("cgroup", "[CONTROLLER:]PATH", "run in this sub-cgroup of the container's"),
    switch("ignore-paused", "allow exec in a paused container"),
    TIMING,
    HELP,
];
const UPDATE: &[Flag] = &[
    value("resources", "FILE|-", "read linux.resources as JSON; other flags are then ignored").short('r'),
    value("blkio-weight", "N", "io weight, 10 to 1000"),
    value("cpu-period", "USEC", "length of a CPU bandwidth period"),
    value("cpu-quota", "USEC", "CPU time allowed in a period"),
    value("cpu-burst", "USEC", "CPU time that may be saved up for a burst"),
    value("cpu-share", "N", "relative CPU weight, 2 to 262144"),
    value("cpu-rt-period", "USEC", "not available with cgroup v2"),
    value("cpu-rt-runtime", "USEC", "not available with cgroup v2"),
    value("cpuset-cpus", "LIST", "processors that may be used"),
    value("cpuset-mems", "LIST", "memory nodes that may be used"),
    value("cpu-idle", "0|1", "SCHED_IDLE for the whole cgroup"),
    value("memory", "BYTES", "memory limit; -1 is none"),
    value("memory-reservation", "BYTES", "memory that is reclaimed last"),
    value("memory-swap", "BYTES", "limit of memory and swap together; -1 is none"),
    value("kernel-memory", "BYTES", ""),
    value("kernel-memory-tcp", "BYTES", ""),
    value("pids-limit", "N", "largest number of processes; -1 is no limit"),
    value("l3-cache-schema", "SCHEMA", "Intel RDT L3 cache schema"),
    value("mem-bw-schema", "SCHEMA", "Intel RDT memory bandwidth schema"),
    HELP,
];

/// runc's flags, so that an engine's call is understood before it is refused.
const CHECKPOINT: &[Flag] = &[
    value("image-path", "DIR", "where the images are kept"),
    value("work-path", "DIR", "where CRIU keeps its logs"),
    value("parent-path", "DIR", "the previous images of a pre-dump"),
    switch("leave-running", "go on after the checkpoint"),
    switch("tcp-established", "allow open TCP connections"),
    switch("tcp-skip-in-flight", "skip TCP connections that are being made"),
    switch("link-remap", "allow deleted files that are linked elsewhere"),
    switch("ext-unix-sk", "allow external Unix sockets"),
    switch("shell-job", "allow shell jobs"),
    switch("lazy-pages", "copy memory on demand"),
    value("status-fd", "FD", "where readiness for lazy pages is told"),
    value("page-server", "ADDRESS:PORT", "send memory there"),
    switch("file-locks", "handle file locks"),
    switch("pre-dump", "copy the memory only and go on"),
    value("manage-cgroups-mode", "MODE", "ignore, soft, full or strict"),
    value("empty-ns", "NAMESPACE", "make a namespace without restoring its properties"),
    switch("auto-dedup", "drop duplicates in the images"),
    HELP,
];

const RESTORE: &[Flag] = &[
    value("console-socket", "SOCKET", "where the terminal's master is sent"),
    value("image-path", "DIR", "where the images are kept"),
    value("work-path", "DIR", "where CRIU keeps its logs"),
    switch("tcp-established", "allow open TCP connections"),
    switch("ext-unix-sk", "allow external Unix sockets"),
    switch("shell-job", "allow shell jobs"),
    switch("file-locks", "handle file locks"),
    value("manage-cgroups-mode", "MODE", "ignore, soft, full or strict"),
    BUNDLE,
    switch("detach", "return once the process runs").short('d'),
    value("pid-file", "FILE", "write the pid there"),
    switch("no-subreaper", "don't reap the container's orphans"),
    switch("no-pivot", "MS_MOVE in place of pivot_root"),
    value("empty-ns", "NAMESPACE", "make a namespace without restoring its properties"),
    switch("auto-dedup", "drop duplicates in the images"),
    switch("lazy-pages", "copy memory on demand"),
    value("lsm-profile", "PROFILE", "the LSM profile to restore with"),
    value("lsm-mount-context", "CONTEXT", "the mount context to restore with"),
    HELP,
];

const ID: &str = "ID";
const HELP_ONLY: &[Flag] = &[HELP];

const fn verb(
    name: &'static str,
    about: &'static str,
    usage: &'static str,
    flags: &'static [Flag],
    words: (usize, usize),
) -> Command {
    Command { name, about, usage, flags, words, stop_after: ANY }
}

/// The commands, in the order of the help.
pub const COMMANDS: &[Command] = &[
    verb("run", "create a container and start it", "ID | BUNDLE/", RUN, (0, 1)),
    verb("create", "create a container that waits for start", ID, CREATE, (1, 1)),
    verb("start", "start the process of a created container", ID, HELP_ONLY, (1, 1)),
    Command {
        stop_after: 1,
        ..verb(
            "exec",
            "run another process in a container",
            "ID COMMAND [ARG...] | -p FILE ID",
            EXEC,
            (1, ANY),
        )
    },
    verb("state", "print the state of a container", ID, HELP_ONLY, (1, 1)),
    verb(
        "list",
        "list the containers of this root",
        "",
        &[FORMAT, switch("quiet", "print ids only").short('q'), HELP],
        (0, 0),
    ),
    Command {
        stop_after: 1,
        ..verb(
            "kill",
            "send a signal to a container's init (default: TERM)",
            "ID [SIGNAL]",
            &[switch("all", "succeed for a stopped container too").short('a'), HELP],
            (1, 2),
        )
    },
    verb(
        "delete",
        "remove a container",
        ID,
        &[switch("force", "kill it first; succeed if there is none").short('f'), HELP],
        (1, 1),
    ),
    Command {
        stop_after: 1,
        ..verb("ps", "list the processes of a container", "ID [PS-ARG...]", &[FORMAT, HELP], (1, ANY))
    },
    verb("pause", "freeze a container", ID, HELP_ONLY, (1, 1)),
    verb("resume", "thaw a container", ID, HELP_ONLY, (1, 1)),
    verb("update", "change the limits of a container", ID, UPDATE, (1, 1)),
    verb(
        "events",
        "print statistics and OOM events of a container",
        ID,
        &[
            value("interval", "TIME", "time between two statistics (default: 5s)"),
            switch("stats", "print statistics once"),
            HELP,
        ],
        (1, 1),
    ),
    verb("features", "print what this krun supports on this host", "", HELP_ONLY, (0, 0)),
    verb(
        "spec",
        "write an example config.json",
        "",
        &[BUNDLE, switch("rootless", "for a container of an ordinary user"), HELP],
        (0, 0),
    ),
    verb("checkpoint", "save the processes of a container (needs CRIU)", ID, CHECKPOINT, (1, 1)),
    verb("restore", "bring a checkpointed container back (needs CRIU)", ID, RESTORE, (1, 1)),
    verb(
        "check",
        "say what would fail if this bundle were run here",
        "[BUNDLE]",
        &[BUNDLE, CONFIG, FORMAT, HELP],
        (0, 1),
    ),
    verb(
        "plan",
        "print what krun would do for this bundle",
        "[BUNDLE]",
        &[BUNDLE, CONFIG, FORMAT, HELP],
        (0, 1),
    ),
];

/// The command called `name`.
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
