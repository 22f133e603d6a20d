//! Hooks that run inside: createContainer before the root changes,
//! startContainer just before the program.

use krun_sys::fs::{lseek, memfd_create, openat, poll, replace_stream, write};
use krun_sys::process::{self, CloneArgs, Exit, Side};
use krun_sys::{Errno, Fd, OwnedFd, libc};

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
    if let Some(root) = birth.root.as_ref().filter(|_| !hooks.is_empty()) {
        // They find the container in their working directory, as with runc.
        krun_sys::fs::fchdir(root.as_fd()).at(Step::HookSpawn)?;
    }
    run(birth, hooks, plan.hooks.creating, birth.handed.fd(plan.fds.hook_output), &stage)
}

/// startContainer hooks, with status created.
pub fn run_start_container(birth: &Birth<'_>) -> Result<(), Fail> {
    let plan = birth.view.plan;
    let stage =
        Stage { spawn: Step::StartHookSpawn, failed: Step::StartHookFailed, timeout: Step::StartHookTimeout };
    let hooks = birth.view.arena.slice(plan.hooks.start_container);
    // What was open of the host is closed. After `create` nobody is left to read it.
    let asks = !hooks.is_empty() && plan.fds.hook_output >= 0 && !birth.view.has(crate::plan::flag::GATE);
    let output = if asks { birth.channel.ask_fd(kind::OUTPUT, 0, Step::StartHookSpawn).ok() } else { None };
    let done = run(birth, hooks, plan.hooks.created, output.as_ref().map(OwnedFd::as_fd), &stage);
    close_if_well(done, output)
}

fn run(
    birth: &Birth<'_>,
    hooks: &[Hook],
    prefix: krun_sys::plain::Str,
    output: Option<Fd<'_>>,
    stage: &Stage,
) -> Result<(), Fail> {
    if hooks.is_empty() {
        return Ok(());
    }
    // A file, not a pipe: a hook that reads nothing must not block or break us.
    let stdin = memfd_create(c"krun-state", libc::MFD_CLOEXEC).at(stage.spawn)?;
    let done = run_each(birth, hooks, prefix, stdin.as_fd(), output, stage);
    close_if_well(done, Some(stdin))
}

/// After the filter close(2) may end the process, which still has to say what failed.
fn close_if_well<T>(done: Result<T, Fail>, fd: Option<OwnedFd>) -> Result<T, Fail> {
    if done.is_err() {
        let _ = fd.map(OwnedFd::leak);
    }
    done
}

fn run_each(
    birth: &Birth<'_>,
    hooks: &[Hook],
    prefix: krun_sys::plain::Str,
    stdin: Fd<'_>,
    output: Option<Fd<'_>>,
    stage: &Stage,
) -> Result<(), Fail> {
    let mut digits = [0u8; 10];
    let arena = birth.view.arena;
    write(stdin, arena.cstr(prefix).to_bytes()).at(stage.spawn)?;
    write(stdin, decimal(process::getpid().unsigned_abs(), &mut digits)).at(stage.spawn)?;
    write(stdin, arena.cstr(birth.view.plan.hooks.rest).to_bytes()).at(stage.spawn)?;
    for (i, hook) in hooks.iter().enumerate() {
        lseek(stdin, 0, libc::SEEK_SET).on(stage.spawn, index(i))?;
        run_one(birth, hook, stdin, output, stage, index(i))?;
    }
    Ok(())
}

fn run_one(
    birth: &Birth<'_>,
    hook: &Hook,
    stdin: Fd<'_>,
    output: Option<Fd<'_>>,
    stage: &Stage,
    i: u32,
) -> Result<(), Fail> {
    #[allow(clippy::cast_sign_loss)] // a signal number
    let args = CloneArgs { exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    let pidfd = match process::clone3(args).on(stage.spawn, i)? {
        Side::Child => become_hook(birth, hook, stdin, output),
        Side::Parent { pidfd, .. } => pidfd,
    };
    let timeout = if hook.timeout_ms == 0 { -1 } else { i64::try_from(hook.timeout_ms).unwrap_or(i64::MAX) };
    let ended = await_end(pidfd.as_fd(), timeout);
    let (ended, exit) = close_if_well(ended.on(stage.spawn, i), Some(pidfd))?;
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

/// Waits for a hook to end, and kills it when its time is up: 0, and its exit.
fn await_end(pidfd: Fd<'_>, timeout: i64) -> krun_sys::Result<(i16, Option<Exit>)> {
    let ended = loop {
        match poll(pidfd, libc::POLLIN, timeout) {
            Err(Errno::EINTR) => {}
            done => break done?,
        }
    };
    if ended == 0 {
        let _ = process::pidfd_send_signal(pidfd, libc::SIGKILL);
    }
    Ok((ended, process::waitid_pidfd(pidfd, 0)?))
}

/// In the hook's process.
fn become_hook(birth: &Birth<'_>, hook: &Hook, stdin: Fd<'_>, output: Option<Fd<'_>>) -> ! {
    let arena = birth.view.arena;
    let null = || openat(Fd::CWD, c"/dev/null", libc::O_WRONLY | libc::O_CLOEXEC, 0).map(OwnedFd::leak);
    let _ = replace_stream(stdin, 0);
    if let Some(output) = output.or_else(|| null().ok()) {
        let _ = replace_stream(output, 1);
        let _ = replace_stream(output, 2);
    }
    let _ = process::sigsetmask(0);
    let errno = process::execve(arena.cstr(hook.path), arena.slice(hook.argv), arena.slice(hook.envp));
    let reason: &[u8] = match errno {
        Errno::ENOENT => b"no such file or directory\n",
        Errno::EACCES => b"permission denied\n",
        _ => b"cannot be executed\n",
    };
    let _ = write(Fd::STDERR, b"exec ");
    let _ = write(Fd::STDERR, arena.cstr(hook.path).to_bytes());
    let _ = write(Fd::STDERR, b": ");
    let _ = write(Fd::STDERR, reason);
    process::exit(NOT_STARTED)
}
