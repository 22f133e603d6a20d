//! The root file system of a container without a mount namespace: a bind mount that is the host's, and that is
//! taken away with the container.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use krun_sys::Fd;
use krun_sys::fs::statx;
use nix::mount::{MntFlags, umount2};
use oci_spec::runtime::{LinuxNamespaceType, Spec};

/// Most mounts that are taken off one another. krun makes one.
const DEEPEST: u32 = 8;

/// The mount that the root file system lies on before krun binds it (its id, statx(2)); none if the container has
/// a mount namespace, with which its mounts go.
pub fn mount_below(spec: &Spec, rootfs: &Path) -> Option<u64> {
    let mut listed = spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten();
    if listed.any(|ns| ns.typ() == LinuxNamespaceType::Mount) {
        return None;
    }
    mount_of(rootfs)
}

/// Takes off what was bound on `rootfs` above the mount `below`, with all that was mounted in it. An id is not given
/// to another mount while `below` is mounted, so that a mount of the engine's stays.
pub fn unmount(rootfs: &Path, below: u64) {
    for _ in 0..DEEPEST {
        if mount_of(rootfs).is_none_or(|top| top == below) {
            return;
        }
        if umount2(rootfs, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_err() {
            return;
        }
    }
}

fn mount_of(path: &Path) -> Option<u64> {
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    statx(Fd::CWD, &name, nix::libc::AT_SYMLINK_NOFOLLOW).ok().map(|st| st.mount)
}
