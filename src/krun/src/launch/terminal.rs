//! The container's terminal on ours: raw mode, bytes both ways, window size.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::LaunchError;

/// Copies between our standard streams and a pty master until it is closed.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    saved: Option<Termios>,
    stdin_open: bool,
    master_open: bool,
}

impl Terminal {
    /// Puts our terminal, if there is one, into raw mode and gives the
    /// container's its size.
    ///
    /// # Errors
    /// tcsetattr(3), fcntl(2).
    pub fn attach(master: OwnedFd) -> Result<Terminal, LaunchError> {
        let failed = |call: &'static str| {
            move |errno: Errno| LaunchError::call("attach to the terminal", call, errno as i32)
        };
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed("fcntl"))?;
        let stdin = std::io::stdin();
        let saved = tcgetattr(stdin.as_fd()).ok();
        if let Some(saved) = &saved {
            let mut raw = saved.clone();
            cfmakeraw(&mut raw);
            // It goes on making a carriage return of each newline.
            raw.output_flags.insert(OutputFlags::OPOST);
            tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw).map_err(failed("tcsetattr"))?;
        }
        let terminal = Terminal { master, saved, stdin_open: true, master_open: true };
        terminal.resize();
        Ok(terminal)
    }

    /// Our terminal's rows and columns, if we have one.
    pub fn size() -> Option<(u16, u16)> {
        krun_sys::tty::get_winsize(krun_sys::Fd::STDIN).ok()
    }

    /// Takes our terminal's size over.
    pub fn resize(&self) {
        if let Some((rows, columns)) = Self::size() {
            let _ = krun_sys::tty::set_winsize(krun_sys::Fd::of(&self.master), rows, columns);
        }
    }

    /// What to wait for: the master, then our stdin.
    pub fn poll_fds(&self) -> Vec<PollFd<'_>> {
        // poll(2) ignores an entry without events only for errors, so an ended
        // stream is left out by asking stdin's place of the master.
        let mut fds = Vec::with_capacity(2);
        if self.master_open {
            fds.push(PollFd::new(self.master.as_fd(), PollFlags::POLLIN));
            if self.stdin_open {
                fds.push(PollFd::new(stdin_fd(), PollFlags::POLLIN));
            }
        }
        fds
    }

    /// Copies what is ready.
    pub fn copy(&mut self, ready: &[PollFlags]) {
        if ready.first().is_some_and(|events| !events.is_empty()) {
            self.master_open = move_bytes(self.master.as_fd(), std::io::stdout().as_fd());
        }
        if ready.get(1).is_some_and(|events| !events.is_empty()) {
            self.stdin_open = move_bytes(stdin_fd(), self.master.as_fd());
            if !self.stdin_open {
                // The end of our input is the end of the container's: ^D.
                let _ = nix::unistd::write(&self.master, &[4]);
            }
        }
    }

    /// Copies the rest of the output after the process has ended.
    pub fn drain(&mut self) {
        while self.master_open {
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            match nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO) {
                Ok(n) if n > 0 => {}
                _ => return,
            }
            self.master_open = move_bytes(self.master.as_fd(), std::io::stdout().as_fd());
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, saved);
        }
    }
}

/// What the container writes comes through as it is, as with runc: no carriage
/// return before each newline (termios(3), ONLCR). Our own terminal adds it.
///
/// # Errors
/// tcsetattr(3)
pub fn clear_onlcr(master: &OwnedFd) -> nix::Result<()> {
    let mut modes = tcgetattr(master)?;
    modes.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(master, SetArg::TCSANOW, &modes)
}

fn stdin_fd() -> BorrowedFd<'static> {
    static STDIN: std::sync::OnceLock<std::io::Stdin> = std::sync::OnceLock::new();
    STDIN.get_or_init(std::io::stdin).as_fd()
}

/// One read and the writes it takes; `false` when the source has ended (EIO
/// from a pty whose other side is closed).
fn move_bytes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buf = [0u8; 8192];
    let n = match nix::unistd::read(from, &mut buf) {
        Err(Errno::EAGAIN | Errno::EINTR) => return true,
        Ok(0) | Err(_) => return false,
        Ok(n) => n,
    };
    let mut rest = buf.get(..n).unwrap_or_default();
    while !rest.is_empty() {
        match nix::unistd::write(to, rest) {
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut fds = [PollFd::new(to, PollFlags::POLLOUT)];
                let _ = nix::poll::poll(&mut fds, nix::poll::PollTimeout::NONE);
            }
            Err(_) => return true,
        }
    }
    true
}
