//! The root file system and its propagation.

use std::path::{Path, PathBuf};

use krun_spawner::plan::flag;
use nix::libc;

use super::{PlanBuf, PlanError, Request, set};

/// The root file system's absolute path.
///
/// # Errors
/// There is no `root`.
pub fn rootfs(request: &Request<'_>) -> Result<PathBuf, PlanError> {
    let root = request.spec.root().as_ref().ok_or(PlanError::Missing("root"))?;
    Ok(request.bundle.join(root.path()))
}

/// Plans how the root file system is made a mount of its own, and what propagates.
pub fn plan(buf: &mut PlanBuf, request: &Request<'_>) -> Result<(), PlanError> {
    let spec = request.spec;
    set(buf, flag::ROOTFS, true);
    set(buf, flag::READONLY_ROOT, spec.root().as_ref().is_some_and(|root| root.readonly() == Some(true)));
    let rootfs = rootfs(request)?;
    buf.plan.root.path = buf.path(&rootfs);
    if request.no_pivot {
        let pseudo: Vec<_> = host_pseudo(&rootfs).iter().map(|path| buf.path(path)).collect();
        buf.plan.root.pseudo = buf.slice(&pseudo);
    }
    let wanted = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or("");
    // "/" is made a slave (or private) so that nothing reaches the host; what
    // the container asked for is set at the end, on its own root.
    let (first, last) = match wanted {
        "" => (libc::MS_SLAVE | libc::MS_REC, 0),
        "private" => (libc::MS_PRIVATE, 0),
        "rprivate" => (libc::MS_PRIVATE | libc::MS_REC, 0),
        "slave" => (libc::MS_SLAVE, libc::MS_SLAVE),
        "rslave" => (libc::MS_SLAVE | libc::MS_REC, libc::MS_SLAVE | libc::MS_REC),
        "shared" => (libc::MS_SHARED, libc::MS_SHARED),
        "rshared" => (libc::MS_SHARED | libc::MS_REC, libc::MS_SHARED | libc::MS_REC),
        "unbindable" => (libc::MS_SLAVE | libc::MS_REC, libc::MS_UNBINDABLE),
        "runbindable" => (libc::MS_SLAVE | libc::MS_REC, libc::MS_UNBINDABLE | libc::MS_REC),
        other => return Err(PlanError::invalid("linux.rootfsPropagation", other, "a propagation type")),
    };
    buf.plan.root.propagation = first;
    buf.plan.root.final_propagation = last;
    // A mount that is not recursively cut off may still be shared.
    set(buf, flag::SHARED_ROOT, first & libc::MS_REC == 0 || first & libc::MS_SHARED != 0);
    Ok(())
}

/// Has the child enter the mount namespace that the parent has made of the root file system, unless
/// a mount needs the host after all: mount(2) by its procfs, or a source that is opened late.
pub fn tree_namespace(buf: &mut PlanBuf, request: &Request<'_>) {
    let late = request.trees.iter().any(|tree| tree.tree < 0);
    if request.tree_namespace >= 0 && !late && !buf.has_classic_mount {
        set(buf, flag::TREE_NAMESPACE, true);
        buf.plan.root.namespace = request.tree_namespace;
        buf.plan.clone_flags &= !u64::from(libc::CLONE_NEWNS.cast_unsigned());
    }
}

/// The mount points of whole procfs and sysfs outside of the container
/// (proc_pid_mountinfo(5)).
fn host_pseudo(rootfs: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let whole = table.lines().filter_map(|line| {
        let (mount, fs) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let kind = fs.split(' ').next()?;
        (root == "/" && matches!(kind, "proc" | "sysfs")).then(|| PathBuf::from(point.replace("\\040", " ")))
    });
    whole.filter(|point| !point.starts_with(rootfs)).collect()
}
