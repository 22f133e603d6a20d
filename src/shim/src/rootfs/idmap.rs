//! Idmapped mounts (mount_setattr(2), Linux 5.12).

use std::fmt::Write as _;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use krun::userns::{self, UsernsError};
use krun_sys::{Fd, libc, mount};
use nix::errno::Errno;

use super::{Fault, c_path};

pub(super) fn fault(call: &'static str) -> impl Fn(krun_sys::Errno) -> Fault {
    move |e| Fault::Call(call, Errno::from_raw(e.0))
}

fn io_fault(call: &'static str) -> impl Fn(std::io::Error) -> Fault {
    move |e| Fault::Call(call, Errno::from_raw(e.raw_os_error().unwrap_or_default()))
}

/// A user namespace with these maps (`container:host:size[,…]`), kept alive by
/// its descriptor alone.
pub fn user_namespace(uidmap: &str, gidmap: &str) -> Result<OwnedFd, Fault> {
    let uids = kernel_map(uidmap)?;
    let gids = kernel_map(gidmap)?;
    let maps = |pid| {
        fs::write(format!("/proc/{pid}/uid_map"), &uids).map_err(io_fault("write uid_map"))?;
        fs::write(format!("/proc/{pid}/gid_map"), &gids).map_err(io_fault("write gid_map"))
    };
    userns::user_namespace(maps).map_err(|error| match error {
        UsernsError::Maps(fault) => fault,
        UsernsError::Call { call, source } => Fault::Call(call, source),
    })
}

/// `c:h:s,c:h:s` as user_namespaces(7) wants it: a line for each range.
fn kernel_map(map: &str) -> Result<String, Fault> {
    let mut lines = String::new();
    for range in map.split(',') {
        let numbers: Option<Vec<u32>> = range.split(':').map(|n| n.parse().ok()).collect();
        let Some([inside, outside, size]) = numbers.as_deref() else {
            return Err(Fault::Option(map.to_owned(), "a mapping is container-id:host-id:size"));
        };
        let _ = writeln!(lines, "{inside} {outside} {size}");
    }
    Ok(lines)
}

/// Mounts `source` on `target` as the user namespace sees it.
pub fn remount(source: &Path, target: &Path, userns: &OwnedFd, read_only: bool) -> Result<(), Fault> {
    let tree_flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as u32;
    let tree = mount::open_tree(Fd::CWD, &c_path(source)?, tree_flags).map_err(fault("open_tree"))?;
    let attr = mount::MountAttr {
        attr_set: libc::MOUNT_ATTR_IDMAP | if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 },
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns: Some(Fd::of(userns)),
    };
    let flags = (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE) as u32;
    mount::mount_setattr(tree.as_fd(), c"", flags, &attr).map_err(fault("mount_setattr"))?;
    attach(tree.as_fd(), target)
}

/// Attaches a detached mount at `target`.
pub(super) fn attach(tree: Fd<'_>, target: &Path) -> Result<(), Fault> {
    let path_flags = libc::O_PATH | libc::O_CLOEXEC;
    let on = krun_sys::fs::openat(Fd::CWD, &c_path(target)?, path_flags, 0).map_err(fault("open"))?;
    mount::move_mount(tree, on.as_fd()).map_err(fault("move_mount"))
}
