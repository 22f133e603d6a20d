//! Sources of bind mounts that the parent has to open: those whose ids are
//! mapped, and all of them when the container's root may not walk the host or
//! its mount namespace shows none of it.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use krun_sys::mount::{MountAttr, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, mount_setattr, open_tree};
use krun_sys::process;
use krun_sys::{Errno, Fd};
use nix::libc;
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Spec};

use super::LaunchError;
use super::idmap::Maps;
use crate::plan::{self, Tree};
use crate::userns::UsernsError;

/// Open trees and user namespaces; they close when this is dropped.
#[derive(Debug, Default)]
pub struct Trees {
    fds: Vec<OwnedFd>,
    /// For the plan.
    pub trees: Vec<Tree>,
}

/// Opens what the child could not.
///
/// # Errors
/// The source, or the user namespace of an idmapped mount.
pub fn open(spec: &Spec, bundle: &Path, privileged: bool, all: bool) -> Result<Trees, LaunchError> {
    let mut opened = Trees::default();
    if !privileged {
        return Ok(opened);
    }
    let namespaces =
        spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let in_user = namespaces.iter().any(|ns| ns.typ() == LinuxNamespaceType::User);
    let sources = Sources { spec, bundle };
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        if !plan::is_bind(mount) || !all && !in_user && maps_of(mount, spec).is_none() {
            continue;
        }
        if sources.is_in_rootfs(mount) {
            // An earlier mount may be what makes it exist.
            opened.trees.push(Tree { index, tree: -1 });
            continue;
        }
        let tree = sources.open(mount, index)?;
        opened.trees.push(Tree { index, tree: tree.as_raw_fd() });
        opened.fds.push(tree);
    }
    Ok(opened)
}

/// The mounts of a specification, to be opened one by one.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The specification.
    pub spec: &'a Spec,
    /// Absolute path of the bundle.
    pub bundle: &'a Path,
}

impl Sources<'_> {
    /// Whether a bind's source lies in the root file system, where an earlier mount may change it.
    pub(super) fn is_in_rootfs(&self, mount: &Mount) -> bool {
        let source = self.bundle.join(mount.source().as_deref().unwrap_or(Path::new("")));
        let root = self.spec.root().as_ref().map(|root| self.bundle.join(root.path()));
        root.is_some_and(|root| source.starts_with(root))
    }

    /// The detached tree of a mount's source, its ids mapped.
    fn open(&self, mount: &Mount, index: usize) -> Result<OwnedFd, LaunchError> {
        let tree = source(mount, index, self.bundle)?;
        self.cut_off(&tree, index)?;
        if let Some((uid, gid)) = maps_of(mount, self.spec) {
            // Without maps of its own the mount has those of the user namespace that is joined.
            let namespace = match joined_user(self.spec).filter(|_| uid.is_empty() && gid.is_empty()) {
                Some(path) => std::fs::File::open(path).map_err(LaunchError::file("open", path))?.into(),
                None => user_namespace(uid, gid, index)?,
            };
            map_ids(&tree, &namespace, mount, index)?;
        }
        Ok(tree)
    }

    /// A clone belongs to the peer group of its source: what the container
    /// mounts below a shared one would appear on the host. The mounts of the
    /// child's own namespace are slaves by then, and so is this tree made one,
    /// unless `linux.rootfsPropagation` says otherwise.
    fn cut_off(&self, tree: &OwnedFd, index: usize) -> Result<(), LaunchError> {
        let wanted = self.spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
        let propagation = match wanted.unwrap_or("") {
            "shared" | "rshared" => return Ok(()),
            "private" | "rprivate" => libc::MS_PRIVATE,
            _ => libc::MS_SLAVE,
        };
        let flags = (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE).cast_unsigned();
        let attr = MountAttr { propagation, ..MountAttr::default() };
        mount_setattr(Fd::of(tree), c"", flags, &attr).map_err(|Errno(errno)| {
            LaunchError::call(format!("mounts[{index}]: cut it off from the host"), "mount_setattr", errno)
        })
    }

    /// The same among the mounts that process `pid` has made so far. A thread of
    /// its own goes there, with the host's privileges.
    ///
    /// # Errors
    /// The source; the namespace.
    pub fn open_in_namespace_of(&self, pid: i32, index: usize) -> Result<OwnedFd, LaunchError> {
        let mount = self.spec.mounts().as_ref().and_then(|mounts| mounts.get(index));
        let mount = mount.ok_or(LaunchError::Usage("a mount that is not in config.json"))?;
        let path = format!("/proc/{pid}/ns/mnt");
        let namespace = std::fs::File::open(&path).map_err(LaunchError::file("open", &path))?;
        let opened = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let failed = |e: Errno| LaunchError::call(format!("enter {path}"), "setns", e.0);
                // A thread that shares its root with others cannot change it (setns(2)).
                process::unshare(u64::from(libc::CLONE_FS.cast_unsigned())).map_err(failed)?;
                let mnt = u64::from(libc::CLONE_NEWNS.cast_unsigned());
                process::setns(Fd::of(&namespace), mnt).map_err(failed)?;
                self.open(mount, index)
            });
            inside.join()
        });
        opened.unwrap_or_else(|_| Err(LaunchError::Usage("the thread that opens mounts ended")))
    }
}

type MapPair<'a> = (&'a [LinuxIdMapping], &'a [LinuxIdMapping]);

/// The maps of an idmapped mount: its own, else the container's.
fn maps_of<'a>(mount: &'a Mount, spec: &'a Spec) -> Option<MapPair<'a>> {
    let own = (
        mount.uid_mappings().as_deref().unwrap_or_default(),
        mount.gid_mappings().as_deref().unwrap_or_default(),
    );
    if !own.0.is_empty() || !own.1.is_empty() {
        return Some(own);
    }
    let asked = mount.options().iter().flatten().any(|option| option == "idmap" || option == "ridmap");
    let linux = spec.linux().as_ref().filter(|_| asked)?;
    Some((
        linux.uid_mappings().as_deref().unwrap_or_default(),
        linux.gid_mappings().as_deref().unwrap_or_default(),
    ))
}

/// The user namespace that the container joins.
fn joined_user(spec: &Spec) -> Option<&Path> {
    let list = spec.linux().as_ref()?.namespaces().as_deref()?;
    let user = list.iter().find(|ns| ns.typ() == LinuxNamespaceType::User)?;
    user.path().as_deref().filter(|path| !path.as_os_str().is_empty())
}

/// Maps the ids of a detached tree, which only privileges over its file system
/// allow: those of the host, not those of the container (mount_setattr(2)).
fn map_ids(tree: &OwnedFd, maps: &OwnedFd, mount: &Mount, index: usize) -> Result<(), LaunchError> {
    let recursive = mount.options().iter().flatten().any(|option| option == "ridmap");
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let attr =
        MountAttr { attr_set: libc::MOUNT_ATTR_IDMAP, userns: Some(Fd::of(maps)), ..MountAttr::default() };
    mount_setattr(Fd::of(tree), c"", flags.cast_unsigned(), &attr).map_err(|Errno(errno)| {
        let hint =
            if errno == libc::EINVAL { " (this file system may not support idmapped mounts)" } else { "" };
        let what = format!("mounts[{index}] {}: map the mount's ids{hint}", mount.destination().display());
        LaunchError::call(what, "mount_setattr(MOUNT_ATTR_IDMAP)", errno)
    })
}

fn source(mount: &Mount, index: usize, bundle: &Path) -> Result<OwnedFd, LaunchError> {
    let path = bundle.join(mount.source().as_deref().unwrap_or(Path::new("")));
    let options = mount.options().as_deref().unwrap_or_default();
    let has = |name: &str| options.iter().any(|option| option == name);
    let mut flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    if has("rbind") {
        flags |= libc::AT_RECURSIVE.cast_unsigned();
    }
    if has("src-nofollow") || has("copy-symlink") {
        flags |= libc::AT_SYMLINK_NOFOLLOW.cast_unsigned();
    }
    let what = || format!("mounts[{index}].source {}", path.display());
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| LaunchError::call(what(), "open_tree", libc::EINVAL))?;
    let fd = open_tree(Fd::CWD, &name, flags).map_err(|e| LaunchError::call(what(), "open_tree", e.0))?;
    Ok(fd.into())
}

/// The user namespace that carries these maps.
fn user_namespace(
    uid: &[LinuxIdMapping],
    gid: &[LinuxIdMapping],
    index: usize,
) -> Result<OwnedFd, LaunchError> {
    crate::userns::user_namespace(|pid| Maps::new(uid, gid, true).write(pid)).map_err(|error| match error {
        UsernsError::Maps(error) => error,
        UsernsError::Call { call, source } => {
            let what = format!("mounts[{index}]: the user namespace of its id maps");
            LaunchError::call(what, call, source as i32)
        }
    })
}
