//! `binary://`: a program of the user's that takes a container's output.
//!
//! It reads stdout from descriptor 3 and stderr from 4, and closes 5 when it is
//! ready (containerd's `core/runtime/v2/README.md`).

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use krun::pidfd::PidFd;
use krun_sys::libc;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

use super::{Context, Error, as_file, pipe};

/// Longest wait for the program to become ready.
const READY_MS: u16 = 30_000;
/// Above every descriptor that the program is given, so that no dup2 of one
/// overwrites another.
const FIRST_FREE: RawFd = 10;

/// A running logging program. It ends at its streams' end; one that doesn't is
/// asked to by SIGTERM when the process it served is deleted.
#[derive(Debug)]
pub struct Logger {
    /// Not its pid: one that has ended was reaped, and its pid may be another's.
    pidfd: PidFd,
}

impl Logger {
    /// Starts the program, waits until it is ready, and returns the ends that
    /// the process writes its stdout and stderr to. Blocks.
    pub fn spawn(
        program: &Path,
        args: &[String],
        strict: bool,
        context: Context<'_>,
    ) -> Result<(Self, [OwnedFd; 2]), Error> {
        let failed = |reason: String| Error::Logger { program: program.to_owned(), reason };
        let (out_reader, out) = pipe(context.owner)?;
        let (err_reader, err) = pipe(context.owner)?;
        let (ready, ready_writer) = pipe((0, 0))?;
        let argv = strings(program, args).ok_or_else(|| failed("an argument contains NUL".into()))?;
        let env =
            [format!("CONTAINER_ID={}", context.id), format!("CONTAINER_NAMESPACE={}", context.namespace)];
        let env: Vec<CString> = env.into_iter().filter_map(|v| CString::new(v).ok()).collect();
        let pid = spawn(&argv, &env, [&out_reader, &err_reader, &ready_writer])
            .map_err(|e| failed(e.to_string()))?;
        drop((out_reader, err_reader, ready_writer));
        let logger = Self { pidfd: PidFd::open(pid.as_raw()).map_err(|e| failed(e.to_string()))? };
        let reason = match wait_ready(ready) {
            Ok(0) if strict => "it ended without being ready".to_owned(),
            Ok(_) => return Ok((logger, [out, err])),
            Err(reason) => reason,
        };
        logger.kill();
        Err(failed(reason))
    }

    /// Asks the program to end; the reaper collects it.
    pub fn terminate(&self) {
        let _ = self.pidfd.send_signal(libc::SIGTERM);
    }

    /// Ends it.
    pub fn kill(&self) {
        let _ = self.pidfd.send_signal(libc::SIGKILL);
    }
}

fn strings(program: &Path, args: &[String]) -> Option<Vec<CString>> {
    let mut argv = vec![CString::new(program.as_os_str().as_bytes()).ok()?];
    for arg in args {
        argv.push(CString::new(arg.as_str()).ok()?);
    }
    Some(argv)
}

/// posix_spawn(3) with `fds` as 3, 4 and 5 and an empty signal mask.
fn spawn(argv: &[CString], env: &[CString], fds: [&OwnedFd; 3]) -> nix::Result<Pid> {
    use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
    let mut high = Vec::new();
    let mut actions = PosixSpawnFileActions::init()?;
    for (fd, number) in fds.into_iter().zip(3..) {
        let copy = HighFd(fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(FIRST_FREE))?);
        actions.add_dup2(copy.0, number)?;
        high.push(copy);
    }
    let mut attr = PosixSpawnAttr::init()?;
    attr.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
    attr.set_sigmask(&SigSet::empty())?;
    attr.set_sigdefault(&SigSet::all())?;
    posix_spawn(argv[0].as_c_str(), &actions, &attr, argv, env)
}

/// A descriptor number from fcntl(2), closed on drop.
struct HighFd(RawFd);

impl Drop for HighFd {
    fn drop(&mut self) {
        let _ = nix::unistd::close(self.0);
    }
}

/// Waits for a byte or end-of-file.
fn wait_ready(ready: OwnedFd) -> Result<usize, String> {
    let mut polled = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
    match poll(&mut polled, PollTimeout::from(READY_MS)) {
        Ok(0) => return Err("it did not become ready in time".to_owned()),
        Ok(_) => {}
        Err(e) => return Err(e.to_string()),
    }
    let _ = ready.as_raw_fd();
    as_file(ready).read(&mut [0u8; 1]).map_err(|e| e.to_string())
}
