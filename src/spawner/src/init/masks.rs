//! Masked and read-only paths. A path that does not exist needs no mask.
//!
//! This runs before the root changes: the mask of a file is the host's
//! /dev/null, which the image cannot swap (CVE-2025-31133).

use krun_sys::fs::fstat;
use krun_sys::mount::{
    MountAttr, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, fsconfig_create, fsmount, fsopen, mount_setattr,
    move_mount, open_tree,
};
use krun_sys::{Errno, Fd, OwnedFd, Result as SysResult, libc};

use super::channel::{At, Birth, Fail, index};
use super::path;
use super::rootfs::EMPTY_PATH;
use crate::step::Step;

#[allow(clippy::cast_possible_truncation)] // attribute bits below 2^32
const RDONLY: u32 = libc::MOUNT_ATTR_RDONLY as u32;
const CLONE: u32 = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

/// Covers each masked path: a file with /dev/null, a directory with an empty
/// read-only tmpfs. All files share one mount's source, and all directories.
pub fn mask_all(birth: &Birth<'_>) -> Result<(), Fail> {
    let (mut null, mut empty): (Option<OwnedFd>, Option<OwnedFd>) = (None, None);
    for (i, masked) in birth.view.arena.slice(birth.view.plan.masked).iter().enumerate() {
        let i = index(i);
        let Some(target) = existing(birth, *masked, Step::MaskOpen, i)? else { continue };
        let (first, make): (_, fn() -> SysResult<OwnedFd>) =
            match fstat(target.as_fd()).on(Step::MaskOpen, i)? {
                st if st.is(libc::S_IFDIR) => (&mut empty, new_empty_directory),
                _ => (&mut null, open_null),
            };
        let tree = match first {
            Some(mounted) => open_tree(mounted.as_fd(), c"", CLONE | EMPTY_PATH),
            None => make(),
        }
        .on(Step::MaskSource, i)?;
        move_mount(tree.as_fd(), target.as_fd()).on(Step::MaskMount, i)?;
        if first.is_none() {
            *first = Some(tree);
        }
    }
    Ok(())
}

fn new_empty_directory() -> SysResult<OwnedFd> {
    let fs = fsopen(c"tmpfs")?;
    fsconfig_create(fs.as_fd())?;
    fsmount(fs.as_fd(), RDONLY)
}

/// A clone of the host's /dev/null, or of the one that krun has made in a namespace of the root
/// file system alone; verified to be that device (mem(4)).
fn open_null() -> SysResult<OwnedFd> {
    let tree = open_tree(Fd::CWD, c"/dev/null", CLONE)?;
    let st = fstat(tree.as_fd())?;
    if !st.is(libc::S_IFCHR) || st.rdev != (1, 3) {
        return Err(Errno::ENODEV);
    }
    mount_setattr(tree.as_fd(), c"", EMPTY_PATH, &MountAttr::DEVICE)?;
    Ok(tree)
}

/// Makes each path read-only, with what is mounted below it. The clone is
/// read-only before it is attached: there is no moment in which it is not.
pub fn protect_all(birth: &Birth<'_>) -> Result<(), Fail> {
    #[allow(clippy::cast_sign_loss)] // a flag bit
    let recursive = libc::AT_RECURSIVE as u32;
    for (i, readonly) in birth.view.arena.slice(birth.view.plan.readonly).iter().enumerate() {
        let i = index(i);
        let Some(target) = existing(birth, *readonly, Step::ReadonlyOpen, i)? else { continue };
        let tree =
            open_tree(target.as_fd(), c"", CLONE | EMPTY_PATH | recursive).on(Step::ReadonlyMount, i)?;
        let attr = MountAttr { attr_set: libc::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        mount_setattr(tree.as_fd(), c"", EMPTY_PATH | recursive, &attr).on(Step::ReadonlyMount, i)?;
        move_mount(tree.as_fd(), target.as_fd()).on(Step::ReadonlyMount, i)?;
    }
    Ok(())
}

fn existing(
    birth: &Birth<'_>,
    at: krun_sys::plain::Str,
    step: Step,
    i: u32,
) -> Result<Option<OwnedFd>, Fail> {
    match path::open_in_root(birth.root().on(step, i)?, birth.view.arena.cstr(at), 0) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(Fail::new(step, i, errno)),
    }
}
