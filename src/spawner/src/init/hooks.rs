//! Hooks that run inside: createContainer before the root changes,
//! startContainer just before the program.

use krun_sys::fs::{close, dup3, lseek, memfd_create, openat, poll, write};
use krun_sys::process::{self, CloneArgs, Exit, Side};
use krun_sys::{Errno, Fd, libc};

use super::channel::{At, Birth, Fail, index};
use super::mounts::decimal;
use crate::plan::Hook;
use crate::report::kind;
use crate::step::Step;

/// Exit code of a hook that could not be executed; the errno follows in it.
const NOT_STARTED: i32 = 127;

struct Stage {
    spawn: Step,
    failed: Step,
    timeout: Step,
}

/// createContainer hooks, with status creating.
pub fn run_create_container(birth: &Birth<'_>) -> Result<(), Fail> {
    let plan = birth.view.plan;
    let stage = Stage { spawn: Step::HookSpawn, failed: Step::HookFailed, timeout: Step::HookTimeout };
    let hooks = birth.view.arena.slice(plan.hooks.create_container);
    if !hooks.is_empty() && birth.root.is_some() {
        // They find the container in their working directory, as with runc.
        krun_sys::fs::fchdir(birth.root).at(Step::HookSpawn)?;
    }
    run(birth, hooks, plan.hooks.creating, Fd(plan.fds.hook_output), &stage)
}

/// startContainer hooks, with status created.
pub fn run_start_container(birth: &Birth<'_>) -> Result<(), Fail> {
    let plan = birth.view.plan;
    let stage =
        Stage { spawn: Step::StartHookSpawn, failed: Step::StartHookFailed, timeout: Step::StartHookTimeout };
    let hooks = birth.view.arena.slice(plan.hooks.start_container);
    // What was open of the host is closed. After `create` nobody is left to read it.
    let asks = !hooks.is_empty() && plan.fds.hook_output >= 0 && !birth.view.has(crate::plan::flag::GATE);
    let output = if asks {
        birth.channel.ask_fd(kind::OUTPUT, 0, Step::StartHookSpawn).unwrap_or(Fd::NONE)
    } else {
        Fd::NONE
    };
    run(birth, hooks, plan.hooks.created, output, &stage)?;
    if output.is_some() {
        close(output);
    }
    Ok(())
}

fn run(
    birth: &Birth<'_>,
    hooks: &[Hook],
    prefix: krun_sys::plain::Str,
    output: Fd,
    stage: &Stage,
) -> Result<(), Fail> {
    if hooks.is_empty() {
        return Ok(());
    }
    // A file, not a pipe: a hook that reads nothing must not block or break us.
    let stdin = memfd_create(c"krun-state", libc::MFD_CLOEXEC).at(stage.spawn)?;
    let mut digits = [0u8; 10];
    let arena = birth.view.arena;
    write(stdin, arena.cstr(prefix).to_bytes()).at(stage.spawn)?;
    write(stdin, decimal(process::getpid().unsigned_abs(), &mut digits)).at(stage.spawn)?;
    write(stdin, arena.cstr(birth.view.plan.hooks.rest).to_bytes()).at(stage.spawn)?;
    for (i, hook) in hooks.iter().enumerate() {
        lseek(stdin, 0, libc::SEEK_SET).on(stage.spawn, index(i))?;
        run_one(birth, hook, [stdin, output], stage, index(i))?;
    }
    close(stdin);
    Ok(())
}

fn run_one(birth: &Birth<'_>, hook: &Hook, streams: [Fd; 2], stage: &Stage, i: u32) -> Result<(), Fail> {
    #[allow(clippy::cast_sign_loss)] // flag bits and a signal number
    let args = CloneArgs {
        flags: libc::CLONE_PIDFD as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    let pidfd = match process::clone3(args).on(stage.spawn, i)? {
        Side::Child => become_hook(birth, hook, streams),
        Side::Parent { pidfd, .. } => pidfd,
    };
    let timeout = if hook.timeout_ms == 0 { -1 } else { i64::try_from(hook.timeout_ms).unwrap_or(i64::MAX) };
    let ended = loop {
        match poll(pidfd, libc::POLLIN, timeout) {
            Err(Errno::EINTR) => {}
            done => break done.on(stage.spawn, i)?,
        }
    };
    if ended == 0 {
        let _ = process::pidfd_send_signal(pidfd, libc::SIGKILL);
    }
    let exit = process::waitid_pidfd(pidfd, 0).on(stage.spawn, i)?;
    close(pidfd);
    if ended == 0 {
        return Err(Fail::new(stage.timeout, i, Errno::ETIMEDOUT));
    }
    match exit {
        Some(Exit::Code(0)) => Ok(()),
        Some(Exit::Code(code)) => {
            Err(Fail::new(stage.failed, i, Errno(0)).with_detail(u64::from(code.unsigned_abs())))
        }
        Some(Exit::Signal(n)) => {
            Err(Fail::new(stage.failed, i, Errno(0)).with_detail(u64::from(n.unsigned_abs()) | 1 << 32))
        }
        None => Err(Fail::new(stage.failed, i, Errno::ESRCH)),
    }
}

/// In the hook's process.
fn become_hook(birth: &Birth<'_>, hook: &Hook, [stdin, output]: [Fd; 2]) -> ! {
    let arena = birth.view.arena;
    let output = match output {
        fd if fd.is_some() => fd,
        _ => openat(Fd::CWD, c"/dev/null", libc::O_WRONLY | libc::O_CLOEXEC, 0).unwrap_or(Fd::NONE),
    };
    let _ = dup3(stdin, Fd(0), 0);
    let _ = dup3(output, Fd(1), 0);
    let _ = dup3(output, Fd(2), 0);
    let _ = process::sigsetmask(0);
    let errno = process::execve(arena.cstr(hook.path), arena.slice(hook.argv), arena.slice(hook.envp));
    let reason: &[u8] = match errno {
        Errno::ENOENT => b"no such file or directory\n",
        Errno::EACCES => b"permission denied\n",
        _ => b"cannot be executed\n",
    };
    let _ = write(Fd(2), b"exec ");
    let _ = write(Fd(2), arena.cstr(hook.path).to_bytes());
    let _ = write(Fd(2), b": ");
    let _ = write(Fd(2), reason);
    process::exit(NOT_STARTED)
}
