//! Files, directories and file descriptors.

use core::ffi::CStr;

use crate::{Errno, Fd, OwnedFd, Result, sys};

/// `struct open_how` (openat2(2), Linux 5.6).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenHow {
    /// `O_*` flags.
    pub flags: u64,
    /// Mode of a file that is created.
    pub mode: u64,
    /// `RESOLVE_*` flags.
    pub resolve: u64,
}

/// openat(2)
pub fn openat(dir: Fd<'_>, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    // SAFETY: path is a C string that outlives the call.
    unsafe { sys!(libc::SYS_openat, dir.number(), path.as_ptr(), flags, mode) }.map(OwnedFd::new)
}

/// openat2(2), Linux 5.6
pub fn openat2(dir: Fd<'_>, path: &CStr, how: OpenHow) -> Result<OwnedFd> {
    // SAFETY: path and how outlive the call; the size is that of the structure.
    unsafe { sys!(libc::SYS_openat2, dir.number(), path.as_ptr(), &raw const how, size_of::<OpenHow>()) }
        .map(OwnedFd::new)
}

/// close_range(2), Linux 5.9. Whoever calls it knows that nothing in the process owns these numbers.
pub(crate) fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_close_range, first, last, 0) }.map(drop)
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC (Linux 5.11): has execve(2) close all from number `first` on. Until then
/// every one stays open.
pub fn close_range_on_exec(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) }.map(drop)
}

/// dup3(2): `old` as standard stream `stream`, which nobody owns.
///
/// # Errors
/// EINVAL for another number than 0 to 2.
pub fn replace_stream(old: Fd<'_>, stream: u32) -> Result<()> {
    if stream > 2 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_dup3, old.number(), stream, 0) }.map(drop)
}

/// fcntl(2).
///
/// # Safety
/// The command takes an integer.
unsafe fn fcntl(number: i32, cmd: i32, arg: i32) -> Result<i32> {
    // SAFETY: the caller's promise.
    unsafe { sys!(libc::SYS_fcntl, number, cmd, arg) }.map(|n| n as i32)
}

/// fcntl(F_DUPFD_CLOEXEC): a copy of the descriptor, close-on-exec.
pub fn dup(fd: Fd<'_>) -> Result<OwnedFd> {
    // SAFETY: this command takes an integer.
    unsafe { sys!(libc::SYS_fcntl, fd.number(), libc::F_DUPFD_CLOEXEC, 0) }.map(OwnedFd::new)
}

/// fcntl(F_GETFD): whether the descriptor of this number, which need not be open, is close-on-exec.
///
/// # Errors
/// EBADF if it is not open.
pub fn is_cloexec(number: i32) -> Result<bool> {
    // SAFETY: this command takes no argument.
    unsafe { fcntl(number, libc::F_GETFD, 0) }.map(|flags| flags & libc::FD_CLOEXEC != 0)
}

/// fcntl(F_SETFD): has what is open at this number survive execve(2). It takes a number, not a descriptor, because
/// nothing is used or closed: for a process that hands what it got to the program that it becomes next.
pub fn keep_number_over_exec(number: i32) -> Result<()> {
    // SAFETY: this command takes an integer.
    unsafe { fcntl(number, libc::F_SETFD, 0) }.map(drop)
}

/// fcntl(F_GETFL): access mode and status flags (`O_*`).
pub fn status_flags(fd: Fd<'_>) -> Result<i32> {
    // SAFETY: this command takes no argument.
    unsafe { fcntl(fd.number(), libc::F_GETFL, 0) }
}

/// fcntl(F_GET_SEALS): the seals of a memfd (memfd_create(2)).
pub fn seals(fd: Fd<'_>) -> Result<i32> {
    // SAFETY: this command takes no argument.
    unsafe { fcntl(fd.number(), libc::F_GET_SEALS, 0) }
}

/// read(2)
pub fn read(fd: Fd<'_>, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: buf is writable for its length.
    unsafe { sys!(libc::SYS_read, fd.number(), buf.as_mut_ptr(), buf.len()) }
}

/// pread(2)
pub fn pread(fd: Fd<'_>, buf: &mut [u8], offset: u64) -> Result<usize> {
    // SAFETY: buf is writable for its length.
    unsafe { sys!(libc::SYS_pread64, fd.number(), buf.as_mut_ptr(), buf.len(), offset) }
}

/// write(2)
pub fn write(fd: Fd<'_>, buf: &[u8]) -> Result<usize> {
    // SAFETY: buf is readable for its length.
    unsafe { sys!(libc::SYS_write, fd.number(), buf.as_ptr(), buf.len()) }
}

/// lseek(2)
pub fn lseek(fd: Fd<'_>, offset: i64, whence: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_lseek, fd.number(), offset, whence) }.map(drop)
}

/// mkdirat(2)
pub fn mkdirat(dir: Fd<'_>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_mkdirat, dir.number(), path.as_ptr(), mode) }.map(drop)
}

/// mknodat(2); `dev` as `makedev(3)` makes it.
pub fn mknodat(dir: Fd<'_>, path: &CStr, mode: u32, dev: u64) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_mknodat, dir.number(), path.as_ptr(), mode, dev) }.map(drop)
}

/// symlinkat(2)
pub fn symlinkat(target: &CStr, dir: Fd<'_>, path: &CStr) -> Result<()> {
    // SAFETY: both strings outlive the call.
    unsafe { sys!(libc::SYS_symlinkat, target.as_ptr(), dir.number(), path.as_ptr()) }.map(drop)
}

/// unlinkat(2)
pub fn unlinkat(dir: Fd<'_>, path: &CStr, flags: i32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_unlinkat, dir.number(), path.as_ptr(), flags) }.map(drop)
}

/// renameat(2), through renameat2(2) with no flags
pub fn renameat(olddir: Fd<'_>, old: &CStr, newdir: Fd<'_>, new: &CStr) -> Result<()> {
    // SAFETY: both strings outlive the call.
    unsafe { sys!(libc::SYS_renameat2, olddir.number(), old.as_ptr(), newdir.number(), new.as_ptr(), 0) }
        .map(drop)
}

/// readlinkat(2); the length of the text, which is not NUL-terminated.
pub fn readlinkat(dir: Fd<'_>, path: &CStr, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: path outlives the call and buf is writable for its length.
    unsafe { sys!(libc::SYS_readlinkat, dir.number(), path.as_ptr(), buf.as_mut_ptr(), buf.len()) }
}

/// fchownat(2); `u32::MAX` keeps an id.
pub fn fchownat(dir: Fd<'_>, path: &CStr, uid: u32, gid: u32, flags: i32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_fchownat, dir.number(), path.as_ptr(), uid, gid, flags) }.map(drop)
}

/// fchmodat(2)
pub fn fchmodat(dir: Fd<'_>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_fchmodat, dir.number(), path.as_ptr(), mode) }.map(drop)
}

/// fchmod(2)
pub fn fchmod(fd: Fd<'_>, mode: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_fchmod, fd.number(), mode) }.map(drop)
}

/// fsetxattr(2)
pub fn fsetxattr(fd: Fd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    // SAFETY: name outlives the call, and value is readable for its length.
    unsafe { sys!(libc::SYS_fsetxattr, fd.number(), name.as_ptr(), value.as_ptr(), value.len(), 0) }.map(drop)
}

/// faccessat2(2), Linux 5.8
pub fn faccessat2(dir: Fd<'_>, path: &CStr, mode: i32, flags: i32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_faccessat2, dir.number(), path.as_ptr(), mode, flags) }.map(drop)
}

/// fchdir(2)
pub fn fchdir(fd: Fd<'_>) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_fchdir, fd.number()) }.map(drop)
}

/// chdir(2)
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_chdir, path.as_ptr()) }.map(drop)
}

/// chroot(2)
pub fn chroot(path: &CStr) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_chroot, path.as_ptr()) }.map(drop)
}

/// getcwd(2): the length including the NUL. A path that is not below the
/// current root begins with "(unreachable)".
pub fn getcwd(buf: &mut [u8]) -> Result<usize> {
    // SAFETY: buf is writable for its length.
    unsafe { sys!(libc::SYS_getcwd, buf.as_mut_ptr(), buf.len()) }
}

/// umask(2)
pub fn umask(mask: u32) {
    // SAFETY: no memory is passed; umask cannot fail.
    let _ = unsafe { sys!(libc::SYS_umask, mask) };
}

/// What krun asks of a file (statx(2), Linux 4.11).
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Type and permissions (`S_IFMT` and mode bits).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number.
    pub ino: u64,
    /// Device number of a device node.
    pub rdev: (u32, u32),
    /// Size in bytes.
    pub size: u64,
    /// The mount that it was found on (Linux 5.8).
    pub mount: u64,
}

impl Stat {
    /// Whether the file is of this type (`S_IFDIR`, …).
    pub const fn is(&self, kind: u32) -> bool {
        self.mode & libc::S_IFMT == kind
    }
}

const FIELDS: u32 = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;

/// statx(2) with the basic fields and the mount
pub fn statx(dir: Fd<'_>, path: &CStr, flags: i32) -> Result<Stat> {
    // SAFETY: an all-zero statx is valid.
    let mut st: libc::statx = unsafe { core::mem::zeroed() };
    // SAFETY: path outlives the call and st is writable.
    unsafe { sys!(libc::SYS_statx, dir.number(), path.as_ptr(), flags, FIELDS, &raw mut st) }?;
    Ok(Stat {
        mode: u32::from(st.stx_mode),
        uid: st.stx_uid,
        gid: st.stx_gid,
        ino: st.stx_ino,
        rdev: (st.stx_rdev_major, st.stx_rdev_minor),
        size: st.stx_size,
        mount: st.stx_mnt_id,
    })
}

/// statx(2) of an open file
pub fn fstat(fd: Fd<'_>) -> Result<Stat> {
    statx(fd, c"", libc::AT_EMPTY_PATH)
}

/// fstatfs(2): the magic number of the file system (statfs(2) lists them).
pub fn fstatfs_magic(fd: Fd<'_>) -> Result<u64> {
    // SAFETY: an all-zero statfs is valid.
    let mut st: libc::statfs = unsafe { core::mem::zeroed() };
    // SAFETY: st is writable.
    unsafe { sys!(libc::SYS_fstatfs, fd.number(), &raw mut st) }?;
    #[allow(clippy::unnecessary_cast)]
    Ok(st.f_type as u64)
}

/// getdents64(2): fills buf with directory entries.
pub fn getdents64(fd: Fd<'_>, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: buf is writable for its length.
    unsafe { sys!(libc::SYS_getdents64, fd.number(), buf.as_mut_ptr(), buf.len()) }
}

/// memfd_create(2)
pub fn memfd_create(name: &CStr, flags: u32) -> Result<OwnedFd> {
    // SAFETY: name outlives the call.
    unsafe { sys!(libc::SYS_memfd_create, name.as_ptr(), flags) }.map(OwnedFd::new)
}

/// poll(2) of one descriptor, through ppoll; `timeout_ms` < 0 waits for ever.
/// Returns the `revents`, 0 on time-out.
pub fn poll(fd: Fd<'_>, events: i16, timeout_ms: i64) -> Result<i16> {
    let mut p = libc::pollfd { fd: fd.number(), events, revents: 0 };
    let ts = libc::timespec { tv_sec: timeout_ms / 1000, tv_nsec: (timeout_ms % 1000) * 1_000_000 };
    let tsp = if timeout_ms < 0 { core::ptr::null() } else { &raw const ts };
    // SAFETY: p and ts outlive the call.
    unsafe { sys!(libc::SYS_ppoll, &raw mut p, 1, tsp, 0, 8) }?;
    Ok(p.revents)
}

/// Sleeps: poll(2) of nothing, through ppoll; `timeout_ms` < 0 is for ever. A signal ends it.
pub fn sleep(timeout_ms: i64) {
    let ts = libc::timespec { tv_sec: timeout_ms / 1000, tv_nsec: (timeout_ms % 1000) * 1_000_000 };
    let tsp = if timeout_ms < 0 { core::ptr::null() } else { &raw const ts };
    // SAFETY: ts outlives the call.
    let _ = unsafe { sys!(libc::SYS_ppoll, 0, 0, tsp, 0, 8) };
}

/// poll(2) of two descriptors, through ppoll, for input and without a time limit; their `revents`.
pub fn poll_both(one: Fd<'_>, other: Fd<'_>) -> Result<[i16; 2]> {
    let mut p = [one, other].map(|fd| libc::pollfd { fd: fd.number(), events: libc::POLLIN, revents: 0 });
    // SAFETY: p outlives the call.
    unsafe { sys!(libc::SYS_ppoll, p.as_mut_ptr(), p.len(), 0, 0, 8) }?;
    Ok(p.map(|p| p.revents))
}
