//! krun in the foreground: signals go to the process, its terminal to ours, and
//! its exit code becomes krun's.

use std::os::fd::{AsFd, OwnedFd};

use krun_sys::Fd;
use krun_sys::process::{Exit, pidfd_send_signal, signalfd, sigsetmask, waitid_pidfd};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::LaunchError;
use super::notify::Proxy;
use super::terminal::Terminal;

/// Signals, read as events.
#[derive(Debug)]
pub struct Signals(OwnedFd);

/// Those of the C library too, 32 to 34, which its own calls leave out: a container may use them.
const ALL: u64 = u64::MAX;

impl Signals {
    /// Blocks all signals and reads them from here on. The child resets its mask.
    ///
    /// # Errors
    /// signalfd(2).
    pub fn block() -> Result<Signals, LaunchError> {
        sigsetmask(ALL).map_err(|e| LaunchError::call("block signals", "rt_sigprocmask", e.0))?;
        signalfd(ALL)
            .map(|fd| Signals(fd.into()))
            .map_err(|e| LaunchError::call("read signals", "signalfd", e.0))
    }

    /// The number of the next signal that has arrived.
    fn next(&self) -> Option<i32> {
        // struct signalfd_siginfo; its first field is ssi_signo.
        let mut info = [0; 128];
        nix::unistd::read(&self.0, &mut info).ok()?;
        let number = info.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        number.and_then(|number| i32::try_from(number).ok())
    }
}

/// Stays with a process until it ends: its exit code, or 128 plus the signal.
///
/// # Errors
/// The terminal, or waiting itself.
pub fn attend(
    signals: &Signals,
    pidfd: &OwnedFd,
    pid: i32,
    console: Option<OwnedFd>,
    mut notify: Option<Proxy>,
) -> Result<u8, LaunchError> {
    let mut terminal = console.map(Terminal::attach).transpose()?;
    let failed = |call: &'static str| {
        move |errno: Errno| LaunchError::call("wait for the process", call, errno as i32)
    };
    loop {
        let (ended, signalled, ready) = {
            let mut fds = vec![
                PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.0.as_fd(), PollFlags::POLLIN),
            ];
            // poll(2) skips a negative descriptor; ours stands in where there is no socket.
            let stand_in = PollFd::new(pidfd.as_fd(), PollFlags::empty());
            fds.push(notify.as_ref().map_or(stand_in, |proxy| PollFd::new(proxy.as_fd(), proxy.events())));
            if let Some(terminal) = &terminal {
                fds.extend(terminal.poll_fds());
            }
            let timeout = notify.as_ref().map_or(PollTimeout::NONE, Proxy::rest);
            match poll(&mut fds, timeout) {
                Err(Errno::EINTR) => continue,
                done => done.map_err(failed("poll"))?,
            };
            let ready: Vec<_> = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect();
            let any = |at: usize| ready.get(at).is_some_and(|events| !events.is_empty());
            (any(0), any(1), ready)
        };
        // What comes with its end can't be passed on any more, and what it leaves to reap is the next reaper's.
        if signalled && !ended {
            pass_on(signals, pid, pidfd, terminal.as_ref());
        }
        notify = notify.and_then(|proxy| listen(proxy, ended));
        if let Some(terminal) = &mut terminal {
            terminal.copy(ready.get(3..).unwrap_or_default());
        }
        if ended {
            let exit = waitid_pidfd(Fd::of(pidfd), 0)
                .map_err(|e| LaunchError::call("wait for the process", "waitid", e.0))?;
            if let Some(terminal) = &mut terminal {
                terminal.drain();
            }
            return Ok(code(exit));
        }
    }
}

/// Hears what the container has said so far. Nothing comes back once that is settled, which closes the container's socket.
fn listen(mut proxy: Proxy, ended: bool) -> Option<Proxy> {
    // While krun stays it is the service's main process.
    let own_pid = krun_sys::process::getpid();
    let heard = if ended { proxy.hear_last(own_pid) } else { proxy.hear(own_pid) };
    match heard {
        Ok(ready) => (!ready).then_some(proxy),
        Err(error) => {
            crate::log::warning(crate::chain(&error));
            None
        }
    }
}

fn code(exit: Option<Exit>) -> u8 {
    match exit {
        Some(Exit::Code(code)) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        Some(Exit::Signal(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        None => u8::MAX,
    }
}

/// Forwards what was meant for the process; reaps what was left to us.
fn pass_on(signals: &Signals, pid: i32, pidfd: &OwnedFd, terminal: Option<&Terminal>) {
    while let Some(number) = signals.next() {
        match Signal::try_from(number) {
            Ok(Signal::SIGCHLD) => reap_others(pid),
            Ok(Signal::SIGWINCH) if terminal.is_some() => terminal.map_or((), Terminal::resize),
            // Sent by the kernel for our own sake, not by someone.
            Ok(Signal::SIGURG | Signal::SIGPIPE) => {}
            // From our terminal: its foreground group has got it already.
            Ok(Signal::SIGTTIN | Signal::SIGTTOU) => {}
            _ => {
                let _ = pidfd_send_signal(Fd::of(pidfd), number);
            }
        }
    }
}

/// As subreaper krun inherits the container's orphans; the process itself is
/// left for its pidfd.
fn reap_others(pid: i32) {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL;
    while let Ok(status) = waitid(Id::All, look) {
        match status.pid() {
            Some(other) if other.as_raw() != pid => {
                let _ =
                    waitid(Id::Pid(other), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::__WALL);
            }
            _ => return,
        }
    }
}
