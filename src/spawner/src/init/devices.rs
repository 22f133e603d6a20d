//! Device nodes and the links of /dev, all relative to verified descriptors:
//! the image's /dev may be a symbolic link (CVE-2026-41579).

use core::ffi::CStr;

use krun_sys::fs::{Stat, fchownat, mknodat, statx, symlinkat};
use krun_sys::mount::{MountAttr, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, mount_setattr, move_mount, open_tree};
use krun_sys::{Errno, Fd, libc};

use super::channel::{At, Birth, Fail, index};
use super::path::{self, Missing};
use super::rootfs::EMPTY_PATH;
use crate::plan::{Device, flag};
use crate::step::Step;

/// All nodes and links.
pub fn create_all(birth: &Birth<'_>) -> Result<(), Fail> {
    if !birth.view.has(flag::DEVICES) {
        return Ok(());
    }
    let arena = birth.view.arena;
    let root = birth.root().at(Step::DevOpen)?;
    let dev = match path::open_without_links(root, c"/dev", libc::O_DIRECTORY) {
        Err(Errno::ENOENT) => path::open_or_create(root, c"/dev", Missing::Directory, true),
        done => done,
    }
    .at(Step::DevOpen)?;
    for (i, device) in arena.slice(birth.view.plan.devices).iter().enumerate() {
        create(birth, dev.as_fd(), device, index(i))?;
    }
    for (i, link) in arena.slice(birth.view.plan.links).iter().enumerate() {
        match symlinkat(arena.cstr(link.target), dev.as_fd(), arena.cstr(link.name)) {
            // What the image put there stays, as with every runtime.
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(Fail::new(Step::LinkCreate, index(i), errno)),
        }
    }
    Ok(())
}

fn create(birth: &Birth<'_>, dev: Fd<'_>, device: &Device, i: u32) -> Result<(), Fail> {
    let arena = birth.view.arena;
    if device.name.is_some() {
        return create_in(birth, dev, arena.cstr(device.name), device, i);
    }
    create_elsewhere(birth, device, i)
}

/// A node that is not directly in /dev.
#[inline(never)] // its buffers are not for the usual stack frame
fn create_elsewhere(birth: &Birth<'_>, device: &Device, i: u32) -> Result<(), Fail> {
    let arena = birth.view.arena;
    let full = arena.cstr(device.path).to_bytes();
    let slash = full.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let (mut parent, mut name) = (path::PathBuf::new(), path::PathBuf::new());
    parent.push(full.get(..slash).unwrap_or(&[])).on(Step::DeviceParent, i)?;
    name.push(full.get(slash.saturating_add(1)..).unwrap_or(&[])).on(Step::DeviceParent, i)?;
    let root = birth.root().on(Step::DeviceParent, i)?;
    let dir = if slash == 0 {
        path::open_in_root(root, c"/", libc::O_DIRECTORY)
    } else {
        path::open_or_create(root, parent.cstr(), Missing::Directory, false)
    }
    .on(Step::DeviceParent, i)?;
    create_in(birth, dir.as_fd(), name.cstr(), device, i)
}

fn create_in(birth: &Birth<'_>, dir: Fd<'_>, name: &CStr, device: &Device, i: u32) -> Result<(), Fail> {
    if birth.view.has(flag::BIND_DEVICES) {
        return bind(birth, dir, name, device, i);
    }
    match mknodat(dir, name, device.mode, libc::makedev(device.major, device.minor)) {
        Ok(()) => {}
        Err(Errno::EEXIST) => {
            let there = statx(dir, name, libc::AT_SYMLINK_NOFOLLOW).on(Step::DeviceCreate, i)?;
            return if same(there, device) {
                Ok(())
            } else {
                Err(Fail::new(Step::DeviceExists, i, Errno::EEXIST))
            };
        }
        Err(errno) => return Err(Fail::new(Step::DeviceCreate, i, errno)),
    }
    if device.uid != 0 || device.gid != 0 {
        fchownat(dir, name, device.uid, device.gid, libc::AT_SYMLINK_NOFOLLOW).on(Step::DeviceOwner, i)?;
    }
    Ok(())
}

fn same(there: Stat, device: &Device) -> bool {
    there.mode & libc::S_IFMT == device.mode & libc::S_IFMT && there.rdev == (device.major, device.minor)
}

/// A user namespace may not make nodes (mknod(2), EPERM): the host's is bound
/// over an empty file.
fn bind(birth: &Birth<'_>, dir: Fd<'_>, name: &CStr, device: &Device, i: u32) -> Result<(), Fail> {
    let source = birth.view.arena.cstr(device.path);
    let tree = open_tree(Fd::CWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC).on(Step::DeviceBind, i)?;
    mount_setattr(tree.as_fd(), c"", EMPTY_PATH, &MountAttr::DEVICE).on(Step::DeviceBind, i)?;
    match mknodat(dir, name, libc::S_IFREG | 0o644, 0) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(Fail::new(Step::DeviceCreate, i, errno)),
    }
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let target = krun_sys::fs::openat(dir, name, flags, 0).on(Step::DeviceBind, i)?;
    move_mount(tree.as_fd(), target.as_fd()).on(Step::DeviceBind, i)
}
