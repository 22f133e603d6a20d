//! krun-init, from its bytes in krun to a sealed memfd that can be executed.

use std::os::fd::{AsRawFd, OwnedFd};

use krun_sys::Errno;
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::LaunchError;

/// The child half of the spawner, built by build.rs.
static KRUN_INIT: &[u8] = include_bytes!(env!("KRUN_INIT"));

/// `MFD_EXEC` (memfd_create(2), Linux 6.3): executable under vm.memfd_noexec=1.
const MFD_EXEC: u32 = 0x10;

/// A memfd with krun-init that nobody can change: what a container sees as the
/// executable of a process that is being born (CVE-2019-5736).
///
/// # Errors
/// memfd_create(2) and what follows; EACCES under vm.memfd_noexec=2.
pub fn memfd() -> Result<OwnedFd, LaunchError> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let exec = MFdFlags::from_bits_retain(MFD_EXEC);
    let fd = match memfd_create(c"krun-init", flags | exec) {
        // Before Linux 6.3 every memfd is executable and the flag unknown.
        Err(nix::errno::Errno::EINVAL) => memfd_create(c"krun-init", flags),
        done => done,
    }
    .map_err(|errno| {
        LaunchError::call("make krun-init's memfd (see vm.memfd_noexec)", "memfd_create", errno as i32)
    })?;
    write_sealed(&fd, KRUN_INIT)
        .map_err(|Errno(errno)| LaunchError::call("write krun-init's memfd", "write", errno))?;
    Ok(fd)
}

/// A sealed memfd with these bytes.
///
/// # Errors
/// memfd_create(2), write(2), fcntl(2).
pub fn sealed(name: &std::ffi::CStr, bytes: &[u8]) -> Result<OwnedFd, LaunchError> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let what = || format!("make the memfd {}", name.to_string_lossy());
    let fd =
        memfd_create(name, flags).map_err(|errno| LaunchError::call(what(), "memfd_create", errno as i32))?;
    write_sealed(&fd, bytes).map_err(|Errno(errno)| LaunchError::call(what(), "write", errno))?;
    Ok(fd)
}

fn write_sealed(fd: &OwnedFd, bytes: &[u8]) -> krun_sys::Result<()> {
    let fd = krun_sys::Fd(fd.as_raw_fd());
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = krun_sys::fs::write(fd, rest)?;
        rest = rest.get(n..).unwrap_or_default();
    }
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    krun_sys::fs::fcntl(fd, libc::F_ADD_SEALS, seals).map(drop)
}
