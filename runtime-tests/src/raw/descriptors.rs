//! Calls about descriptors: terminals, sockets, pidfds, signalfds.

use super::syscall_numbers;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Handles `signals` by writing their number to the returned descriptor. Any of the 64: the C
/// library would leave those out that it uses itself.
pub fn catch_signals(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signals.iter().fold(0u64, |set, signal| set | 1 << (signal - 1));
    // SAFETY: a set of the kernel's size; the old one isn't asked for.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const set, 0, 8) };
    // SAFETY: a set of the kernel's size; the fd is owned from here on.
    let fd = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, 8, libc::SFD_CLOEXEC) };
    owned(RawFd::try_from(fd).unwrap_or(-1))
}

/// Reads one signal number from [`catch_signals`]' descriptor.
pub fn next_signal(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = [0u32; 32];
    // SAFETY: 128 bytes, the size of a signalfd_siginfo.
    let n = unsafe { libc::read(fd.as_raw_fd(), info.as_mut_ptr().cast(), 128) };
    if n == 128 { Ok(info[0]) } else { Err(io::Error::last_os_error()) }
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Turns a descriptor number handed down by the parent into an owned one.
pub fn take_fd(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only reads.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return None;
    }
    owned(fd).ok()
}

/// Whether the descriptor number is open.
pub fn fd_is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD only reads.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// The window size of a terminal: rows, columns.
pub fn winsize(fd: RawFd) -> Option<[u16; 2]> {
    // SAFETY: plain numbers, valid when zero.
    let mut ws: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes one winsize.
    let ret = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &mut ws) };
    (ret == 0).then_some([ws.ws_row, ws.ws_col])
}

/// Sets the window size of a terminal.
pub fn set_winsize(fd: RawFd, rows: u16, cols: u16) -> io::Result<()> {
    let ws = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize.
    let ret = unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, &ws) };
    if ret == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// isatty(3).
pub fn isatty(fd: RawFd) -> bool {
    // SAFETY: a number.
    unsafe { libc::isatty(fd) == 1 }
}

/// Receives one message with at most four descriptors from a unix socket.
pub fn recv_fds(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut data = vec![0u8; 65536];
    let mut control = [0u64; 16];
    let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    // SAFETY: a zeroed msghdr is valid; the fields are set below.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    #[allow(clippy::cast_possible_truncation, reason = "32 bits for musl")]
    {
        msg.msg_controllen = size_of_val(&control) as _;
    }
    // SAFETY: all buffers outlive the call.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut msg, libc::MSG_CMSG_CLOEXEC) };
    let Ok(n) = usize::try_from(n) else {
        return Err(io::Error::last_os_error());
    };
    data.truncate(n);
    let mut fds = Vec::new();
    // SAFETY: the kernel filled msg; the CMSG functions stay inside control.
    unsafe {
        let mut c = libc::CMSG_FIRSTHDR(&msg);
        while !c.is_null() {
            if (*c).cmsg_level == libc::SOL_SOCKET && (*c).cmsg_type == libc::SCM_RIGHTS {
                #[allow(clippy::unnecessary_cast, reason = "32 bits for musl")]
                let len = (*c).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let p = libc::CMSG_DATA(c).cast::<RawFd>();
                for i in 0..len / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(p.add(i).read_unaligned()));
                }
            }
            c = libc::CMSG_NXTHDR(&msg, c);
        }
    }
    Ok((data, fds))
}

/// Waits until the descriptor is readable; false on time-out.
pub fn poll_in(fd: BorrowedFd<'_>, millis: i32) -> bool {
    let mut p = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&mut p, 1, millis) > 0 }
}

/// pidfd_open(2).
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    let pid = usize::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let fd =
        syscall_numbers(libc::SYS_pidfd_open, [pid, 0, 0, 0, 0, 0]).map_err(io::Error::from_raw_os_error)?;
    owned(RawFd::try_from(fd).unwrap_or(-1))
}

/// Opens a pseudo terminal pair: master, slave.
pub fn openpty() -> io::Result<(OwnedFd, OwnedFd)> {
    let (mut m, mut s) = (-1, -1);
    let null = std::ptr::null_mut;
    // SAFETY: two out pointers; name, termios and size aren't asked for.
    let ret = unsafe { libc::openpty(&mut m, &mut s, null(), std::ptr::null(), std::ptr::null()) };
    if ret != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((owned(m)?, owned(s)?))
}

/// A copy of a descriptor without close-on-exec, at a number of at least `min`.
pub fn dup_inheritable(fd: BorrowedFd<'_>, min: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: numbers.
    owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD, min) })
}

/// dup2(2) for use in [`before_exec`].
pub fn dup2(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: numbers.
    if unsafe { libc::dup2(from, to) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the terminal on `fd` the controlling one of a new session.
pub fn take_terminal(fd: RawFd) -> io::Result<()> {
    // SAFETY: numbers.
    if unsafe { libc::setsid() } < 0 || unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A close-on-exec copy of a descriptor at a number of at least `min`.
pub fn dup_cloexec(fd: BorrowedFd<'_>, min: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: numbers.
    owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, min) })
}
