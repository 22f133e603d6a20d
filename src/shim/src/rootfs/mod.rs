//! The rootfs of a container: the mounts that Create brings, and their end.

mod below;
mod idmap;
mod loopdev;
mod options;
mod overlay;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::proto::task::Mount;
use options::Parsed;

/// Why a rootfs couldn't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// mount(2) or one of its relatives.
    #[error("rootfs[{index}] {source_name} on {} ({kind}): {call}: {errno}", target.display())]
    Mount {
        /// Position in the request.
        index: usize,
        /// What was to be mounted.
        source_name: String,
        /// Where.
        target: PathBuf,
        /// File system type.
        kind: String,
        /// The system call.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
    /// An option that makes no sense.
    #[error("rootfs[{index}] option {option:?}: {reason}")]
    Option {
        /// Position in the request.
        index: usize,
        /// The option.
        option: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// The directory to mount on can't be made.
    #[error("rootfs {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// What went wrong inside one mount; [`mount_all`] adds which.
#[derive(Debug)]
pub(crate) enum Fault {
    Call(&'static str, Errno),
    Option(String, &'static str),
}

impl Fault {
    fn of(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Call(call, errno)
    }

    fn at(self, index: usize, mount: &Mount, target: &Path) -> Error {
        match self {
            Self::Call(call, errno) => Error::Mount {
                index,
                source_name: mount.source.clone(),
                target: target.to_owned(),
                kind: mount.kind.clone(),
                call,
                errno,
            },
            Self::Option(option, reason) => Error::Option { index, option, reason },
        }
    }
}

/// Mounts all of `mounts`, in order, on `rootfs` and below it; undone when one
/// fails.
pub fn mount_all(mounts: &[Mount], rootfs: &Path) -> Result<(), Error> {
    if mounts.is_empty() {
        return Ok(());
    }
    let directory = |path: &Path| {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .mode(0o711)
            .recursive(true)
            .create(path)
            .map_err(|source| Error::Directory { path: path.to_owned(), source })
    };
    directory(rootfs)?;
    for (index, mount) in mounts.iter().enumerate() {
        let below = mount.target.trim_start_matches('/');
        let mounted = match below {
            "" => mount_one(mount, rootfs),
            below => below::mount_below(mount, rootfs, below),
        };
        mounted.map_err(|fault| {
            let _ = unmount_all(rootfs);
            fault.at(index, mount, &rootfs.join(below))
        })?;
    }
    Ok(())
}

/// Mounts on a path of the host's.
fn mount_one(spec: &Mount, target: &Path) -> Result<(), Fault> {
    let parsed = Parsed::new(&spec.options)?;
    let maps = match (parsed.uidmap, parsed.gidmap) {
        (Some(uids), Some(gids)) => Some(idmap::user_namespace(uids, gids)?),
        (None, None) => None,
        (one, other) => {
            let option = one.or(other).unwrap_or_default().to_owned();
            return Err(Fault::Option(option, "uidmap and gidmap go together"));
        }
    };
    if spec.kind == "overlay" {
        overlay::mount_overlay(&parsed, maps.as_ref(), target)?;
    } else {
        mount_plain(spec, &parsed, target)?;
    }
    change_propagation(&parsed, target)?;
    match maps {
        Some(userns) if spec.kind != "overlay" => idmap::remount(target, target, &userns, false),
        _ => Ok(()),
    }
}

fn mount_plain(spec: &Mount, parsed: &Parsed<'_>, target: &Path) -> Result<(), Fault> {
    let device = parsed.loopback.then(|| loopdev::attach(&spec.source, parsed)).transpose()?;
    let source = device.as_ref().map_or(spec.source.as_str(), |d| d.path.as_str());
    let data: Vec<&str> =
        parsed.data.iter().copied().filter(|o| !(parsed.loopback && *o == "direct-io")).collect();
    mount_at(source, target, &spec.kind, parsed.flags, &data.join(","))?;
    // The kernel ignores read-only on the bind itself.
    if parsed.flags.contains(MsFlags::MS_BIND | MsFlags::MS_RDONLY) {
        mount_at("", target, "", parsed.flags | MsFlags::MS_REMOUNT, "")?;
    }
    Ok(())
}

fn change_propagation(parsed: &Parsed<'_>, target: &Path) -> Result<(), Fault> {
    if parsed.propagation.is_empty() {
        return Ok(());
    }
    mount_at("", target, "", parsed.propagation, "")
}

pub(crate) fn mount_at(
    source: &str,
    target: &Path,
    kind: &str,
    flags: MsFlags,
    data: &str,
) -> Result<(), Fault> {
    fn given(text: &str) -> Option<&str> {
        (!text.is_empty()).then_some(text)
    }
    mount(given(source), target, given(kind), flags, given(data)).map_err(Fault::of("mount"))
}

pub(crate) fn c_path(path: &Path) -> Result<CString, Fault> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Fault::Option(path.display().to_string(), "the path contains NUL"))
}

/// Removes every mount on and below `rootfs`; none is fine. A mount that is
/// still in use is detached, and goes when its last user does.
pub fn unmount_all(rootfs: &Path) -> Result<(), Errno> {
    loop {
        match umount2(rootfs, MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EBUSY) => umount2(rootfs, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH)?,
            // Not a mount point, or not there.
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}
