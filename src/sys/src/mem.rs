//! Memory maps.

use crate::{Errno, Fd, Result, sys};

/// Maps a sealed memfd, from `offset` to its end, privately at the address `at`, which must be free
/// (mmap(2), MAP_FIXED_NOREPLACE, Linux 4.17). The map stays for good.
///
/// # Errors
/// EPERM for a file that could still be written to or cut: what is mapped would change. EINVAL for one that is
/// not longer than `offset`. Else mmap(2)'s.
pub fn map_sealed_at(at: usize, fd: Fd<'_>, offset: usize) -> Result<&'static mut [u8]> {
    const FIXED: i32 = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK;
    if crate::fs::seals(fd)? & FIXED != FIXED {
        return Err(Errno::EPERM);
    }
    let size = usize::try_from(crate::fs::fstat(fd)?.size).map_err(|_| Errno::EINVAL)?;
    let len = size.checked_sub(offset).filter(|len| *len > 0).ok_or(Errno::EINVAL)?;
    // SAFETY: MAP_FIXED_NOREPLACE maps only where nothing is mapped.
    let got = unsafe {
        sys!(
            libc::SYS_mmap,
            at,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE,
            fd.number(),
            offset
        )
    }?;
    if got != at {
        return Err(Errno::EEXIST);
    }
    // SAFETY: a fresh private map of len bytes that nothing else refers to and that is never unmapped. The seals,
    // which nobody can take off, keep the file's contents and its length, so that no access faults.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut u8, len) })
}

/// Gives the pages of this program's own code and constants back to the page
/// cache, from where they come again when they are next touched: madvise(2)
/// with MADV_DONTNEED. For a process that sleeps most of the time.
pub fn release_text() -> Result<()> {
    unsafe extern "C" {
        // Made by the linker (ld(1), lld): the first segment, and the end of the code.
        static __executable_start: u8;
        static etext: u8;
    }
    // The largest page of any architecture: the kernel rounds a length up, and
    // what follows the code has been written to.
    const LARGEST_PAGE: usize = 0x1_0000;
    let start = &raw const __executable_start as usize;
    let end = &raw const etext as usize & !(LARGEST_PAGE - 1);
    // SAFETY: in a program linked to a fixed address nothing writes to these
    // private mappings of its file, so the pages that come back are the same.
    unsafe { sys!(libc::SYS_madvise, start, end.saturating_sub(start), libc::MADV_DONTNEED) }.map(drop)
}
