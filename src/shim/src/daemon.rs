//! The process that stays.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use krun_sys::libc;
use krun_sys::process::{CloneArgs, clone3_by_pid, set_child_subreaper, set_thp_disable};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::event_loop::{Settings, Shim};

/// What the shim is to be.
#[derive(Debug)]
pub struct Wish {
    /// containerd's namespace.
    pub namespace: String,
    /// Path of the events service's socket.
    pub events: String,
    /// Path of the socket to serve.
    pub socket: String,
    /// Cgroup to move to, or empty.
    pub cgroup: String,
}

/// Which process a return is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that containerd called.
    Caller,
    /// The shim, at its end.
    Shim,
}

/// Why the process couldn't become a shim.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A system call.
    #[error("{call}: {errno}")]
    Call {
        /// Its name.
        call: &'static str,
        /// Its error.
        errno: nix::Error,
    },
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
}

fn call(call: &'static str) -> impl Fn(nix::Error) -> DaemonError {
    move |errno| DaemonError::Call { call, errno }
}

fn raw(name: &'static str) -> impl Fn(krun_sys::Errno) -> DaemonError {
    move |e| DaemonError::Call { call: name, errno: nix::Error::from_raw(e.0) }
}

/// Starts the shim: the caller goes on and a copy of it serves. A copy rather
/// than a new program: it is there at once, and there is one thread so far.
pub fn spawn(wish: Wish, listener: UnixListener) -> Result<Side, DaemonError> {
    let args = CloneArgs { exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    match clone3_by_pid(args).map_err(raw("clone3"))? {
        None => {
            if let Err(e) = serve(wish, listener) {
                crate::log::line(&e);
            }
            Ok(Side::Shim)
        }
        Some(pid) => {
            settle(pid, &wish.cgroup)?;
            Ok(Side::Caller)
        }
    }
}

/// What the caller does for the shim before containerd hears of it.
fn settle(pid: i32, cgroup: &str) -> Result<(), DaemonError> {
    let file = |path: String| move |source| DaemonError::File { path, source };
    if !cgroup.is_empty() {
        let path = format!("/sys/fs/cgroup/{}/cgroup.procs", cgroup.trim_matches('/'));
        fs::write(&path, pid.to_string()).map_err(file(path))?;
    }
    // Killed after its containers and before containerd.
    let parent = format!("/proc/{}/oom_score_adj", nix::unistd::getppid());
    let score = fs::read_to_string(&parent).map_err(file(parent))?;
    let score = score.trim().parse::<i32>().unwrap_or_default().saturating_add(1).min(1000);
    let path = format!("/proc/{pid}/oom_score_adj");
    fs::write(&path, score.to_string()).map_err(file(path))
}

fn serve(wish: Wish, listener: UnixListener) -> Result<(), DaemonError> {
    nix::unistd::setsid().map_err(call("setsid"))?;
    redirect()?;
    set_child_subreaper(true).map_err(raw("prctl"))?;
    // Huge pages would multiply what an idle shim occupies.
    set_thp_disable(true).map_err(raw("prctl"))?;
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        mask.add(signal);
    }
    mask.thread_block().map_err(call("sigprocmask"))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(call("signalfd"))?;
    let socket = wish.socket.clone();
    listener.set_nonblocking(true).map_err(|source| DaemonError::File { path: socket.clone(), source })?;
    let settings = Settings { namespace: wish.namespace, events: wish.events, socket: wish.socket };
    Shim::new(settings, listener, signals).and_then(|mut shim| shim.run()).map_err(call("epoll"))
}

/// Lets go of containerd's pipes. What the shim has to say goes to the `log`
/// fifo of the bundle, opened both ways: nothing is lost if nobody reads, and
/// nothing waits.
fn redirect() -> Result<(), DaemonError> {
    let open = |path: &str, read: bool| {
        fs::OpenOptions::new()
            .read(read)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)
    };
    let null =
        open("/dev/null", true).map_err(|source| DaemonError::File { path: "/dev/null".into(), source })?;
    let log = if is_fifo(Path::new("log")) { open("log", true).ok() } else { None };
    let stderr = log.as_ref().unwrap_or(&null);
    nix::unistd::dup2_stdin(null.as_fd()).map_err(call("dup2"))?;
    nix::unistd::dup2_stdout(null.as_fd()).map_err(call("dup2"))?;
    nix::unistd::dup2_stderr(stderr.as_fd()).map_err(call("dup2"))
}

fn is_fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.symlink_metadata().is_ok_and(|m| m.file_type().is_fifo())
}
