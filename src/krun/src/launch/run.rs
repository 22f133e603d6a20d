//! `run`: create and start in one, and, in the foreground, to the very end.

use std::os::fd::AsFd as _;

use super::create::{Command, launch};
use super::{LaunchError, RunOptions, foreground, hooks};

/// Runs a container. In the foreground the exit code of its process comes back
/// and the container is removed; detached it is 0 once the program runs.
///
/// # Errors
/// [`LaunchError`]; then nothing is left behind.
pub fn run(options: &RunOptions) -> Result<u8, LaunchError> {
    let mode = if options.detach { Command::RunDetached } else { Command::RunForeground };
    if !options.detach && !options.no_subreaper {
        let _ = nix::sys::prctl::set_child_subreaper(true);
    }
    let watch = if options.detach { None } else { Some(foreground::Signals::block()?) };
    let created = launch(&options.create, mode)?;
    let state = created.state;
    let poststart =
        state.details.hooks.as_ref().and_then(|hooks| hooks.poststart().as_deref()).unwrap_or_default();
    let started = hooks::run("poststart", poststart, &state, "running");
    if started.is_err() {
        let pidfd = krun_sys::Fd::of(&created.pidfd);
        let _ = krun_sys::process::pidfd_send_signal(pidfd, nix::libc::SIGKILL);
    }
    let Some(watch) = watch else {
        started?;
        if let Some(proxy) = created.notify {
            proxy.wait(created.pidfd.as_fd(), state.head.pid)?;
        }
        return Ok(0);
    };
    let code = foreground::attend(&watch, &created.pidfd, state.head.pid, created.console, created.notify);
    // Somebody else may have deleted it meanwhile, and the id be another container's by now.
    if let Some(dir) = created.dir.filter(|dir| !options.keep && !dir.is_removed()) {
        super::remove(dir, &state)?;
    }
    // Like the specification, for the kernel to take back.
    std::mem::forget(state);
    started?;
    code
}
