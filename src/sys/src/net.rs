//! Network interfaces (netdevice(7)).

use crate::{OwnedFd, Result, sys};

/// Brings the loopback interface of the current network namespace up; the
/// kernel then gives it 127.0.0.1 and ::1 by itself.
pub fn loopback_up() -> Result<()> {
    // SAFETY: no memory is passed.
    let fd = unsafe { sys!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }
        .map(OwnedFd::new)?;
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    request.ifr_name[0] = b'l' as _;
    request.ifr_name[1] = b'o' as _;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the argument is an ifreq that outlives the call.
    unsafe { sys!(libc::SYS_ioctl, fd.as_fd().number(), libc::SIOCSIFFLAGS, &raw const request) }.map(drop)
}
