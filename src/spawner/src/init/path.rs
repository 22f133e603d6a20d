//! Paths inside the root file system, resolved from its descriptor only.
//!
//! The image may rename and relink while this runs (CVE-2021-30465,
//! CVE-2024-45310): no path is looked up twice, nothing leaves the root.

use core::ffi::CStr;

use krun_sys::fs::{OpenHow, fstat, mkdirat, mknodat, openat, openat2, readlinkat};
use krun_sys::{Errno, Fd, OwnedFd, Result, libc};

/// Longest path that the kernel takes, with its NUL.
pub const PATH_MAX: usize = 4096;
/// Most symbolic links that are followed in one path.
const LINKS_MAX: u32 = 255;

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_BENEATH: u64 = 0x08;
const RESOLVE_NO_XDEV: u64 = 0x01;
const RESOLVE_IN_ROOT: u64 = 0x10;

/// A NUL-terminated path that is built in place.
#[derive(Debug)]
pub struct PathBuf {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl PathBuf {
    /// An empty path.
    pub const fn new() -> Self {
        PathBuf { bytes: [0; PATH_MAX], len: 0 }
    }

    /// Appends text.
    pub fn push(&mut self, text: &[u8]) -> Result<()> {
        let end = self.len.checked_add(text.len()).ok_or(Errno::ENAMETOOLONG)?;
        // One byte stays for the NUL.
        if end >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.bytes.get_mut(self.len..end).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(text);
        self.set_len(end);
        Ok(())
    }

    /// Cuts to a length that was the length before.
    pub fn set_len(&mut self, len: usize) {
        if let Some(byte) = self.bytes.get_mut(len) {
            *byte = 0;
            self.len = len;
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The text.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// The text for a system call.
    pub fn cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// What is made when a path's last component is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// A directory.
    Directory,
    /// An empty regular file.
    File,
}

/// Opens an existing path as O_PATH, links followed within the root.
pub fn open_in_root(root: Fd<'_>, path: &CStr, flags: i32) -> Result<OwnedFd> {
    open_how(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
}

/// Opens an existing path as O_PATH; any symbolic link on the way is ELOOP.
pub fn open_without_links(root: Fd<'_>, path: &CStr, flags: i32) -> Result<OwnedFd> {
    open_how(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)
}

/// Opens an absolute path of this process's own root as O_PATH; any symbolic link on the way is ELOOP.
pub fn open_absolute_without_links(path: &CStr, flags: i32) -> Result<OwnedFd> {
    open_how(Fd::CWD, path, flags, RESOLVE_NO_SYMLINKS)
}

/// Opens a device of the container for reading and writing, likewise.
pub fn open_device(path: &CStr) -> Result<OwnedFd> {
    open(Fd::CWD, path, libc::O_RDWR | libc::O_NONBLOCK | libc::O_NOCTTY, RESOLVE_NO_SYMLINKS)
}

/// Opens a file of a procfs of our own for writing: no link, no other mount.
pub fn open_in_proc(proc: Fd<'_>, path: &CStr) -> Result<OwnedFd> {
    open(proc, path, libc::O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS)
}

/// Opens a file of the process itself ("self/…") for writing. "self" is a symbolic link of procfs, so links are
/// followed, but none that leads out of this procfs, and no other mount is crossed.
pub fn open_own_in_proc(proc: Fd<'_>, path: &CStr) -> Result<OwnedFd> {
    open(proc, path, libc::O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS)
}

/// Opens an existing path of the container as O_PATH, as the kernel would, but through no magic link of procfs
/// (`/proc/PID/fd/N`, `/proc/PID/exe`, `/proc/PID/root`): those leave the container's file tree.
pub fn open_without_magic_links(path: &CStr) -> Result<OwnedFd> {
    open_how(Fd::CWD, path, 0, RESOLVE_NO_MAGICLINKS)
}

/// Opens a file of the container for reading, likewise. The caller has seen that it is a regular one; what takes
/// its place at this very moment is not waited for, and the device filter of the container holds for it.
pub fn open_to_read(path: &CStr) -> Result<OwnedFd> {
    open(Fd::CWD, path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, RESOLVE_NO_MAGICLINKS)
}

fn open_how(root: Fd<'_>, path: &CStr, extra: i32, resolve: u64) -> Result<OwnedFd> {
    open(root, path, libc::O_PATH | extra, resolve)
}

/// openat2(2), close-on-exec.
#[allow(clippy::cast_sign_loss)] // open flags are bits
fn open(dir: Fd<'_>, path: &CStr, flags: i32, resolve: u64) -> Result<OwnedFd> {
    let how = OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: 0, resolve };
    retry(|| openat2(dir, path, how))
}

/// openat2 answers EAGAIN when a rename anywhere raced with "..": try again,
/// but not for ever, since an attacker may keep renaming (openat2(2)).
fn retry(mut open: impl FnMut() -> Result<OwnedFd>) -> Result<OwnedFd> {
    for _ in 0..128 {
        match open() {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            done => return done,
        }
    }
    Err(Errno::EAGAIN)
}

/// Opens a path as O_PATH and makes what is missing of it: directories with
/// mode 0755 on the way, and `missing` at the end. Dangling links are followed
/// within the root, so that their target is made.
pub fn open_or_create(root: Fd<'_>, path: &CStr, missing: Missing, nofollow_last: bool) -> Result<OwnedFd> {
    let extra = if nofollow_last { libc::O_NOFOLLOW } else { 0 };
    match open_in_root(root, path, extra) {
        Err(Errno::ENOENT) => {}
        done => return done,
    }
    match create_last(root, path, missing) {
        Ok(fd) => Ok(fd),
        Err(_) => walk(root, path.to_bytes(), missing, nofollow_last),
    }
}

/// The usual case: only the last component is missing. Whatever else is found
/// (a link, dots, more that is missing) is an error, and a matter for the walk.
fn create_last(root: Fd<'_>, path: &CStr, missing: Missing) -> Result<OwnedFd> {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|b| *b == b'/').ok_or(Errno::ENOENT)?;
    let after = slash.checked_add(1).ok_or(Errno::ENOENT)?;
    let name = path.to_bytes_with_nul().get(after..).and_then(|name| CStr::from_bytes_with_nul(name).ok());
    let name = name.filter(|name| !matches!(name.to_bytes(), b"" | b"." | b"..")).ok_or(Errno::ENOENT)?;
    let mut parent = [0u8; 128];
    let room = parent.get_mut(..after).ok_or(Errno::ENAMETOOLONG)?;
    room.copy_from_slice(bytes.get(..after).ok_or(Errno::ENAMETOOLONG)?);
    let parent = CStr::from_bytes_until_nul(&parent).map_err(|_| Errno::ENAMETOOLONG)?;
    let dir = open_in_root(root, parent, libc::O_DIRECTORY)?;
    make(dir.as_fd(), name, missing)?;
    let directory = if missing == Missing::Directory { libc::O_DIRECTORY } else { 0 };
    let fd = openat(dir.as_fd(), name, libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC | directory, 0)?;
    // O_NOFOLLOW with O_PATH opens a link itself (open(2)).
    if missing == Missing::File && fstat(fd.as_fd())?.is(libc::S_IFLNK) {
        return Err(Errno::ELOOP);
    }
    Ok(fd)
}

fn make(dir: Fd<'_>, name: &CStr, missing: Missing) -> Result<()> {
    match missing {
        Missing::Directory => mkdirat(dir, name, 0o755),
        Missing::File => mknodat(dir, name, libc::S_IFREG | 0o755, 0),
    }
}

/// The walk of `open_or_create`, component by component. `todo` holds what is
/// left of the path, `done` the link-free path so far.
#[inline(never)] // its buffers are not for the usual stack frame
fn walk(root: Fd<'_>, path: &[u8], missing: Missing, nofollow_last: bool) -> Result<OwnedFd> {
    let (mut todo, mut done) = (PathBuf::new(), PathBuf::new());
    todo.push(path)?;
    let mut at = 0usize;
    let mut links = 0u32;
    let mut dir = reopen(root, &done)?;
    loop {
        let (name, next) = component(todo.bytes(), at);
        let mut this = PathBuf::new();
        this.push(name)?;
        let last = next.is_none();
        match name {
            b"" | b"." if last => return Ok(dir),
            b"" | b"." => {
                at = next.unwrap_or(0);
                continue;
            }
            b".." => {
                pop(&mut done);
                dir = reopen(root, &done)?;
                match next {
                    None => return Ok(dir),
                    Some(n) => at = n,
                }
                continue;
            }
            _ => {}
        }
        let fd = open_component(dir.as_fd(), this.cstr(), if last { missing } else { Missing::Directory })?;
        if fstat(fd.as_fd())?.is(libc::S_IFLNK) && !(last && nofollow_last) {
            links = links.checked_add(1).filter(|n| *n <= LINKS_MAX).ok_or(Errno::ELOOP)?;
            todo = follow(fd.as_fd(), todo.bytes().get(next.unwrap_or(todo.len())..).unwrap_or(&[]), last)?;
            at = 0;
            if todo.bytes().first() == Some(&b'/') {
                done.set_len(0);
                dir = reopen(root, &done)?;
            }
            continue;
        }
        dir = fd;
        done.push(b"/")?;
        done.push(name)?;
        match next {
            None => return Ok(dir),
            Some(n) => at = n,
        }
    }
}

/// The component at `at`, and where the next one begins, if there is one.
fn component(path: &[u8], at: usize) -> (&[u8], Option<usize>) {
    let rest = path.get(at..).unwrap_or(&[]);
    let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    let name = rest.get(..end).unwrap_or(&[]);
    let after = rest.get(end..).unwrap_or(&[]);
    match after.iter().position(|b| *b != b'/') {
        Some(skip) => (name, Some(at.saturating_add(end).saturating_add(skip))),
        None => (name, None),
    }
}

/// Opens one component without following it; makes it if it is missing.
fn open_component(dir: Fd<'_>, name: &CStr, missing: Missing) -> Result<OwnedFd> {
    let open = || openat(dir, name, libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC, 0);
    match open() {
        Err(Errno::ENOENT) => {}
        done => return done,
    }
    match make(dir, name, missing) {
        Ok(()) | Err(Errno::EEXIST) => open(),
        Err(errno) => Err(errno),
    }
}

/// The path that is left after a link: its text, then the rest.
fn follow(link: Fd<'_>, rest: &[u8], last: bool) -> Result<PathBuf> {
    let mut text = [0u8; PATH_MAX];
    let n = readlinkat(link, c"", &mut text)?;
    let mut todo = PathBuf::new();
    todo.push(text.get(..n).unwrap_or(&[]))?;
    if !last {
        todo.push(b"/")?;
        todo.push(rest)?;
    }
    Ok(todo)
}

fn pop(done: &mut PathBuf) {
    let end = done.bytes().iter().rposition(|b| *b == b'/').unwrap_or(0);
    done.set_len(end);
}

/// Opens the link-free path `done` below the root; the root itself if empty.
fn reopen(root: Fd<'_>, done: &PathBuf) -> Result<OwnedFd> {
    if done.len() == 0 {
        return openat(root, c".", libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0);
    }
    open_without_links(root, done.cstr(), libc::O_DIRECTORY)
}
