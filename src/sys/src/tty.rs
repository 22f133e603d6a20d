//! Pseudo-terminals (ioctl_tty(2), pts(4)).

use crate::{Fd, OwnedFd, Result, sys};

/// Unlocks the slave of a pty master: ioctl(TIOCSPTLCK, 0).
pub fn unlock_pty(master: Fd<'_>) -> Result<()> {
    let zero = 0i32;
    // SAFETY: the argument is a readable int.
    unsafe { sys!(libc::SYS_ioctl, master.number(), libc::TIOCSPTLCK, &raw const zero) }.map(drop)
}

/// The slave's number: ioctl(TIOCGPTN).
pub fn pty_number(master: Fd<'_>) -> Result<u32> {
    let mut n = 0u32;
    // SAFETY: the argument is a writable int.
    unsafe { sys!(libc::SYS_ioctl, master.number(), libc::TIOCGPTN, &raw mut n) }?;
    Ok(n)
}

/// Opens the slave of this very master, without a path: ioctl(TIOCGPTPEER), Linux 4.13.
pub fn pty_peer(master: Fd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the argument is an integer.
    unsafe { sys!(libc::SYS_ioctl, master.number(), libc::TIOCGPTPEER, flags) }.map(OwnedFd::new)
}

/// Sets the size in characters: ioctl(TIOCSWINSZ).
pub fn set_winsize(tty: Fd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the argument is a readable winsize.
    unsafe { sys!(libc::SYS_ioctl, tty.number(), libc::TIOCSWINSZ, &raw const size) }.map(drop)
}

/// Makes the terminal the session's: ioctl(TIOCSCTTY).
pub fn set_controlling(tty: Fd<'_>) -> Result<()> {
    // SAFETY: the argument is an integer.
    unsafe { sys!(libc::SYS_ioctl, tty.number(), libc::TIOCSCTTY, 0) }.map(drop)
}

/// The size in characters, rows and columns: ioctl(TIOCGWINSZ).
pub fn get_winsize(tty: Fd<'_>) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the argument is a writable winsize.
    unsafe { sys!(libc::SYS_ioctl, tty.number(), libc::TIOCGWINSZ, &raw mut size) }?;
    Ok((size.ws_row, size.ws_col))
}
