//! The root file system: made a mount of its own, and made "/".

use krun_sys::fs::{chdir, chroot, fchdir, openat};
use krun_sys::mount::{MountAttr, mount, mount_setattr, pivot_root, umount2};
use krun_sys::process::setns;
use krun_sys::{Errno, Fd, OwnedFd, libc};

use super::channel::{At, Birth, Fail};
use super::path::PathBuf;
use crate::plan::flag;
use crate::step::Step;

/// Cuts the new mount namespace off from the host's and opens the root file
/// system in it: a descriptor from before could not be mounted on.
pub fn prepare(birth: &mut Birth<'_>) -> Result<(), Fail> {
    let (arena, root) = (birth.view.arena, birth.view.plan.root);
    if birth.view.has(flag::TREE_NAMESPACE) {
        return enter_tree_namespace(birth);
    }
    if !birth.view.has(flag::CHROOT) {
        mount(c"", c"/", c"", root.propagation, c"").at(Step::RootPropagation)?;
    }
    let path = arena.cstr(root.path);
    let slave = root.final_propagation & libc::MS_SLAVE != 0;
    if birth.view.has(flag::SHARED_ROOT) {
        unshare_parent(path, if slave { libc::MS_SLAVE } else { libc::MS_PRIVATE })?;
    }
    mount(path, path, c"", libc::MS_BIND | libc::MS_REC, c"").at(Step::RootBind)?;
    let opened = open_directory(path)?;
    let root = birth.root.insert(opened);
    if !slave {
        // pivot_root(2) is EINVAL on a shared mount; a slave would take over what the host mounts.
        let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
        mount_setattr(root.as_fd(), c"", EMPTY_PATH, &private).at(Step::RootPropagation)?;
    }
    Ok(())
}

/// The parent has made a namespace of the root file system alone: it is "/" as soon as it is entered,
/// and in no peer group of the host's before anything is mounted in it.
fn enter_tree_namespace(birth: &mut Birth<'_>) -> Result<(), Fail> {
    let root = birth.view.plan.root;
    #[allow(clippy::cast_sign_loss)] // a flag below bit 31
    let newns = libc::CLONE_NEWNS as u64;
    let namespace = birth.handed.take(root.namespace).ok_or(Errno::EBADF).at(Step::RootNamespace)?;
    setns(namespace.as_fd(), newns).at(Step::RootNamespace)?;
    drop(namespace);
    mount(c"", c"/", c"", root.propagation, c"").at(Step::RootPropagation)?;
    let opened = open_directory(c"/")?;
    let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    mount_setattr(birth.root.insert(opened).as_fd(), c"", EMPTY_PATH, &private).at(Step::RootPropagation)
}

/// Makes the mount that holds the root file system private, or a slave:
/// pivot_root(2) is EINVAL below a shared one. Which mount that is shows when the kernel takes
/// a prefix of the path for a mount point.
fn unshare_parent(path: &core::ffi::CStr, propagation: u64) -> Result<(), Fail> {
    let attr = MountAttr { propagation, ..MountAttr::default() };
    let mut prefix = PathBuf::new();
    prefix.push(path.to_bytes()).at(Step::RootPropagation)?;
    loop {
        let at_root = prefix.len() == 0;
        let name = if at_root { c"/" } else { prefix.cstr() };
        match mount_setattr(Fd::CWD, name, 0, &attr) {
            Err(Errno::EINVAL) if !at_root => {
                let end = prefix.bytes().iter().rposition(|b| *b == b'/').unwrap_or(0);
                prefix.set_len(end);
            }
            done => return done.at(Step::RootPropagation),
        }
    }
}

#[allow(clippy::cast_sign_loss)] // flag bits
pub(super) const EMPTY_PATH: u32 = libc::AT_EMPTY_PATH as u32;

fn open_directory(path: &core::ffi::CStr) -> Result<OwnedFd, Fail> {
    openat(Fd::CWD, path, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0).at(Step::RootOpen)
}

/// Makes the root file system "/" and lets go of the host's.
pub fn change_root(birth: &mut Birth<'_>) -> Result<(), Fail> {
    let view = birth.view;
    if view.has(flag::ENTER_ROOT) {
        birth.handed.get(view.plan.root.directory).and_then(fchdir).at(Step::PivotChdir)?;
        chroot(c".").at(Step::Chroot)?;
        return chdir(c"/").at(Step::PivotChdir);
    }
    if view.has(flag::CHROOT) {
        chdir(view.arena.cstr(view.plan.root.path)).at(Step::PivotChdir)?;
        chroot(c".").at(Step::Chroot)?;
        return Ok(());
    }
    if !view.has(flag::ROOTFS) {
        return Ok(());
    }
    if view.has(flag::TREE_NAMESPACE) {
        // It is "/" since it was entered; the mounts have left the working directory on one of theirs.
        return chdir(c"/").at(Step::PivotChdir);
    }
    if view.has(flag::NO_PIVOT) {
        cover_host(birth)?;
        birth.root().and_then(fchdir).at(Step::PivotChdir)?;
        mount(c".", c"/", c"", libc::MS_MOVE, c"").at(Step::PivotMove)?;
        chroot(c".").at(Step::Chroot)?;
        return chdir(c"/").at(Step::PivotChdir);
    }
    let old = view.has(flag::SHARED_ROOT).then(|| open_directory(c"/")).transpose()?;
    birth.root().and_then(fchdir).at(Step::PivotChdir)?;
    // The old root ends up on top of the new one (pivot_root(2), NOTES).
    pivot_root(c".", c".").at(Step::PivotRoot)?;
    if let Some(old) = old {
        // Detaching must not propagate to the host.
        fchdir(old.as_fd()).at(Step::PivotChdir)?;
        mount(c"", c".", c"", libc::MS_SLAVE | libc::MS_REC, c"").at(Step::PivotUmount)?;
    }
    umount2(c".", libc::MNT_DETACH).at(Step::PivotUmount)?;
    chdir(c"/").at(Step::PivotChdir)
}

/// Under MS_MOVE the host's mounts stay in the namespace, though out of reach.
/// As long as a whole procfs or sysfs is among them, the kernel would let the
/// container mount a new one, with nothing masked.
fn cover_host(birth: &Birth<'_>) -> Result<(), Fail> {
    for path in birth.view.arena.slice(birth.view.plan.root.pseudo) {
        let path = birth.view.arena.cstr(*path);
        match mount(c"", path, c"", libc::MS_SLAVE | libc::MS_REC, c"") {
            // It went with one of its parents.
            Err(Errno::ENOENT | Errno::EINVAL) => continue,
            done => done.at(Step::PivotMove)?,
        }
        match umount2(path, libc::MNT_DETACH) {
            Err(Errno::EINVAL | Errno::EPERM) => {
                mount(c"tmpfs", path, c"tmpfs", 0, c"").at(Step::PivotMove)?;
            }
            done => done.at(Step::PivotMove)?,
        }
    }
    Ok(())
}

/// Propagation and read-only root, when all else is in place.
pub fn finish(birth: &mut Birth<'_>) -> Result<(), Fail> {
    let propagation = birth.view.plan.root.final_propagation;
    if propagation != 0 {
        mount(c"", c"/", c"", propagation, c"").at(Step::RootFinalPropagation)?;
    }
    if birth.view.has(flag::READONLY_ROOT) {
        let readonly = MountAttr { attr_set: libc::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        mount_setattr(Fd::CWD, c"/", 0, &readonly).at(Step::RootReadonly)?;
    }
    Ok(())
}
