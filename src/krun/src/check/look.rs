//! A file of a root file system, looked at by the host. The container or its image chose what lies there: opening a device
//! may change its state or wait for ever, and reading one takes its data away.
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use krun_sys::Fd;
use krun_sys::fs::{OpenHow, Stat, faccessat2, fstat, openat, openat2};
use nix::errno::Errno;
use nix::libc;

/// A file that is found but not opened (`O_PATH`, open(2)): nothing of it has been touched.
pub struct Found {
    fd: OwnedFd,
    stat: Stat,
}

fn errno(error: krun_sys::Errno) -> Errno {
    Errno::from_raw(error.0)
}

impl Found {
    /// Finds a file as the container would see it: no symlink and no `..` leads out of the root.
    pub fn find(root: &File, path: &Path) -> Result<Self, Errno> {
        let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
        let flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
        let resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow { flags, mode: 0, resolve };
        let fd = openat2(Fd::of(root), &name, how).map(OwnedFd::from).map_err(errno)?;
        let stat = fstat(Fd::of(&fd)).map_err(errno)?;
        Ok(Self { fd, stat })
    }

    /// Its permission bits.
    pub fn mode(&self) -> u32 {
        self.stat.mode & 0o7777
    }

    pub fn is_directory(&self) -> bool {
        self.stat.mode & libc::S_IFMT == libc::S_IFDIR
    }

    /// What it is, if it is no regular file.
    pub fn special(&self) -> Option<&'static str> {
        match self.stat.mode & libc::S_IFMT {
            libc::S_IFREG => None,
            libc::S_IFDIR => Some("a directory"),
            libc::S_IFCHR => Some("a character device"),
            libc::S_IFBLK => Some("a block device"),
            libc::S_IFIFO => Some("a FIFO"),
            libc::S_IFSOCK => Some("a socket"),
            _ => Some("no regular file"),
        }
    }

    /// Opens a regular file that can be executed where it lies. Others are left alone: a file of procfs is regular too, and
    /// reading /proc/kmsg takes the kernel's messages away. No program is there, since procfs and its like are noexec to
    /// the kernel however they are mounted.
    pub fn open(&self) -> Option<File> {
        if self.special().is_some() {
            return None;
        }
        faccessat2(Fd::of(&self.fd), c"", libc::X_OK, libc::AT_EMPTY_PATH).ok()?;
        // By the descriptor: the name may mean another file by now.
        let name = CString::new(format!("/proc/self/fd/{}", self.fd.as_raw_fd())).ok()?;
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
        openat(Fd::CWD, &name, flags, 0).ok().map(|fd| File::from(OwnedFd::from(fd)))
    }
}
