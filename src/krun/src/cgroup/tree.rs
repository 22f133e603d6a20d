//! The cgroup's directory: made, checked, populated, removed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, mkdir, unlinkat};
use oci_spec::runtime::LinuxResources;

use super::events::{self, Events};
use super::file::{open_dir, read_short, write_at};
use super::procs::collect_pids;
use super::walk::{Step, walk};
use super::{CgroupError, Driver, Location, controller, resources};

/// How long [`Cgroup::delete`] waits for dying processes.
const DELETE_PATIENCE: Duration = Duration::from_secs(10);

/// How often it tries when nothing lives there, yet the kernel says EBUSY: a
/// sub-cgroup was made meanwhile, or can't be removed.
const DELETE_ROUNDS: usize = 16;

/// A container's cgroup, open.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) location: Location,
    pub(super) dir: OwnedFd,
    /// How many directories at the end of the path this process has made.
    created: usize,
}

/// Directories made so far, removed again if the rest fails.
struct Undo<'a> {
    path: &'a str,
    created: usize,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let mut path = Path::new(self.path);
        for _ in 0..self.created {
            if rmdir(path).is_err() {
                return;
            }
            path = path.parent().unwrap_or(Path::new("/"));
        }
    }
}

impl Cgroup {
    /// Makes the container's cgroup with the cgroupfs driver, with the
    /// controllers that `resources` needs; [`Cgroup::apply`] then sets them.
    /// Without `resources` the default device filter is on it already. Nothing
    /// is left behind on failure.
    /// With the systemd driver use [`Cgroup::start_scope`].
    ///
    /// # Errors
    /// The cgroup has processes, is frozen or threaded, or can't be made.
    /// [`CgroupError::RootlessUnavailable`] means: run without a cgroup.
    pub fn create(location: Location, resources: Option<&LinuxResources>) -> Result<Self, CgroupError> {
        if location.driver == Driver::Disabled {
            return Err(CgroupError::Disabled);
        }
        let full = full_path(&location);
        let created = make(&full).map_err(|errno| not_made(&location, resources, errno))?;
        let mut undo = Undo { path: &full, created };
        let dir = open_dir(&full).map_err(|errno| CgroupError::file("open", &full, errno))?;
        vet(&location, dir.as_fd(), created > 0, resources)?;
        let cgroup = Self { dir, created, location };
        cgroup.enable_controllers(resources);
        cgroup.guard_devices(resources)?;
        undo.created = 0;
        Ok(cgroup)
    }

    /// A container without `linux.resources` may use the default devices only:
    /// nobody calls [`Cgroup::apply`] for it.
    pub(super) fn guard_devices(&self, resources: Option<&LinuxResources>) -> Result<(), CgroupError> {
        match resources {
            Some(_) => Ok(()),
            None => self.set_devices(&LinuxResources::default()),
        }
    }

    /// Opens the existing cgroup of a container.
    ///
    /// # Errors
    /// It is gone (ENOENT), or the container never had one.
    pub fn open(location: Location) -> Result<Self, CgroupError> {
        if location.driver == Driver::Disabled {
            return Err(CgroupError::Disabled);
        }
        let full = full_path(&location);
        let dir = open_dir(&full).map_err(|errno| CgroupError::file("open", &full, errno))?;
        Ok(Self { location, dir, created: 0 })
    }

    /// The directory, for CLONE_INTO_CGROUP.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Enables what `resources` needs, and the standard controllers.
    pub(super) fn enable_controllers(&self, resources: Option<&LinuxResources>) {
        let extra = resources.map(resources::controllers).unwrap_or_default();
        controller::enable(&self.location, self.dir(), &extra);
    }

    /// Whether this process made the directory, so that it is as the kernel
    /// makes them.
    pub(super) fn is_fresh(&self) -> bool {
        self.created > 0
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Gives the cgroup to the owner of a user namespace, so that a cgroup
    /// manager inside can make sub-cgroups: the directory and the files that
    /// /sys/kernel/cgroup/delegate lists (cgroups(7), "Delegation").
    ///
    /// # Errors
    /// The errno of fchownat(2); files that this cgroup lacks are skipped.
    pub fn chown(&self, uid: u32, gid: Option<u32>) -> Result<(), CgroupError> {
        let list = std::fs::read_to_string("/sys/kernel/cgroup/delegate");
        let fallback = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";
        let list = list.as_deref().unwrap_or(fallback);
        for file in std::iter::once(".").chain(list.lines()) {
            let (uid, gid) = (Uid::from_raw(uid), gid.map(Gid::from_raw));
            match fchownat(self.dir(), file, Some(uid), gid, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(self.error("chown", file, errno)),
            }
        }
        Ok(())
    }

    /// Removes the cgroup and its sub-cgroups, waiting for processes that are
    /// about to die; they must have been killed. With the systemd driver the
    /// unit is stopped too. A cgroup that is gone is fine.
    ///
    /// # Errors
    /// Processes remain after ten seconds, or the kernel refuses.
    pub fn delete(self) -> Result<(), CgroupError> {
        delete(&self.location)
    }

    /// Undoes [`Cgroup::create`] when the container could not be started:
    /// removes the cgroup and the parents that were made for it.
    pub fn discard(self) {
        let full = full_path(&self.location);
        if delete(&self.location).is_ok() && self.created > 1 {
            let parent = Path::new(&full).parent().unwrap_or(Path::new("/"));
            drop(Undo { path: &parent.to_string_lossy(), created: self.created - 1 });
        }
    }

    /// An error about one of the cgroup's files.
    pub(super) fn error(&self, call: &'static str, file: &str, errno: Errno) -> CgroupError {
        CgroupError::file(call, self.location.dir().join(file), errno)
    }
}

/// Removes the cgroup at `location`; see [`Cgroup::delete`].
///
/// # Errors
/// As [`Cgroup::delete`].
pub fn delete(location: &Location) -> Result<(), CgroupError> {
    if location.driver == Driver::Disabled {
        return Ok(());
    }
    if let Some(scope) = &location.scope {
        super::systemd::stop(scope)?;
    }
    let full = full_path(location);
    let path = Path::new(&full);
    let refused = |errno| CgroupError::file("rmdir", path, errno);
    let deadline = Instant::now() + DELETE_PATIENCE;
    for _ in 0..DELETE_ROUNDS {
        match rmdir(path) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EBUSY) => {}
            Err(errno) => return Err(refused(errno)),
        }
        let Ok(dir) = open_dir(&full) else { continue };
        // The container is over. What is left is a process that was to join it, and that it may have frozen.
        let _ = write_at(dir.as_fd(), "cgroup.kill", b"1");
        let emptied = events::wait(dir.as_fd(), deadline, |e| !e.populated)
            .map_err(|errno| CgroupError::file("poll", path.join("cgroup.events"), errno))?;
        if !emptied {
            return Err(CgroupError::Timeout {
                dir: path.into(),
                state: "empty",
                seconds: DELETE_PATIENCE.as_secs(),
            });
        }
        remove_children(dir.as_fd());
    }
    rmdir(path).map_err(refused)
}

/// Removes the sub-cgroups of `dir` that have no processes, deepest first. What
/// stays shows when `dir` itself can't be removed.
fn remove_children(dir: BorrowedFd<'_>) {
    let _ = walk(dir, |step| {
        if let Step::Leave(parent, name) | Step::Shut(parent, name, _) = step {
            let _ = unlinkat(parent, name, UnlinkatFlags::RemoveDir);
        }
        Ok(())
    });
}

/// The cgroup's directory as a string, for system calls without allocation.
pub(super) fn full_path(location: &Location) -> String {
    let mut full = location.mount.to_string_lossy().into_owned();
    full.push_str(&location.path);
    full
}

/// mkdir(2) of the directory, and of its parents where they are missing;
/// returns how many were made: 0 if it existed.
fn make(full: &str) -> Result<usize, Errno> {
    match mkdir(full, Mode::from_bits_truncate(0o755)) {
        Ok(()) => Ok(1),
        Err(Errno::EEXIST) => Ok(0),
        Err(Errno::ENOENT) => {
            let (parent, _) = full.rsplit_once('/').ok_or(Errno::ENOENT)?;
            let made = make(parent)?;
            let mut undo = Undo { path: parent, created: made };
            let own = mkdir(full, Mode::from_bits_truncate(0o755));
            match own {
                Err(errno) if errno != Errno::EEXIST => return Err(errno),
                _ => undo.created = 0,
            }
            Ok(if own.is_ok() { made + 1 } else { 0 })
        }
        Err(errno) => Err(errno),
    }
}

fn rmdir(path: &Path) -> Result<(), Errno> {
    unlinkat(nix::fcntl::AT_FDCWD, path, UnlinkatFlags::RemoveDir)
}

/// The error for a cgroup that could not be made; rootless containers get a
/// special one.
fn not_made(location: &Location, resources: Option<&LinuxResources>, errno: Errno) -> CgroupError {
    let path = location.dir();
    let denied = matches!(errno, Errno::EACCES | Errno::EPERM | Errno::EROFS);
    if !(location.optional && denied) {
        return CgroupError::file("mkdir", path, errno);
    }
    if resources.is_some_and(|r| !resources::controllers(r).is_empty()) {
        return CgroupError::RootlessLimits { path, source: errno };
    }
    CgroupError::RootlessUnavailable { path }
}

/// Refuses a cgroup that exists and that the container must not get.
pub(super) fn vet_existing(
    location: &Location,
    resources: Option<&LinuxResources>,
) -> Result<(), CgroupError> {
    match open_dir(&full_path(location)) {
        Ok(dir) => vet(location, dir.as_fd(), false, resources),
        Err(_) => Ok(()),
    }
}

/// Refuses a cgroup in which the container must not or could not run.
fn vet(
    location: &Location,
    dir: BorrowedFd<'_>,
    fresh: bool,
    resources: Option<&LinuxResources>,
) -> Result<(), CgroupError> {
    // A fresh child of the root can be neither frozen nor threaded.
    if fresh && !location.path.trim_start_matches('/').contains('/') {
        return Ok(());
    }
    let path = || location.dir();
    let events =
        Events::read(dir).map_err(|errno| CgroupError::file("read", path().join("cgroup.events"), errno))?;
    if events.populated {
        let mut pids = Vec::new();
        let _ = collect_pids(dir, true, &mut pids);
        if !pids.is_empty() {
            return Err(CgroupError::NotEmpty { path: path(), count: pids.len() });
        }
    }
    if events.frozen || frozen_self(dir) {
        return Err(CgroupError::Frozen(path()));
    }
    let mut buf = [0; 32];
    let kind = read_short(dir, "cgroup.type", &mut buf).unwrap_or("domain");
    if kind == "domain" {
        return Ok(());
    }
    if resources.is_some_and(resources::needs_domain) {
        return Err(CgroupError::NotDomain { path: path(), kind: kind.to_owned() });
    }
    if kind == "domain invalid" {
        write_at(dir, "cgroup.type", b"threaded")
            .map_err(|errno| CgroupError::file("write", path().join("cgroup.type"), errno))?;
    }
    Ok(())
}

/// An empty cgroup told to freeze may not say so in cgroup.events.
fn frozen_self(dir: BorrowedFd<'_>) -> bool {
    let mut buf = [0; 8];
    read_short(dir, "cgroup.freeze", &mut buf) == Ok("1")
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
