//! `start`: opens the gate and says whether the program could be executed.

use std::ffi::CStr;
use std::io::Read as _;
use std::os::fd::AsFd;

use krun_spawner::report::{Report, kind};
use krun_spawner::step::Step;
use krun_sys::plain::bytes_of_mut;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

use super::LaunchError;
use super::notify::Notify;
use crate::state::{ContainerId, GATE, State, StateDir};

/// Starts a created container.
///
/// # Errors
/// It is not waiting; its program could not be executed; a poststart hook failed.
pub fn start(root: &std::path::Path, id: &ContainerId) -> Result<(), LaunchError> {
    let dir = StateDir::open(root, id)?;
    let _lock = dir.lock()?;
    let state = dir.load()?;
    let refused =
        || LaunchError::Status(format!("cannot start a container that is not created: {}", state.head.id));
    let flags = |extra| OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | extra;
    let notify = Notify::from_env(dir.path()).filter(Notify::is_made);
    let proxy = notify.map(|notify| notify.bind()).transpose()?;
    let open = |name: &CStr, extra| openat(&dir, name, flags(extra), Mode::empty());
    let gate = match open(GATE, OFlag::O_WRONLY) {
        Ok(fd) => fd,
        Err(Errno::ENOENT) => return Err(stopped_or(&state, refused)),
        // Nobody holds the other end: the process is gone.
        Err(Errno::ENXIO) => return Err(stopped()),
        Err(errno) => return Err(LaunchError::call("open the start gate", "open", errno as i32)),
    };
    let report = open(GATE, OFlag::O_RDONLY)
        .map_err(|errno| LaunchError::call("open the start gate", "open", errno as i32))?;
    // While it waits at the gate it is alive, so this is the container's process and no other of the same number.
    let init = state.head.identity().open().map_err(|_| stopped())?;
    nix::unistd::write(&gate, &[1])
        .map_err(|errno| LaunchError::call("open the start gate", "write", errno as i32))?;
    // The child's end is now the only one that can be written to.
    drop(gate);
    let failure = outcome(report);
    let _ = dir.unlink(GATE);
    if let Some(error) = failure {
        let bundle = || crate::bundle::load(&state.head.bundle, None).ok();
        return Err(error.explained(|| crate::check::entry_point(&bundle()?)));
    }
    let hooks =
        state.details.hooks.as_ref().and_then(|hooks| hooks.poststart().as_deref()).unwrap_or_default();
    super::hooks::run("poststart", hooks, &state, "running").inspect_err(|_| {
        // runtime-spec, lifecycle: a failed poststart hook stops the container.
        let _ = init.send_signal(nix::libc::SIGKILL);
    })?;
    proxy.map_or(Ok(()), |proxy| proxy.wait(init.into_fd().as_fd(), state.head.pid))
}

fn stopped() -> LaunchError {
    LaunchError::Status("cannot start a container that has stopped".to_owned())
}

fn stopped_or(state: &State, otherwise: impl Fn() -> LaunchError) -> LaunchError {
    if !state.head.identity().is_alive() {
        return stopped();
    }
    otherwise()
}

/// Waits until the child has closed its end: it runs its program and has left
/// nothing in the FIFO, or it has left a report, or it died and left the byte
/// that opened the gate.
fn outcome(report: std::os::fd::OwnedFd) -> Option<LaunchError> {
    // No events: only the end of the other side wakes us, not our own byte.
    let mut fds = [PollFd::new(report.as_fd(), PollFlags::empty())];
    while let Err(Errno::EINTR) = poll(&mut fds, PollTimeout::NONE) {}
    let mut said = Report::default();
    match std::fs::File::from(report).read(bytes_of_mut(&mut said)) {
        Ok(0) => None,
        Ok(n) if n == size_of::<Report>() && said.kind == kind::FAILED => Some(describe(&said)),
        _ => Some(LaunchError::Died("it was killed at the start gate".to_owned())),
    }
}

/// The plan is gone with the `create` that made it; the step says enough.
fn describe(report: &Report) -> LaunchError {
    let errno = crate::errno_text(report.errno);
    let text = match Step::from_number(report.step) {
        Some(step @ (Step::StartHookFailed | Step::StartHookTimeout | Step::StartHookSpawn)) => {
            let index = report.index as usize;
            let reason = match step {
                Step::StartHookTimeout => "timed out".to_owned(),
                Step::StartHookFailed => super::ending::of_report(report.detail),
                _ => errno,
            };
            return LaunchError::Hook { kind: "startContainer", index, reason };
        }
        Some(step @ Step::Exec) => {
            return LaunchError::Exec {
                text: format!("{}: {}: {errno}", step.what(), step.call()),
                fault: None,
            };
        }
        Some(step) => format!("{}: {}: {errno}", step.what(), step.call()),
        None => format!("step {}: {errno}", report.step),
    };
    LaunchError::Child(text)
}
