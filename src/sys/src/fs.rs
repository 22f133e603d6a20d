//! Files, directories and file descriptors.

use core::ffi::CStr;

use crate::{Result, sys};

/// A file descriptor number. It does not close itself: in the child descriptors
/// are few, close-on-exec and swept by `close_range` before `execve`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fd(pub i32);

impl Fd {
    /// The current directory for the *at calls (openat(2)).
    pub const CWD: Fd = Fd(libc::AT_FDCWD);
    /// No descriptor.
    pub const NONE: Fd = Fd(-1);

    /// Whether this is a descriptor.
    pub const fn is_some(self) -> bool {
        self.0 >= 0
    }
}

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
pub fn openat(dir: Fd, path: &CStr, flags: i32, mode: u32) -> Result<Fd> {
    // SAFETY: path is a C string that outlives the call.
    unsafe { sys!(libc::SYS_openat, dir.0, path.as_ptr(), flags, mode) }.map(|n| Fd(n as i32))
}

/// openat2(2), Linux 5.6
pub fn openat2(dir: Fd, path: &CStr, how: OpenHow) -> Result<Fd> {
    // SAFETY: path and how outlive the call; the size is that of the structure.
    unsafe { sys!(libc::SYS_openat2, dir.0, path.as_ptr(), &raw const how, size_of::<OpenHow>()) }
        .map(|n| Fd(n as i32))
}

/// close(2)
pub fn close(fd: Fd) {
    // SAFETY: no memory is passed. An error leaves nothing to be done.
    let _ = unsafe { sys!(libc::SYS_close, fd.0) };
}

/// close_range(2), Linux 5.9
pub fn close_range(first: u32, last: u32, flags: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_close_range, first, last, flags) }.map(drop)
}

/// dup3(2)
pub fn dup3(old: Fd, new: Fd, flags: i32) -> Result<Fd> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_dup3, old.0, new.0, flags) }.map(|n| Fd(n as i32))
}

/// fcntl(2).
///
/// # Safety
/// The command takes an integer.
unsafe fn fcntl(fd: Fd, cmd: i32, arg: i32) -> Result<i32> {
    // SAFETY: the caller's promise.
    unsafe { sys!(libc::SYS_fcntl, fd.0, cmd, arg) }.map(|n| n as i32)
}

/// fcntl(F_DUPFD_CLOEXEC): a copy of the descriptor, close-on-exec.
pub fn dup(fd: Fd) -> Result<Fd> {
    // SAFETY: this command takes an integer.
    unsafe { fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) }.map(Fd)
}

/// fcntl(F_GETFD): whether the descriptor is close-on-exec.
///
/// # Errors
/// EBADF if it is not open.
pub fn is_cloexec(fd: Fd) -> Result<bool> {
    // SAFETY: this command takes no argument.
    unsafe { fcntl(fd, libc::F_GETFD, 0) }.map(|flags| flags & libc::FD_CLOEXEC != 0)
}

/// fcntl(F_SETFD): has the descriptor survive execve(2).
pub fn keep_over_exec(fd: Fd) -> Result<()> {
    // SAFETY: this command takes an integer.
    unsafe { fcntl(fd, libc::F_SETFD, 0) }.map(drop)
}

/// fcntl(F_GET_SEALS): the seals of a memfd (memfd_create(2)).
pub fn seals(fd: Fd) -> Result<i32> {
    // SAFETY: this command takes no argument.
    unsafe { fcntl(fd, libc::F_GET_SEALS, 0) }
}

/// read(2)
pub fn read(fd: Fd, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: buf is writable for its length.
    unsafe { sys!(libc::SYS_read, fd.0, buf.as_mut_ptr(), buf.len()) }
}

/// pread(2)
pub fn pread(fd: Fd, buf: &mut [u8], offset: u64) -> Result<usize> {
    // SAFETY: buf is writable for its length.
    unsafe { sys!(libc::SYS_pread64, fd.0, buf.as_mut_ptr(), buf.len(), offset) }
}

/// write(2)
pub fn write(fd: Fd, buf: &[u8]) -> Result<usize> {
    // SAFETY: buf is readable for its length.
    unsafe { sys!(libc::SYS_write, fd.0, buf.as_ptr(), buf.len()) }
}

/// lseek(2)
pub fn lseek(fd: Fd, offset: i64, whence: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_lseek, fd.0, offset, whence) }.map(drop)
}

/// mkdirat(2)
pub fn mkdirat(dir: Fd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_mkdirat, dir.0, path.as_ptr(), mode) }.map(drop)
}

/// mknodat(2); `dev` as `makedev(3)` makes it.
pub fn mknodat(dir: Fd, path: &CStr, mode: u32, dev: u64) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_mknodat, dir.0, path.as_ptr(), mode, dev) }.map(drop)
}

/// symlinkat(2)
pub fn symlinkat(target: &CStr, dir: Fd, path: &CStr) -> Result<()> {
    // SAFETY: both strings outlive the call.
    unsafe { sys!(libc::SYS_symlinkat, target.as_ptr(), dir.0, path.as_ptr()) }.map(drop)
}

/// unlinkat(2)
pub fn unlinkat(dir: Fd, path: &CStr, flags: i32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_unlinkat, dir.0, path.as_ptr(), flags) }.map(drop)
}

/// renameat(2), through renameat2(2) with no flags
pub fn renameat(olddir: Fd, old: &CStr, newdir: Fd, new: &CStr) -> Result<()> {
    // SAFETY: both strings outlive the call.
    unsafe { sys!(libc::SYS_renameat2, olddir.0, old.as_ptr(), newdir.0, new.as_ptr(), 0) }.map(drop)
}

/// readlinkat(2); the length of the text, which is not NUL-terminated.
pub fn readlinkat(dir: Fd, path: &CStr, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: path outlives the call and buf is writable for its length.
    unsafe { sys!(libc::SYS_readlinkat, dir.0, path.as_ptr(), buf.as_mut_ptr(), buf.len()) }
}

/// fchownat(2); `u32::MAX` keeps an id.
pub fn fchownat(dir: Fd, path: &CStr, uid: u32, gid: u32, flags: i32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_fchownat, dir.0, path.as_ptr(), uid, gid, flags) }.map(drop)
}

/// fchmodat(2)
pub fn fchmodat(dir: Fd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_fchmodat, dir.0, path.as_ptr(), mode) }.map(drop)
}

/// fchmod(2)
pub fn fchmod(fd: Fd, mode: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_fchmod, fd.0, mode) }.map(drop)
}

/// fsetxattr(2)
pub fn fsetxattr(fd: Fd, name: &CStr, value: &[u8]) -> Result<()> {
    // SAFETY: name outlives the call, and value is readable for its length.
    unsafe { sys!(libc::SYS_fsetxattr, fd.0, name.as_ptr(), value.as_ptr(), value.len(), 0) }.map(drop)
}

/// faccessat2(2), Linux 5.8
pub fn faccessat2(dir: Fd, path: &CStr, mode: i32, flags: i32) -> Result<()> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_faccessat2, dir.0, path.as_ptr(), mode, flags) }.map(drop)
}

/// fchdir(2)
pub fn fchdir(fd: Fd) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_fchdir, fd.0) }.map(drop)
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
pub fn statx(dir: Fd, path: &CStr, flags: i32) -> Result<Stat> {
    // SAFETY: an all-zero statx is valid.
    let mut st: libc::statx = unsafe { core::mem::zeroed() };
    // SAFETY: path outlives the call and st is writable.
    unsafe { sys!(libc::SYS_statx, dir.0, path.as_ptr(), flags, FIELDS, &raw mut st) }?;
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
pub fn fstat(fd: Fd) -> Result<Stat> {
    statx(fd, c"", libc::AT_EMPTY_PATH)
}

/// fstatfs(2): the magic number of the file system (statfs(2) lists them).
pub fn fstatfs_magic(fd: Fd) -> Result<u64> {
    // SAFETY: an all-zero statfs is valid.
    let mut st: libc::statfs = unsafe { core::mem::zeroed() };
    // SAFETY: st is writable.
    unsafe { sys!(libc::SYS_fstatfs, fd.0, &raw mut st) }?;
    #[allow(clippy::unnecessary_cast)]
    Ok(st.f_type as u64)
}

/// getdents64(2): fills buf with directory entries.
pub fn getdents64(fd: Fd, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: buf is writable for its length.
    unsafe { sys!(libc::SYS_getdents64, fd.0, buf.as_mut_ptr(), buf.len()) }
}

/// memfd_create(2)
pub fn memfd_create(name: &CStr, flags: u32) -> Result<Fd> {
    // SAFETY: name outlives the call.
    unsafe { sys!(libc::SYS_memfd_create, name.as_ptr(), flags) }.map(|n| Fd(n as i32))
}

/// poll(2) of one descriptor, through ppoll; `timeout_ms` < 0 waits for ever.
/// Returns the `revents`, 0 on time-out.
pub fn poll(fd: Fd, events: i16, timeout_ms: i64) -> Result<i16> {
    let mut p = libc::pollfd { fd: fd.0, events, revents: 0 };
    let ts = libc::timespec { tv_sec: timeout_ms / 1000, tv_nsec: (timeout_ms % 1000) * 1_000_000 };
    let tsp = if timeout_ms < 0 { core::ptr::null() } else { &raw const ts };
    // SAFETY: p and ts outlive the call.
    unsafe { sys!(libc::SYS_ppoll, &raw mut p, 1, tsp, 0, 8) }?;
    Ok(p.revents)
}

/// poll(2) of two descriptors, through ppoll, for input and without a time limit; their `revents`.
pub fn poll_both(one: Fd, other: Fd) -> Result<[i16; 2]> {
    let mut p = [one, other].map(|fd| libc::pollfd { fd: fd.0, events: libc::POLLIN, revents: 0 });
    // SAFETY: p outlives the call.
    unsafe { sys!(libc::SYS_ppoll, p.as_mut_ptr(), p.len(), 0, 0, 8) }?;
    Ok(p.map(|p| p.revents))
}

/// close_range(2): mark close-on-exec instead of closing (Linux 5.11).
pub const CLOSE_RANGE_CLOEXEC: u32 = 4;
