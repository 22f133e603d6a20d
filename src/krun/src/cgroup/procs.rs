//! The processes of a cgroup: put in, listed, signalled.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::events::Events;
use super::file::{open_at, read_at, write_at};
use super::tree::children;
use super::{Cgroup, CgroupError};

impl Cgroup {
    /// Opens the cgroup that the process `pid` is in: where `exec` goes when
    /// the container's own cgroup takes no processes (EBUSY: a manager inside
    /// has moved them below it and enabled controllers).
    ///
    /// # Errors
    /// The process is gone, or is outside of this cgroup.
    pub fn of_process(&self, pid: i32) -> Result<Self, CgroupError> {
        let file = format!("/proc/{pid}/cgroup");
        let text =
            read_at(AT_FDCWD, file.as_str()).map_err(|errno| CgroupError::file("read", &file, errno))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
        match path.strip_prefix(self.location.path.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {}
            _ => return Err(CgroupError::SubCgroup(path.to_owned())),
        }
        let mut location = self.location.clone();
        path.clone_into(&mut location.path);
        Self::open(location)
    }

    /// Moves a process into the cgroup, or into `sub` below it (`exec
    /// --cgroup`).
    ///
    /// # Errors
    /// `bad sub cgroup path` if `sub` leaves the container's cgroup, else what
    /// the kernel says: EBUSY when domain controllers are enabled below.
    pub fn add_pid(&self, sub: Option<&str>, pid: i32) -> Result<(), CgroupError> {
        let number = pid.to_string();
        let sub = sub.map_or("", |s| s.trim_matches('/'));
        if sub.split('/').any(|part| part == "..") {
            return Err(CgroupError::SubCgroup(sub.to_owned()));
        }
        let file = match sub {
            "" => "cgroup.procs".to_owned(),
            sub => format!("{sub}/cgroup.procs"),
        };
        match (write_at(self.dir(), &file, number.as_bytes()), &self.location.scope) {
            (Ok(()), _) => Ok(()),
            // Out of a cgroup that isn't the user's only systemd may move it.
            (Err(Errno::EACCES), Some(scope)) => {
                let below = self.location.path.split_once(scope.unit.as_str()).map_or("", |(_, below)| below);
                Ok(super::systemd::attach(scope, format!("{below}/{sub}").trim_matches('/'), pid)?)
            }
            (Err(source), _) => {
                let path = self.location.dir().join(file);
                Err(CgroupError::Join { pid, path, source })
            }
        }
    }

    /// The processes in the cgroup, with those of sub-cgroups if `recursive`,
    /// as this pid namespace numbers them.
    ///
    /// # Errors
    /// The cgroup can't be read; one removed meanwhile counts as empty.
    pub fn pids(&self, recursive: bool) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        collect_pids(self.dir(), recursive, &mut pids)
            .map_err(|errno| self.error("read", "cgroup.procs", errno))?;
        Ok(pids)
    }

    /// Whether no process, zombies aside, is in the cgroup or below it.
    ///
    /// # Errors
    /// cgroup.events can't be read.
    pub fn is_empty(&self) -> Result<bool, CgroupError> {
        Ok(!Events::read(self.dir()).map_err(|errno| self.error("read", "cgroup.events", errno))?.populated)
    }
}

/// Adds the processes of `dir` to `pids`.
pub(super) fn collect_pids(dir: BorrowedFd<'_>, recursive: bool, pids: &mut Vec<i32>) -> Result<(), Errno> {
    let text = match read_at(dir, "cgroup.procs") {
        // The cgroup went away while we read; so did its processes.
        Err(Errno::ENODEV | Errno::ENOENT) => return Ok(()),
        // A threaded cgroup lists threads only.
        Err(Errno::EOPNOTSUPP) => read_at(dir, "cgroup.threads")?,
        other => other?,
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    if recursive {
        for name in children(dir)? {
            if let Ok(child) = open_at(dir, name.as_str(), OFlag::O_DIRECTORY) {
                collect_pids(child.as_fd(), true, pids)?;
            }
        }
    }
    Ok(())
}

/// Sends `signal` to every process of the cgroup one by one.
pub(super) fn signal_all(dir: BorrowedFd<'_>, signal: Signal) -> Result<usize, Errno> {
    let mut pids = Vec::new();
    collect_pids(dir, true, &mut pids)?;
    for pid in pids.iter().filter(|&&pid| pid > 0) {
        match kill(Pid::from_raw(*pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(pids.len())
}
