//! Writes to procfs: kernel parameters and security labels.
//!
//! They go through a procfs that krun mounts for itself and attaches nowhere:
//! whatever the image or a volume put on /proc is not asked (CVE-2019-16884,
//! CVE-2025-52881).

use core::ffi::CStr;

use krun_sys::fs::{fstatfs_magic, write};
use krun_sys::mount::{fsconfig_create, fsmount, fsopen};
use krun_sys::{Errno, OwnedFd, Result as SysResult, libc};

use super::channel::{At, Birth, Fail, index};
use super::path;
use crate::plan::View;
use crate::step::Step;

const PROC_MAGIC: u64 = 0x9fa0;

/// Kernel parameters of the new namespaces.
pub fn sysctls(birth: &Birth<'_>) -> Result<(), Fail> {
    let (arena, plan) = (birth.view.arena, birth.view.plan);
    if plan.sysctls.is_empty() {
        return Ok(());
    }
    let proc = private_proc().at(Step::ProcOpen)?;
    for (i, sysctl) in arena.slice(plan.sysctls).iter().enumerate() {
        let fd = path::open_in_proc(proc.as_fd(), arena.cstr(sysctl.path)).on(Step::SysctlOpen, index(i))?;
        write(fd.as_fd(), arena.cstr(sysctl.value).to_bytes()).on(Step::SysctlWrite, index(i))?;
    }
    Ok(())
}

/// The AppArmor profile of the next execve; before no_new_privs, which would
/// forbid the change.
pub fn apparmor(view: &View<'_>) -> Result<(), Fail> {
    let profile = view.plan.apparmor;
    if !profile.is_some() {
        return Ok(());
    }
    let text = view.arena.cstr(profile).to_bytes();
    // /proc/self/attr/exec is shared by modules before Linux 5.1.
    match attr(c"self/attr/apparmor/exec", text) {
        Err(Errno::ENOENT) => attr(c"self/attr/exec", text),
        done => done,
    }
    .at(Step::Apparmor)
}

/// The SELinux label of the next execve; as late as can be, since it is what
/// every execve after it gets.
pub fn selinux(view: &View<'_>) -> Result<(), Fail> {
    let label = view.plan.selinux;
    if !label.is_some() {
        return Ok(());
    }
    attr(c"self/attr/exec", view.arena.cstr(label).to_bytes()).at(Step::Selinux)
}

fn attr(name: &CStr, text: &[u8]) -> SysResult<()> {
    let proc = private_proc()?;
    let fd = path::open_own_in_proc(proc.as_fd(), name)?;
    if fstatfs_magic(fd.as_fd())? != PROC_MAGIC {
        return Err(Errno::EPERM);
    }
    write(fd.as_fd(), text).map(drop)
}

/// A procfs of our own. In a user namespace whose procfs is partly covered the
/// kernel refuses one (mount_too_revealing): then the container's, if it is one.
fn private_proc() -> SysResult<OwnedFd> {
    let own = || {
        let fs = fsopen(c"proc")?;
        fsconfig_create(fs.as_fd())?;
        fsmount(fs.as_fd(), 0)
    };
    match own() {
        Err(Errno::EPERM) => {
            let fd = path::open_absolute_without_links(c"/proc", libc::O_DIRECTORY)?;
            let genuine =
                fstatfs_magic(fd.as_fd())? == PROC_MAGIC && krun_sys::fs::fstat(fd.as_fd())?.ino == 1;
            if genuine { Ok(fd) } else { Err(Errno::EPERM) }
        }
        done => done,
    }
}
