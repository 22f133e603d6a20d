//! The call of the spawner.

use std::os::fd::OwnedFd;

use krun_spawner::parent::{self, Spawn, Spawned};
use krun_sys::{Fd, socket, window};

use super::born::Born;
use super::hooks::Output;
use super::{LaunchError, program, render};
use crate::plan::Frozen;

/// The socket to the child: ours, and the child's.
pub(super) fn socketpair() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    let failed = |e: krun_sys::Errno| LaunchError::call("make the socket to the child", "socketpair", e.0);
    let (ours, theirs) = socket::socketpair_seqpacket().map_err(failed)?;
    Ok((ours.into(), theirs.into()))
}

/// Hands the plan to the spawner. From clone3 to the gate (or the program) the
/// calling thread allocates nothing.
pub(super) fn spawn(
    frozen: &Frozen,
    sockets: (OwnedFd, OwnedFd),
    cgroup: Option<Fd<'_>>,
    born: &mut Born<'_>,
    output: Option<&Output>,
) -> Result<Spawned, LaunchError> {
    let program = program::memfd(frozen.bytes())?;
    let view = frozen.view();
    let (ours, theirs) = sockets;
    let request = Spawn {
        view,
        program: Fd::of(&program),
        socket: Fd::of(&ours),
        // The spawner closes it, so that the socket ends with the child.
        child_socket: theirs.into(),
        cgroup,
    };
    // The words are runc's, which its users' tools look for.
    crate::log::debug(format_args!("nsexec container setup: clone3 flags {:#x}", view.plan.clone_flags));
    if !view.plan.seccomp.filter.is_empty() {
        crate::log::debug(format_args!("seccomp filter flags: {}", view.plan.seccomp.flags));
    }
    window::enter();
    let done = parent::spawn(request, born);
    window::leave();
    if let Ok(spawned) = &done {
        crate::log::debug(format_args!("child process in init(): pid {}", spawned.pid));
        crate::log::debug("init: closing the pipe to signal completion");
        if born.record.is_none() {
            crate::log::debug("setns_init: about to exec");
        }
    }
    done.map_err(|failure| render::failure(view, failure, &output.map(Output::text).unwrap_or_default()))
}
