//! krun-init, from its bytes in krun to a sealed memfd that can be executed.

use std::os::fd::OwnedFd;

use krun_spawner::plan::FILE_OFFSET;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::uio::pwrite;

use super::LaunchError;

/// The child half of the spawner, built by build.rs.
const KRUN_INIT: &[u8] = include_bytes!(env!("KRUN_INIT"));

/// `MFD_EXEC` (memfd_create(2), Linux 6.3): executable under vm.memfd_noexec=1.
const MFD_EXEC: u32 = 0x10;

/// A sealed memfd with krun-init and, behind it, the plan: what a container sees as the executable of a process that
/// is being born, and what nobody can change (CVE-2019-5736).
///
/// # Errors
/// memfd_create(2), pwrite(2), fcntl(2); EACCES under vm.memfd_noexec=2.
pub fn memfd(plan: &[u8]) -> Result<OwnedFd, LaunchError> {
    const { assert!(KRUN_INIT.len() <= FILE_OFFSET) };
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
    let failed = |call| {
        move |errno: nix::errno::Errno| LaunchError::call("write krun-init's memfd", call, errno as i32)
    };
    write_at(&fd, KRUN_INIT, 0).map_err(failed("pwrite"))?;
    write_at(&fd, plan, FILE_OFFSET).map_err(failed("pwrite"))?;
    let seals =
        SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).map_err(failed("fcntl"))?;
    Ok(fd)
}

fn write_at(fd: &OwnedFd, bytes: &[u8], mut offset: usize) -> nix::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // The file is far smaller than 2^63 bytes.
        let n = pwrite(fd, rest, i64::try_from(offset).unwrap_or(i64::MAX))?;
        (rest, offset) = (rest.get(n..).unwrap_or_default(), offset + n);
    }
    Ok(())
}
