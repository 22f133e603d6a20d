//! `tmpcopyup`: a new tmpfs starts with what the directory below it holds.
//!
//! Allocation-free: one level of the tree is one stack frame with a fixed
//! buffer, so the depth is bounded.

use core::ffi::CStr;

use krun_sys::fs::{
    Stat, fchmod, fchownat, fstat, getdents64, mkdirat, mknodat, openat, read, readlinkat, statx, symlinkat,
    write,
};
use krun_sys::{Errno, Fd, Result, libc};

use super::path::PATH_MAX;

/// Deepest directory that is copied.
const DEPTH_MAX: u32 = 64;
const HERE: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;

/// Copies the directory `from` (O_PATH) into the root of the detached mount `to`.
pub fn copy(from: Fd<'_>, to: Fd<'_>) -> Result<()> {
    let source = openat(from, c".", HERE, 0)?;
    let target = openat(to, c".", HERE, 0)?;
    copy_directory(source.as_fd(), target.as_fd(), 0)
}

fn copy_directory(from: Fd<'_>, to: Fd<'_>, depth: u32) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Errno::ELOOP);
    }
    let mut buf = [0u8; 4096];
    loop {
        let n = getdents64(from, &mut buf)?;
        if n == 0 {
            return Ok(());
        }
        let mut rest = buf.get(..n).unwrap_or(&[]);
        // struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name.
        while let Some(reclen) = rest.get(16..18).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes) {
            let entry = rest.get(19..usize::from(reclen)).ok_or(Errno::EIO)?;
            let name = CStr::from_bytes_until_nul(entry).map_err(|_| Errno::EIO)?;
            if name != c"." && name != c".." {
                copy_entry(from, to, name, depth)?;
            }
            rest = rest.get(usize::from(reclen)..).unwrap_or(&[]);
        }
    }
}

fn copy_entry(from: Fd<'_>, to: Fd<'_>, name: &CStr, depth: u32) -> Result<()> {
    let st = statx(from, name, libc::AT_SYMLINK_NOFOLLOW)?;
    match st.mode & libc::S_IFMT {
        libc::S_IFDIR => {
            mkdirat(to, name, 0o700)?;
            let (source, target) = (openat(from, name, HERE, 0)?, openat(to, name, HERE, 0)?);
            copy_directory(source.as_fd(), target.as_fd(), depth.saturating_add(1))?;
            fchmod(target.as_fd(), st.mode & 0o7777)?;
        }
        libc::S_IFREG => return copy_file(from, to, name, &st),
        libc::S_IFLNK => copy_link(from, to, name)?,
        _ => mknodat(to, name, st.mode, libc::makedev(st.rdev.0, st.rdev.1))?,
    }
    own(to, name, &st, libc::AT_SYMLINK_NOFOLLOW)
}

fn own(at: Fd<'_>, name: &CStr, st: &Stat, flags: i32) -> Result<()> {
    match fchownat(at, name, st.uid, st.gid, flags) {
        // An owner that has no id in this user namespace.
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn copy_file(from: Fd<'_>, to: Fd<'_>, name: &CStr, st: &Stat) -> Result<()> {
    // Whoever shares the directory may have put a FIFO there since: it must not make us wait.
    let reading = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let source = openat(from, name, reading, 0)?;
    if !fstat(source.as_fd())?.is(libc::S_IFREG) {
        return Err(Errno::EBUSY);
    }
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let target = openat(to, name, flags, 0o600)?;
    let mut buf = [0u8; 16384];
    loop {
        let n = read(source.as_fd(), &mut buf)?;
        if n == 0 {
            break;
        }
        let mut rest = buf.get(..n).unwrap_or(&[]);
        while !rest.is_empty() {
            let written = write(target.as_fd(), rest)?;
            rest = rest.get(written..).unwrap_or(&[]);
        }
    }
    // In this order: a change of owner takes the set-user-ID bit away (chown(2)).
    own(target.as_fd(), c"", st, libc::AT_EMPTY_PATH)?;
    fchmod(target.as_fd(), st.mode & 0o7777)
}

fn copy_link(from: Fd<'_>, to: Fd<'_>, name: &CStr) -> Result<()> {
    let mut text = [0u8; PATH_MAX];
    let n = readlinkat(from, name, &mut text)?;
    *text.get_mut(n).ok_or(Errno::ENAMETOOLONG)? = 0;
    symlinkat(CStr::from_bytes_until_nul(&text).map_err(|_| Errno::EIO)?, to, name)
}
