//! The parent's half: clone3 and the conversation with the child.
//!
//! Nothing here allocates; what the host has to do while the child waits is
//! behind the [`Host`] trait, whose methods say when allocation is allowed.

use krun_sys::plain::bytes_of_mut;
use krun_sys::process::{self, CLONE_CLEAR_SIGHAND, CloneArgs, Exit, Side};
use krun_sys::{Errno, Fd, OwnedFd, fs, libc, socket};

use crate::init::failure;
use crate::plan::{View, flag};
use crate::report::kind::READY;
use crate::report::{self, Reply, Report, kind};
use crate::step::Step;

/// What the spawner is given besides the plan.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The plan.
    pub view: View<'a>,
    /// A sealed memfd: krun-init, and the plan at [`crate::plan::FILE_OFFSET`].
    pub program: Fd<'a>,
    /// The parent's end of the socket.
    pub socket: Fd<'a>,
    /// The child's end of it, which the plan names. Only the child keeps it, so that the socket ends with it.
    pub child_socket: OwnedFd,
    /// The cgroup to be born in.
    pub cgroup: Option<Fd<'a>>,
}

/// What the host does while the child waits for it.
pub trait Host {
    /// Why the host gave up.
    type Error;

    /// The container's process exists; its pid on the host. Allocates nothing.
    fn born(&mut self, pid: i32, pidfd: Fd<'_>);
    /// Put process `pid` into its cgroup (systemd driver). May allocate.
    fn join_cgroup(&mut self, pid: i32) -> Result<(), Self::Error>;
    /// Write the id maps of `pid`. May allocate when helper programs do it.
    fn write_maps(&mut self, pid: i32) -> Result<(), Self::Error>;
    /// Open the source of mount `index` in the mount namespace of `pid`. May allocate.
    fn tree(&mut self, pid: i32, index: u32) -> Result<OwnedFd, Self::Error>;
    /// A copy of the descriptor that takes the output of startContainer hooks. Allocates nothing.
    fn hook_output(&mut self) -> Result<OwnedFd, Self::Error>;
    /// Run prestart and createRuntime hooks. May allocate.
    fn run_hooks(&mut self, pid: i32) -> Result<(), Self::Error>;
    /// Set limits and write the state. Allocates nothing.
    fn ready(&mut self, pid: i32) -> Result<(), Self::Error>;
    /// Take the terminal's master and its number. Allocates nothing.
    fn console(&mut self, master: OwnedFd, number: u32) -> Result<(), Self::Error>;
    /// Pass descriptor `fd` of the process on to the seccomp agent. May allocate.
    fn listener(&mut self, pidfd: Fd<'_>, fd: i32) -> Result<(), Self::Error>;
}

/// A process that stands at the gate or runs its program.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid on the host.
    pub pid: i32,
    /// Its pidfd, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Why there is no process. Whatever was cloned is dead and reaped.
#[derive(Clone, Copy, Debug)]
pub enum Failure<E> {
    /// A system call of the parent.
    Parent(&'static str, Errno),
    /// A step of the child.
    Child(Report),
    /// The child died without a word.
    Died(Option<Exit>),
    /// The host gave up.
    Host(E),
}

/// Clones the child and talks with it until it stands at the gate or has
/// become its program.
pub fn spawn<H: Host>(spawn: Spawn<'_>, host: &mut H) -> Result<Spawned, Failure<H::Error>> {
    let first = clone_first(&spawn).map_err(|errno| Failure::Parent("clone3", errno))?;
    let Spawn { view, socket, child_socket, .. } = spawn;
    drop(child_socket);
    let mut talk = Talk { view, socket, host, first, second: None, ready: false };
    let born = if talk.is_unborn() { Ok(()) } else { talk.born() };
    let done = born.and_then(|()| talk.converse());
    let Talk { first, second, .. } = talk;
    if !view.has(flag::HELPER) {
        return match done {
            Ok(()) => Ok(first),
            Err(failure) => Err(end(first, failure)),
        };
    }
    if done.is_err() {
        let _ = process::pidfd_send_signal(first.pidfd.as_fd(), libc::SIGKILL);
    }
    let exit = process::waitid_pidfd(first.pidfd.as_fd(), 0).ok().flatten();
    match (done, second) {
        (Ok(()), Some(second)) => Ok(second),
        (Err(failure), Some(second)) => Err(end(second, failure)),
        // Whoever the helper has made without a word finds the socket closed, and gives up.
        (Ok(()) | Err(Failure::Died(_)), None) => Err(Failure::Died(exit)),
        (Err(failure), None) => Err(failure),
    }
}

/// Kills and reaps; the exit of one that died by itself is kept.
fn end<E>(child: Spawned, failure: Failure<E>) -> Failure<E> {
    if !matches!(failure, Failure::Died(_)) {
        let _ = process::pidfd_send_signal(child.pidfd.as_fd(), libc::SIGKILL);
    }
    let exit = process::waitid_pidfd(child.pidfd.as_fd(), 0).ok().flatten();
    match failure {
        Failure::Died(_) => Failure::Died(exit),
        other => other,
    }
}

fn clone_first(spawn: &Spawn<'_>) -> krun_sys::Result<Spawned> {
    #[allow(clippy::cast_sign_loss)] // a signal number
    let sigchld = libc::SIGCHLD as u64;
    let mut flags = CLONE_CLEAR_SIGHAND;
    if !spawn.view.has(flag::HELPER) {
        flags |= spawn.view.plan.clone_flags;
    }
    let args = CloneArgs { flags, exit_signal: sigchld, cgroup: spawn.cgroup };
    let mut number = [0u8; 12];
    let argument = decimal(spawn.program, &mut number);
    match process::clone3(args)? {
        Side::Parent { pid, pidfd } => Ok(Spawned { pid, pidfd }),
        Side::Child => become_init(spawn, argument),
    }
}

/// In the child: close-on-exec for everything but the plan's descriptors, then
/// krun-init. From the clone to here it has a copy of the parent's memory and
/// makes nothing but system calls.
fn become_init(spawn: &Spawn<'_>, argument: &core::ffi::CStr) -> ! {
    let plan = spawn.view.plan;
    let first = plan.fds.preserve.saturating_add(3);
    let mut failed = fs::close_range_on_exec(first).map_err(|errno| failure(Step::CloseOnExec, errno));
    for number in spawn.view.arena.slice(plan.inherit).iter().chain(&[spawn.program.number()]) {
        if failed.is_ok() {
            failed = fs::keep_number_over_exec(*number).map_err(|e| failure(Step::Inherit, e));
        }
    }
    let report = match failed {
        Ok(()) => failure(Step::InitExec, process::execveat(spawn.program, c"krun-init", argument)),
        Err(report) => report,
    };
    let _ = fs::write(spawn.child_socket.as_fd(), krun_sys::plain::bytes_of(&report));
    process::exit(1)
}

/// A descriptor's number as a C string.
fn decimal<'a>(fd: Fd<'_>, buf: &'a mut [u8; 12]) -> &'a core::ffi::CStr {
    let mut rest = fd.number().unsigned_abs();
    let mut start = buf.len().saturating_sub(1);
    for (at, digit) in buf.iter_mut().enumerate().rev().skip(1) {
        *digit = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        start = at;
        if rest == 0 {
            break;
        }
    }
    core::ffi::CStr::from_bytes_until_nul(buf.get(start..).unwrap_or(&[])).unwrap_or(c"")
}

/// Most messages of the container's process before the helper's word: terminal, request, failure.
const EARLY: usize = 4;

/// A report and the descriptor that came with it.
type Message = (Report, Option<OwnedFd>);

struct Talk<'a, H> {
    view: View<'a>,
    socket: Fd<'a>,
    host: &'a mut H,
    /// The child: the helper, if the plan has one, or the container's process.
    first: Spawned,
    /// The container's process that the helper has made.
    second: Option<Spawned>,
    /// Whether all that must be done before the program runs is done.
    ready: bool,
}

impl<H: Host> Talk<'_, H> {
    /// Whom the host works for.
    fn current(&self) -> &Spawned {
        self.second.as_ref().unwrap_or(&self.first)
    }

    /// The container's process exists. With READY_AHEAD what has to be done before its program
    /// runs is done now, while it still builds the container, and answered before it asks.
    fn born(&mut self) -> Result<(), Failure<H::Error>> {
        let current = self.second.as_ref().unwrap_or(&self.first);
        self.host.born(current.pid, current.pidfd.as_fd());
        if self.view.has(flag::READY_AHEAD) {
            self.host.ready(self.current().pid).map_err(Failure::Host)?;
            self.answer(kind::READY, None)?;
        }
        Ok(())
    }

    fn converse(&mut self) -> Result<(), Failure<H::Error>> {
        // The container's process may speak before its helper has said that it
        // exists: what it said is kept until then. It waits for an answer soon.
        let mut early = [const { None }; EARLY];
        loop {
            let Some(message) = self.next()? else { return self.closed(early) };
            let kind = message.0.kind;
            if self.is_unborn() && !matches!(kind, kind::CLONED | kind::CGROUP) {
                let slot = early.iter_mut().find(|slot| slot.is_none());
                *slot.ok_or(Failure::Parent("recvmsg", Errno::EPROTO))? = Some(message);
                continue;
            }
            if self.take(message)? {
                return Ok(());
            }
            if kind != report::kind::CLONED {
                continue;
            }
            for message in early.iter_mut().filter_map(Option::take) {
                if self.take(message)? {
                    return Ok(());
                }
            }
        }
    }

    /// One message of the child; `true` for the last one.
    fn take(&mut self, (report, fd): Message) -> Result<bool, Failure<H::Error>> {
        match report.kind {
            kind::FAILED => return Err(Failure::Child(report)),
            kind::GATE => return Ok(true),
            kind::CLONED => self.cloned(report)?,
            _ => self.serve(report, fd)?,
        }
        Ok(false)
    }

    /// Whether there is only the helper yet.
    fn is_unborn(&self) -> bool {
        self.view.has(flag::HELPER) && self.second.is_none()
    }

    /// Serves a request and answers it.
    fn serve(&mut self, report: Report, fd: Option<OwnedFd>) -> Result<(), Failure<H::Error>> {
        let pid = self.current().pid;
        let mut with = None;
        match report.kind {
            kind::TREE => {
                let index = u32::try_from(report.detail).unwrap_or(u32::MAX);
                self.host.tree(pid, index).map(|fd| with = Some(fd))
            }
            kind::OUTPUT => self.host.hook_output().map(|fd| with = Some(fd)),
            kind::CGROUP => self.host.join_cgroup(pid),
            kind::MAPS => self.host.write_maps(pid),
            kind::HOOKS => self.host.run_hooks(pid),
            kind::READY => self.host.ready(pid),
            kind::LISTENER => {
                let current = self.second.as_ref().unwrap_or(&self.first);
                self.host.listener(current.pidfd.as_fd(), i32::try_from(report.detail).unwrap_or(-1))
            }
            kind::CONSOLE => {
                let master = fd.ok_or(Failure::Parent("recvmsg", Errno::EPROTO))?;
                let number = u32::try_from(report.detail).unwrap_or(u32::MAX);
                return self.host.console(master, number).map_err(Failure::Host);
            }
            _ => return Err(Failure::Parent("recvmsg", Errno::EPROTO)),
        }
        .map_err(Failure::Host)?;
        self.answer(report.kind, with)
    }

    /// Answers a request, with a descriptor if it asks for one.
    fn answer(&mut self, kind: u16, with: Option<OwnedFd>) -> Result<(), Failure<H::Error>> {
        let reply = Reply { kind: u64::from(kind) };
        let bytes = krun_sys::plain::bytes_of(&reply);
        let sent = match with {
            None => socket::send(self.socket, bytes).map(drop),
            Some(fd) => socket::send_fd(self.socket, bytes, fd.as_fd()),
        };
        match sent {
            Ok(()) => self.ready |= kind == READY,
            // The child is gone, and has not come to its program without this answer; what it
            // said last is still in the socket.
            Err(Errno::EPIPE) => {}
            Err(Errno::ECONNRESET) => self.ready = false,
            Err(errno) => return Err(Failure::Parent("sendto", errno)),
        }
        Ok(())
    }

    /// The helper made the container's process, a child of ours by CLONE_PARENT.
    fn cloned(&mut self, report: Report) -> Result<(), Failure<H::Error>> {
        if !self.is_unborn() {
            return Err(Failure::Parent("recvmsg", Errno::EPROTO));
        }
        let pid = i32::try_from(report.detail).unwrap_or(-1);
        // The pid cannot be reused before we reap it.
        let pidfd = process::pidfd_open(pid).map_err(|errno| Failure::Parent("pidfd_open", errno))?;
        self.second = Some(Spawned { pid, pidfd });
        // It ends with that word, and has left the container's cgroup before anyone there can count it.
        let _ = process::waitid_pidfd(self.first.pidfd.as_fd(), 0);
        self.born()
    }

    /// The next word of the child; `None` when it has closed the socket.
    fn next(&mut self) -> Result<Option<Message>, Failure<H::Error>> {
        let mut report = Report::default();
        loop {
            if self.is_unborn() {
                // Dead before its word, it may have left someone behind who waits for us with the socket open.
                match fs::poll_both(self.socket, self.first.pidfd.as_fd()) {
                    Ok([0, _]) => return Err(Failure::Died(None)),
                    Ok(_) => {}
                    Err(Errno::EINTR) => continue,
                    Err(errno) => return Err(Failure::Parent("ppoll", errno)),
                }
            }
            match socket::recv_fd(self.socket, bytes_of_mut(&mut report)) {
                Err(Errno::EINTR) => {}
                // The child has left an answer unread: it never came to its program. The error comes once,
                // and before what it said last.
                Err(Errno::ECONNRESET) => self.ready = false,
                Err(errno) => return Err(Failure::Parent("recvmsg", errno)),
                Ok((0, _)) => return Ok(None),
                Ok((n, fd)) if n == size_of::<Report>() && report.magic == report::MAGIC => {
                    return Ok(Some((report, fd)));
                }
                Ok(_) => return Err(Failure::Parent("recvmsg", Errno::EPROTO)),
            }
        }
    }

    /// The socket is closed: by execve, or because the child died. From READY on
    /// a program that ended at once cannot be told from a child that was killed;
    /// a child that fails by itself always says so first.
    fn closed(&mut self, early: [Option<Message>; EARLY]) -> Result<(), Failure<H::Error>> {
        // The helper's own failure, which came before there was anyone else.
        let failed = early.into_iter().flatten().find(|(report, _)| report.kind == kind::FAILED);
        if let Some((report, _)) = failed {
            return Err(Failure::Child(report));
        }
        if self.is_unborn() || !self.ready || self.view.has(flag::GATE) {
            return Err(Failure::Died(None));
        }
        Ok(())
    }
}
