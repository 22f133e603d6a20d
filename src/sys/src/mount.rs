//! Mounts: the descriptor-based interface of Linux 5.2 and what precedes it.

use core::ffi::CStr;

use crate::{Fd, OwnedFd, Result, sys};

/// Flags that the libc crate lacks or types too narrowly (linux/mount.h).
pub const OPEN_TREE_CLONE: u32 = 1;
/// `O_CLOEXEC` for open_tree(2).
pub const OPEN_TREE_CLOEXEC: u32 = libc::O_CLOEXEC as u32;
/// open_tree(2): clone into a new mount namespace (Linux 7.0).
pub const OPEN_TREE_NAMESPACE: u32 = 2;

/// What mount_setattr(2) changes (Linux 5.12).
#[derive(Clone, Copy, Debug, Default)]
pub struct MountAttr<'fd> {
    /// `MOUNT_ATTR_*` to set.
    pub attr_set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub attr_clr: u64,
    /// One of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
    /// A user namespace, for `MOUNT_ATTR_IDMAP`.
    pub userns: Option<Fd<'fd>>,
}

/// open_tree(2), Linux 5.2
pub fn open_tree(dir: Fd<'_>, path: &CStr, flags: u32) -> Result<OwnedFd> {
    // SAFETY: path outlives the call.
    unsafe { sys!(libc::SYS_open_tree, dir.number(), path.as_ptr(), flags) }.map(OwnedFd::new)
}

/// move_mount(2), Linux 5.2, from a descriptor onto a descriptor
pub fn move_mount(from: Fd<'_>, to: Fd<'_>) -> Result<()> {
    const EMPTY_PATHS: u32 = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: the empty strings are static.
    unsafe { sys!(libc::SYS_move_mount, from.number(), c"".as_ptr(), to.number(), c"".as_ptr(), EMPTY_PATHS) }
        .map(drop)
}

impl MountAttr<'_> {
    /// For the clone of a host's device node that is handed out: it can be read and written as a device, but its
    /// mode, owner and times are the host's (EROFS), and nothing mounted on one of the two shows up on the other.
    pub const DEVICE: Self = MountAttr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns: None,
    };
}

/// mount_setattr(2), Linux 5.12
pub fn mount_setattr(dir: Fd<'_>, path: &CStr, flags: u32, attr: &MountAttr<'_>) -> Result<()> {
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    let userns = attr.userns.map_or(0, |fd| fd.number() as u64);
    let attr = [attr.attr_set, attr.attr_clr, attr.propagation, userns];
    // SAFETY: path and attr outlive the call; the size is that of the structure.
    unsafe {
        sys!(libc::SYS_mount_setattr, dir.number(), path.as_ptr(), flags, attr.as_ptr(), size_of_val(&attr))
    }
    .map(drop)
}

/// fsopen(2), Linux 5.2
pub fn fsopen(fstype: &CStr) -> Result<OwnedFd> {
    // SAFETY: fstype outlives the call; 1 is FSOPEN_CLOEXEC.
    unsafe { sys!(libc::SYS_fsopen, fstype.as_ptr(), 1) }.map(OwnedFd::new)
}

/// fsconfig(2), FSCONFIG_SET_STRING (values up to 255 bytes)
pub fn fsconfig_set_string(fs: Fd<'_>, key: &CStr, value: &CStr) -> Result<()> {
    // SAFETY: key and value outlive the call.
    unsafe { sys!(libc::SYS_fsconfig, fs.number(), 1, key.as_ptr(), value.as_ptr(), 0) }.map(drop)
}

/// fsconfig(2), FSCONFIG_SET_FLAG
pub fn fsconfig_set_flag(fs: Fd<'_>, key: &CStr) -> Result<()> {
    // SAFETY: key outlives the call.
    unsafe { sys!(libc::SYS_fsconfig, fs.number(), 0, key.as_ptr(), 0, 0) }.map(drop)
}

/// fsconfig(2), FSCONFIG_CMD_CREATE
pub fn fsconfig_create(fs: Fd<'_>) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_fsconfig, fs.number(), 6, 0, 0, 0) }.map(drop)
}

/// fsmount(2), Linux 5.2; `attr` are `MOUNT_ATTR_*`.
pub fn fsmount(fs: Fd<'_>, attr: u32) -> Result<OwnedFd> {
    // SAFETY: no memory is passed; 1 is FSMOUNT_CLOEXEC.
    unsafe { sys!(libc::SYS_fsmount, fs.number(), 1, attr) }.map(OwnedFd::new)
}

/// mount(2); empty `data` is none, of which the kernel would otherwise copy a whole page.
pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> Result<()> {
    let data = if data.is_empty() { core::ptr::null() } else { data.as_ptr() };
    // SAFETY: all strings outlive the call; data may be null.
    unsafe { sys!(libc::SYS_mount, source.as_ptr(), target.as_ptr(), fstype.as_ptr(), flags, data) }.map(drop)
}

/// umount2(2)
pub fn umount2(target: &CStr, flags: i32) -> Result<()> {
    // SAFETY: target outlives the call.
    unsafe { sys!(libc::SYS_umount2, target.as_ptr(), flags) }.map(drop)
}

/// pivot_root(2)
pub fn pivot_root(new_root: &CStr, put_old: &CStr) -> Result<()> {
    // SAFETY: both strings outlive the call.
    unsafe { sys!(libc::SYS_pivot_root, new_root.as_ptr(), put_old.as_ptr()) }.map(drop)
}
