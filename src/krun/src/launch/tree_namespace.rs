//! A mount namespace that holds the root file system and nothing else.
//!
//! open_tree(2) with OPEN_TREE_NAMESPACE (Linux 7.0) makes it without a copy of
//! the host's mount table, which a thousand mounts make slow, and without
//! pivot_root(2). What lies on the host is out of reach from the start, so that
//! it serves only containers that need nothing of it while they are made.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use krun_sys::Fd;
use krun_sys::mount::{OPEN_TREE_CLOEXEC, OPEN_TREE_NAMESPACE, open_tree};
use nix::libc;
use oci_spec::runtime::{Hook, LinuxNamespaceType as Kind, Spec};

use super::trees::Sources;
use crate::bundle::Bundle;
use crate::cgroup::Driver;
use crate::host::Facts;
use crate::plan;

/// The namespace; none where the kernel can't make it or the container needs the host's mounts.
pub fn open(bundle: &Bundle, facts: &Facts, driver: Driver, no_pivot: bool) -> Option<OwnedFd> {
    let sources = Sources { spec: &bundle.spec, bundle: &bundle.dir };
    let mut mounts = bundle.spec.mounts().iter().flatten();
    let nested = mounts.any(|mount| plan::is_bind(mount) && sources.is_in_rootfs(mount));
    if !facts.privileged || no_pivot || driver == Driver::Systemd || nested || !suits(&bundle.spec) {
        return None;
    }
    let root = CString::new(bundle.rootfs()?.as_os_str().as_bytes()).ok()?;
    let flags = OPEN_TREE_NAMESPACE | OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE.cast_unsigned();
    // EINVAL before Linux 7.0; whatever else is wrong with the directory, the usual way says it better.
    open_tree(Fd::CWD, &root, flags).ok().map(OwnedFd::from)
}

fn suits(spec: &Spec) -> bool {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let has = |kind, joined| namespaces.iter().any(|ns| ns.typ() == kind && ns.path().is_some() == joined);
    let own_mounts = has(Kind::Mount, false) && has(Kind::Cgroup, false);
    // Users and a joined pid namespace go through the helper; a time namespace needs the host's procfs.
    let others =
        has(Kind::User, false) || has(Kind::User, true) || has(Kind::Pid, true) || has(Kind::Time, false);
    let propagation = linux.and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or_default();
    own_mounts && !others && matches!(propagation, "" | "rprivate") && !sees_the_host(spec)
}

/// Whether something looks at the host's files from within: hooks before the root changes, or a file system
/// that is named by a path of the host (an overlay, a block device).
fn sees_the_host(spec: &Spec) -> bool {
    let some = |list: &Option<Vec<Hook>>| list.as_ref().is_some_and(|list| !list.is_empty());
    #[allow(deprecated)] // prestart hooks still run
    let hooks = spec.hooks().as_ref().is_some_and(|hooks| {
        some(hooks.prestart()) || some(hooks.create_runtime()) || some(hooks.create_container())
    });
    hooks || spec.mounts().iter().flatten().any(|mount| !plan::is_bind(mount) && !plan::is_virtual(mount))
}
