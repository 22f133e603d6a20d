//! Mounts below the rootfs. What lies there is the image's: a link in it leads
//! wherever the image wants. So the place is resolved within the rootfs, once, and
//! everything else goes by descriptor.

use std::ffi::CString;
use std::path::Path;

use krun_sys::fs::{OpenHow, openat, openat2};
use krun_sys::{Errno, Fd, OwnedFd, libc, mount};
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};

use super::idmap::fault;
use super::options::Parsed;
use super::{Fault, c_path, mount_at, mount_one};
use crate::proto::task::Mount;

/// Tries to resolve a path while somebody renames on its way (openat2(2), EAGAIN).
const TRIES: usize = 128;

/// Mounts `spec` on `below`, a path within the rootfs as it is mounted by now. The
/// place must be there, as with containerd's own shim.
pub(super) fn mount_below(spec: &Mount, rootfs: &Path, below: &str) -> Result<(), Fault> {
    let flags = Parsed::new(&spec.options)?.flags;
    let place = resolve(rootfs, below)?;
    if flags.contains(MsFlags::MS_REMOUNT) {
        // The descriptor is of the mount that is there.
        return mount_one(spec, Path::new(&format!("/proc/self/fd/{}", place.as_fd().number())));
    }
    let tree = detached(spec, rootfs, flags)?;
    mount::move_mount(tree.as_fd(), place.as_fd()).map_err(fault("move_mount"))
}

fn resolve(rootfs: &Path, below: &str) -> Result<OwnedFd, Fault> {
    let path_flags = libc::O_PATH | libc::O_CLOEXEC;
    let root = openat(Fd::CWD, &c_path(rootfs)?, path_flags | libc::O_DIRECTORY, 0);
    let root = root.map_err(fault("open"))?;
    let path = CString::new(below).map_err(|_| Fault::Option(below.to_owned(), "the path contains NUL"))?;
    let resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow { flags: path_flags as u64, mode: 0, resolve };
    for _ in 0..TRIES {
        match openat2(root.as_fd(), &path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            opened => return opened.map_err(fault("openat2")),
        }
    }
    Err(fault("openat2")(Errno::EAGAIN))
}

/// The mount with all its options, attached nowhere. A thread makes it in a mount
/// namespace of its own, where nobody sees it, on a path that is the host's: a
/// bind's on its source, which is of the right kind, else on the rootfs.
fn detached(spec: &Mount, rootfs: &Path, flags: MsFlags) -> Result<OwnedFd, Fault> {
    let is_bind = flags.contains(MsFlags::MS_BIND) && spec.kind != "overlay";
    let stage = if is_bind { Path::new(&spec.source) } else { rootfs };
    let make = || {
        unshare(CloneFlags::CLONE_NEWNS).map_err(Fault::of("unshare"))?;
        // Nothing goes back to the host; what a bind's source receives, the bind receives.
        mount_at("", Path::new("/"), "", MsFlags::MS_SLAVE | MsFlags::MS_REC, "")?;
        mount_one(spec, stage)?;
        let clone = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as u32;
        mount::open_tree(Fd::CWD, &c_path(stage)?, clone).map_err(fault("open_tree"))
    };
    let made = std::thread::scope(|scope| scope.spawn(make).join());
    made.unwrap_or(Err(Fault::Call("clone", nix::errno::Errno::EAGAIN)))
}
