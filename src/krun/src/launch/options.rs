//! What the callers of the launcher (command line and shim) ask for: plain data, no behaviour but the merge of
//! `exec`'s flags into a process description.
use std::path::PathBuf;

use oci_spec::runtime::Process;

use crate::state::ContainerId;

/// Who creates, owns and removes the container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    /// krun writes to cgroupfs itself.
    #[default]
    Cgroupfs,
    /// A transient scope of systemd; `cgroupsPath` is `slice:prefix:name`.
    Systemd,
    /// The container stays in the caller's cgroup; limits are errors.
    Disabled,
}

/// `--rootless`: whether cgroup permission errors are tolerated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rootless {
    /// Decide by the effective user id and the user namespace.
    #[default]
    Auto,
    /// Tolerate them.
    Yes,
    /// Don't.
    No,
}

/// The global flags: where state lives and how this host is treated.
#[derive(Clone, Debug)]
pub struct Host {
    /// `--root`, absolute: the directory that holds one directory per container.
    pub root: PathBuf,
    /// `--systemd-cgroup` / `--cgroup-manager`.
    pub cgroup_driver: CgroupDriver,
    /// `--rootless`.
    pub rootless: Rootless,
}

/// Where the process's standard streams come from and its terminal goes to.
#[derive(Clone, Copy, Debug)]
pub struct Io {
    /// stdin, stdout, stderr; -1 inherits krun's.
    pub stdio: [i32; 3],
    /// Hand the pty master back to the caller instead of to a socket.
    pub return_console: bool,
    /// The caller has PR_SET_THP_DISABLE on, which the container must not inherit.
    pub reset_thp: bool,
}

impl Default for Io {
    fn default() -> Self {
        Io { stdio: [-1; 3], return_console: false, reset_thp: false }
    }
}

/// What `create` needs; also the first half of `run`.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Global flags.
    pub host: Host,
    /// The container's name, already validated.
    pub id: ContainerId,
    /// Absolute path of the bundle directory.
    pub bundle: PathBuf,
    /// Read this file in place of the bundle's config.json.
    pub config: Option<PathBuf>,
    /// AF_UNIX stream socket that receives the pty master.
    pub console_socket: Option<PathBuf>,
    /// AF_UNIX stream socket that receives the pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// File that receives init's pid in decimal, without a newline.
    pub pid_file: Option<PathBuf>,
    /// `--no-pivot`: MS_MOVE and chroot in place of pivot_root(2).
    pub no_pivot: bool,
    /// `--no-new-keyring`: keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// Number of descriptors handed down after stdio and LISTEN_FDS.
    pub preserve_fds: u32,
    /// Standard streams and terminal, where they are not krun's own.
    pub io: Io,
    /// Print microseconds per phase when done (`krun run --timing`).
    pub timing: bool,
}

/// What `run` needs in addition to `create`.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The create half.
    pub create: CreateOptions,
    /// Return once the process runs, leave the container behind.
    pub detach: bool,
    /// Keep the container's state after its exit.
    pub keep: bool,
    /// Don't become a child subreaper while in the foreground.
    pub no_subreaper: bool,
}

/// What `exec` needs.
#[derive(Clone, Debug)]
pub struct ExecOptions {
    /// Global flags.
    pub host: Host,
    /// The container to enter.
    pub id: ContainerId,
    /// What to run there.
    pub process: ExecProcess,
    /// AF_UNIX stream socket that receives the pty master.
    pub console_socket: Option<PathBuf>,
    /// AF_UNIX stream socket that receives the pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// File that receives the pid in decimal, without a newline.
    pub pid_file: Option<PathBuf>,
    /// Return once the process runs.
    pub detach: bool,
    /// Number of descriptors handed down after stdio and LISTEN_FDS.
    pub preserve_fds: u32,
    /// `--cgroup [CONTROLLERS:]PATH`: the sub-cgroup below the container's, relative. On v2 there is only one.
    pub cgroup: Option<PathBuf>,
    /// Enter a paused container too.
    pub ignore_paused: bool,
    /// Standard streams and terminal, where they are not krun's own.
    pub io: Io,
    /// Print microseconds per phase when done.
    pub timing: bool,
}

/// Where `exec`'s process description comes from.
#[derive(Clone, Debug)]
pub enum ExecProcess {
    /// A whole description (`--process FILE`, or the shim's request); what it leaves out is the container's.
    Whole(Box<Process>),
    /// The container's own process with changes on top.
    Overrides(Box<ProcessOverrides>),
}

/// The flags of `exec` that change the container's process description.
#[derive(Clone, Debug, Default)]
pub struct ProcessOverrides {
    /// The command and its arguments; not empty.
    pub args: Vec<String>,
    /// Appended to the environment.
    pub env: Vec<String>,
    /// Replaces the working directory.
    pub cwd: Option<PathBuf>,
    /// Allocate a terminal.
    pub tty: bool,
    /// Replaces the user, and the group where one is given.
    pub user: Option<(u32, Option<u32>)>,
    /// Appended to the supplementary groups.
    pub additional_gids: Vec<u32>,
    /// Replaces the SELinux label.
    pub process_label: Option<String>,
    /// Replaces the AppArmor profile.
    pub apparmor: Option<String>,
    /// Replaces no_new_privs where given.
    pub no_new_privs: Option<bool>,
    /// Added to the bounding, effective and permitted sets (and ambient where there are inheritable ones).
    pub capabilities: Vec<String>,
}
