//! Memory maps.

use crate::{Errno, Fd, Result, sys};

/// Maps `len` bytes of `fd` privately at the address `at`, which must be free
/// (mmap(2), MAP_FIXED_NOREPLACE, Linux 4.17). The map stays for good.
pub fn map_private_at(at: usize, fd: Fd, len: usize) -> Result<&'static mut [u8]> {
    // SAFETY: MAP_FIXED_NOREPLACE maps only where nothing is mapped.
    let got = unsafe {
        sys!(
            libc::SYS_mmap,
            at,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE,
            fd.0,
            0
        )
    }?;
    if got != at {
        return Err(Errno::EEXIST);
    }
    // SAFETY: a fresh private map of len bytes that nothing else refers to and
    // that is never unmapped; the file is sealed, so no access can fault.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut u8, len) })
}
