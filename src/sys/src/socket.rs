//! The pair of sockets over which a child reports, and descriptors over sockets.

use crate::{Errno, Fd, OwnedFd, Result, sys};

/// socketpair(2), AF_UNIX SOCK_SEQPACKET, close-on-exec
pub fn socketpair_seqpacket() -> Result<(OwnedFd, OwnedFd)> {
    let mut pair = [0i32; 2];
    // SAFETY: pair is writable.
    unsafe {
        sys!(
            libc::SYS_socketpair,
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            pair.as_mut_ptr()
        )
    }?;
    Ok((OwnedFd::new(pair[0] as usize), OwnedFd::new(pair[1] as usize)))
}

/// A control message with one descriptor. Its alignment leaves room for a second one (CMSG_SPACE(3)), which
/// the kernel fills in if the sender has put two in.
#[repr(C, align(8))]
struct OneFd {
    header: libc::cmsghdr,
    fd: i32,
    second: i32,
}

/// `cmsg_len` of a message with one descriptor.
const LEN_OF_ONE: usize = size_of::<libc::cmsghdr>() + size_of::<i32>();

/// sendmsg(2) of some bytes with one descriptor (SCM_RIGHTS, unix(7)); never SIGPIPE.
pub fn send_fd(socket: Fd<'_>, bytes: &[u8], fd: Fd<'_>) -> Result<()> {
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero msghdr and cmsghdr are valid.
    let (mut msg, header): (libc::msghdr, libc::cmsghdr) =
        unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
    let mut control = OneFd { header, fd: fd.number(), second: -1 };
    control.header.cmsg_len = LEN_OF_ONE as _;
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = (&raw mut control).cast();
    msg.msg_controllen = size_of::<OneFd>() as _;
    // SAFETY: msg and all that it points to outlive the call.
    unsafe { sys!(libc::SYS_sendmsg, socket.number(), &raw const msg, libc::MSG_NOSIGNAL) }.map(drop)
}

/// recvmsg(2) of some bytes and at most one descriptor, which is close-on-exec.
///
/// # Errors
/// EPROTO for a message with more than one descriptor, all of which are closed.
pub fn recv_fd(socket: Fd<'_>, bytes: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let mut iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero msghdr and cmsghdr are valid.
    let (mut msg, header): (libc::msghdr, libc::cmsghdr) =
        unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
    let mut control = OneFd { header, fd: -1, second: -1 };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = (&raw mut control).cast();
    msg.msg_controllen = size_of::<OneFd>() as _;
    // SAFETY: msg and all that it points to outlive the call and are writable.
    let n = unsafe { sys!(libc::SYS_recvmsg, socket.number(), &raw mut msg, libc::MSG_CMSG_CLOEXEC) }?;
    let rights =
        control.header.cmsg_level == libc::SOL_SOCKET && control.header.cmsg_type == libc::SCM_RIGHTS;
    #[allow(clippy::unnecessary_cast, reason = "32 bits for musl")]
    let length = msg.msg_controllen as usize;
    if length < size_of::<libc::cmsghdr>() || !rights {
        return Ok((n, None));
    }
    #[allow(clippy::unnecessary_cast, reason = "32 bits for musl")]
    let one = control.header.cmsg_len as usize == LEN_OF_ONE && msg.msg_flags & libc::MSG_CTRUNC == 0;
    if !one {
        [control.fd, control.second].into_iter().filter_map(received).for_each(drop);
        return Err(Errno::EPROTO);
    }
    Ok((n, received(control.fd)))
}

/// What the kernel has put into a control message, if it has.
fn received(number: i32) -> Option<OwnedFd> {
    usize::try_from(number).ok().map(OwnedFd::new)
}

/// send(2) without SIGPIPE
pub fn send(socket: Fd<'_>, bytes: &[u8]) -> Result<usize> {
    // SAFETY: bytes is readable for its length.
    unsafe { sys!(libc::SYS_sendto, socket.number(), bytes.as_ptr(), bytes.len(), libc::MSG_NOSIGNAL, 0, 0) }
}
