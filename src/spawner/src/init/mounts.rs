//! The mounts of the plan, each by descriptor onto a descriptor.

use core::ffi::CStr;

use krun_sys::fs::{fchmodat, fstat, fstatfs_magic, mkdirat, openat, readlinkat, symlinkat};
use krun_sys::mount::{
    MountAttr, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, mount, mount_setattr, move_mount, open_tree,
};
use krun_sys::{Errno, Fd, OwnedFd, libc};

use super::channel::{At, Birth, Fail, index};
use super::path::{self, Missing, PATH_MAX};
use super::rootfs::EMPTY_PATH;
use crate::plan::{Mount, mount_flag, mount_kind};
use crate::report::kind;
use crate::step::Step;

mod filesystem;

#[allow(clippy::cast_sign_loss)] // flag bits
const RECURSIVE: u32 = libc::AT_RECURSIVE as u32;
const PROC_MAGIC: u64 = 0x9fa0;

/// All mounts, in order.
pub fn mount_all(birth: &mut Birth<'_>) -> Result<(), Fail> {
    let mut parent: Option<Parent> = None;
    for (i, m) in birth.view.arena.slice(birth.view.plan.mounts).iter().enumerate() {
        let target = birth.view.arena.cstr(m.target);
        // What is mounted elsewhere may cover it.
        drop(parent.take_if(|parent| parent.name_below(target).is_none()));
        let tree = if m.kind == mount_kind::BIND { birth.handed.take(m.tree) } else { None };
        let one = One { birth, m, i: index(i), parent: parent.as_ref() };
        match m.kind {
            mount_kind::FILESYSTEM => {
                if let Some(tree) = one.filesystem()? {
                    parent = Some(Parent { path: target, tree });
                }
            }
            mount_kind::BIND => one.bind(tree)?,
            mount_kind::CLASSIC => one.classic()?,
            _ => one.remount()?,
        }
    }
    Ok(())
}

/// A tmpfs that was just mounted, open, for the mounts directly below it that follow.
struct Parent {
    path: &'static CStr,
    tree: OwnedFd,
}

impl Parent {
    /// The name in it of what lies directly below it.
    fn name_below(&self, target: &'static CStr) -> Option<&'static CStr> {
        let rest = target.to_bytes_with_nul().strip_prefix(self.path.to_bytes())?.strip_prefix(b"/")?;
        CStr::from_bytes_with_nul(rest).ok().filter(|name| !name.to_bytes().contains(&b'/'))
    }
}

/// File systems that had to stay writable for what was made in them.
pub fn late_readonly(birth: &Birth<'_>) -> Result<(), Fail> {
    for (i, m) in birth.view.arena.slice(birth.view.plan.mounts).iter().enumerate() {
        if m.flags & mount_flag::LATE_READONLY == 0 {
            continue;
        }
        let target = birth.view.arena.cstr(m.target);
        let root = birth.root().on(Step::MountLateReadonly, index(i))?;
        let fd = path::open_in_root(root, target, 0).on(Step::MountLateReadonly, index(i))?;
        let readonly = MountAttr { attr_set: libc::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        mount_setattr(fd.as_fd(), c"", EMPTY_PATH, &readonly).on(Step::MountLateReadonly, index(i))?;
    }
    Ok(())
}

struct One<'a, 'b> {
    birth: &'a Birth<'b>,
    m: &'static Mount,
    i: u32,
    parent: Option<&'a Parent>,
}

impl One<'_, '_> {
    fn has(&self, flag: u32) -> bool {
        self.m.flags & flag != 0
    }

    fn root(&self) -> Result<Fd<'_>, Fail> {
        self.birth.root().on(Step::MountTarget, self.i)
    }

    fn text(&self, s: krun_sys::plain::Str) -> &'static CStr {
        self.birth.view.arena.cstr(s)
    }

    /// Opens the destination and refuses one in procfs, where a mount could fake what is read or written there and
    /// would hide the files that are masked. A link of the image may lead there. A whole procfs may be covered
    /// by another one only (`is_proc`: that is what is being mounted).
    fn target(&self, missing: Missing, is_proc: bool) -> Result<OwnedFd, Fail> {
        if missing == Missing::Directory
            && let Some(made) = self.made_in_parent()
        {
            return Ok(made);
        }
        let (root, target) = (self.root()?, self.text(self.m.target));
        let fd = if self.has(mount_flag::ORDINARY_TARGET) {
            match path::open_without_links(root, target, libc::O_DIRECTORY) {
                Err(Errno::ENOENT) => path::open_or_create(root, target, missing, true),
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    return Err(Fail::new(Step::MountNotOrdinary, self.i, Errno::ENOTDIR));
                }
                done => done,
            }
        } else {
            path::open_or_create(root, target, missing, self.has(mount_flag::TARGET_NOFOLLOW))
        }
        .on(Step::MountTarget, self.i)?;
        if !self.has(mount_flag::PROC_TARGET)
            && fstatfs_magic(fd.as_fd()).on(Step::MountInProc, self.i)? == PROC_MAGIC
            && !(is_proc && is_proc_root(fd.as_fd()))
        {
            return Err(Fail::new(Step::MountInProc, self.i, Errno::EPERM));
        }
        Ok(fd)
    }

    /// A new directory in the parent is what it was made as: there are no links on the way and no procfs.
    fn made_in_parent(&self) -> Option<OwnedFd> {
        let parent = self.parent?;
        let name = parent.name_below(self.text(self.m.target))?;
        // One that exists is for the usual way to judge.
        mkdirat(parent.tree.as_fd(), name, 0o755).ok()?;
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_DIRECTORY | libc::O_CLOEXEC;
        openat(parent.tree.as_fd(), name, flags, 0).ok()
    }

    /// Whether the new file system is a procfs.
    fn makes_proc(&self) -> bool {
        self.text(self.m.fstype).to_bytes() == b"proc"
    }

    /// Whether the destination is there before it is made.
    fn exists(&self) -> bool {
        let root = self.birth.root();
        root.and_then(|root| path::open_in_root(root, self.text(self.m.target), 0)).is_ok()
    }

    /// `opened`: what the parent has opened, and this process has taken over.
    fn bind(&self, opened: Option<OwnedFd>) -> Result<(), Fail> {
        let opened = match opened {
            // Handed down, and not to be taken: it stays open.
            None if self.m.tree >= 0 => None,
            None if self.has(mount_flag::ASK_TREE) => {
                Some(self.birth.channel.ask_fd(kind::TREE, u64::from(self.m.index), Step::MountSource)?)
            }
            None => Some(self.clone_source()?),
            taken => taken,
        };
        let tree = match &opened {
            Some(tree) => tree.as_fd(),
            None => self.birth.handed.get(self.m.tree).on(Step::MountSource, self.i)?,
        };
        let kind = fstat(tree).on(Step::MountSource, self.i)?;
        if kind.is(libc::S_IFLNK) && self.has(mount_flag::COPY_SYMLINK) {
            return self.copy_symlink(tree);
        }
        let missing = if kind.is(libc::S_IFDIR) { Missing::Directory } else { Missing::File };
        let is_proc = is_proc_root(tree) && fstatfs_magic(tree).on(Step::MountInProc, self.i)? == PROC_MAGIC;
        let target = self.target(missing, is_proc)?;
        // A tree that the parent opened is the container's only once attached:
        // until then its attributes are the host's to set.
        let by_parent = self.m.tree >= 0;
        if !by_parent {
            self.set_attributes(tree)?;
        }
        move_mount(tree, target.as_fd()).on(Step::MountMove, self.i)?;
        if by_parent {
            self.set_attributes(tree)?;
        }
        self.propagate(tree)
    }

    fn clone_source(&self) -> Result<OwnedFd, Fail> {
        let mut flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
        if self.has(mount_flag::RECURSIVE) {
            flags |= RECURSIVE;
        }
        if self.has(mount_flag::SOURCE_NOFOLLOW | mount_flag::COPY_SYMLINK) {
            #[allow(clippy::cast_sign_loss)] // a flag bit
            {
                flags |= libc::AT_SYMLINK_NOFOLLOW as u32;
            }
        }
        open_tree(Fd::CWD, self.text(self.m.source), flags).on(Step::MountSource, self.i)
    }

    fn set_attributes(&self, tree: Fd<'_>) -> Result<(), Fail> {
        let set = |attr: MountAttr, flags, step| {
            mount_setattr(tree, c"", EMPTY_PATH | flags, &attr).on(step, self.i)
        };
        if self.m.rec_set | self.m.rec_clr != 0 {
            let attr =
                MountAttr { attr_set: self.m.rec_set, attr_clr: self.m.rec_clr, ..MountAttr::default() };
            set(attr, RECURSIVE, Step::MountAttr)?;
        }
        if self.m.attr_set | self.m.attr_clr != 0 {
            let attr =
                MountAttr { attr_set: self.m.attr_set, attr_clr: self.m.attr_clr, ..MountAttr::default() };
            set(attr, 0, Step::MountAttr)?;
        }
        Ok(())
    }

    fn move_to(&self, tree: Fd<'_>, target: Fd<'_>) -> Result<(), Fail> {
        move_mount(tree, target).on(Step::MountMove, self.i)?;
        self.propagate(tree)
    }

    fn propagate(&self, mounted: Fd<'_>) -> Result<(), Fail> {
        if self.m.propagation == 0 {
            return Ok(());
        }
        let attr = MountAttr { propagation: self.m.propagation, ..MountAttr::default() };
        let flags = if self.has(mount_flag::PROPAGATION_RECURSIVE) { RECURSIVE } else { 0 };
        mount_setattr(mounted, c"", EMPTY_PATH | flags, &attr).on(Step::MountPropagation, self.i)
    }

    /// The source is a link: make the same link in the container.
    #[inline(never)]
    fn copy_symlink(&self, link: Fd<'_>) -> Result<(), Fail> {
        let mut text = [0u8; PATH_MAX];
        let n = readlinkat(link, c"", &mut text).on(Step::MountSymlink, self.i)?;
        let end = text.get_mut(n).ok_or(Fail::new(Step::MountSymlink, self.i, Errno::ENAMETOOLONG))?;
        *end = 0;
        let to = CStr::from_bytes_until_nul(&text).unwrap_or(c"");
        let target = self.text(self.m.target).to_bytes();
        let slash = target.iter().rposition(|b| *b == b'/').unwrap_or(0);
        let (mut dir, mut name) = (path::PathBuf::new(), path::PathBuf::new());
        dir.push(target.get(..slash).unwrap_or(&[])).on(Step::MountSymlink, self.i)?;
        name.push(target.get(slash.saturating_add(1)..).unwrap_or(&[])).on(Step::MountSymlink, self.i)?;
        let parent = path::open_or_create(
            self.root()?,
            if slash == 0 { c"/" } else { dir.cstr() },
            Missing::Directory,
            false,
        )
        .on(Step::MountTargetCreate, self.i)?;
        match symlinkat(to, parent.as_fd(), name.cstr()) {
            Err(Errno::EEXIST) => {
                let mut old = [0u8; PATH_MAX];
                let m = readlinkat(parent.as_fd(), name.cstr(), &mut old).on(Step::MountSymlink, self.i)?;
                if old.get(..m) != text.get(..n) {
                    return Err(Fail::new(Step::MountSymlink, self.i, Errno::EEXIST));
                }
            }
            done => done.on(Step::MountSymlink, self.i)?,
        }
        Ok(())
    }

    /// mount(2) by the descriptor's magic link: procfs is still the host's here.
    #[inline(never)]
    fn classic(&self) -> Result<(), Fail> {
        let mode_below = self.has(mount_flag::INHERIT_MODE) && self.exists();
        let target = self.target(Missing::Directory, self.makes_proc())?;
        let mode = fstat(target.as_fd()).on(Step::MountTarget, self.i)?.mode & 0o7777;
        let mut by_fd = path::PathBuf::new();
        descriptor_path(&mut by_fd, target.as_fd()).on(Step::MountClassic, self.i)?;
        mount(
            self.text(self.m.source),
            by_fd.cstr(),
            self.text(self.m.fstype),
            self.m.ms_flags,
            self.text(self.m.data),
        )
        .on(Step::MountClassic, self.i)?;
        let mounted =
            path::open_in_root(self.root()?, self.text(self.m.target), 0).on(Step::MountTarget, self.i)?;
        if mode_below {
            let mut by_fd = path::PathBuf::new();
            descriptor_path(&mut by_fd, mounted.as_fd()).on(Step::MountClassic, self.i)?;
            fchmodat(Fd::CWD, by_fd.cstr(), mode).on(Step::MountClassic, self.i)?;
        }
        self.propagate(mounted.as_fd())
    }

    fn remount(&self) -> Result<(), Fail> {
        let (root, target) = (self.root()?, self.text(self.m.target));
        let fd = path::open_in_root(root, target, 0).on(Step::MountTarget, self.i)?;
        self.set_attributes(fd.as_fd())?;
        self.propagate(fd.as_fd())
    }
}

/// Whether this is a procfs's root directory, which is inode 1.
fn is_proc_root(fd: Fd<'_>) -> bool {
    fstat(fd).is_ok_and(|st| st.ino == 1)
}

/// "/proc/self/fd/N".
fn descriptor_path(buf: &mut path::PathBuf, fd: Fd<'_>) -> krun_sys::Result<()> {
    buf.push(b"/proc/self/fd/")?;
    let mut digits = [0u8; 10];
    buf.push(decimal(fd.number().unsigned_abs(), &mut digits))
}

/// A number's decimal digits.
pub(super) fn decimal(n: u32, buf: &mut [u8; 10]) -> &[u8] {
    let mut rest = n;
    let mut start = buf.len();
    for (at, digit) in buf.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        start = at;
        if rest == 0 {
            break;
        }
    }
    buf.get(start..).unwrap_or(&[])
}
