//! The processes of a cgroup: put in, listed, signalled.

use std::collections::HashSet;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::events::Events;
use super::file::{read_at, write_at};
use super::walk::{Step, is_gone, walk};
use super::{Cgroup, CgroupError};
use crate::pidfd::PidFd;

/// How many processes are open at a time; RLIMIT_NOFILE is often 1024.
const PIDFDS: usize = 64;

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
    if !recursive {
        pids.extend(list(dir, Threads::Listed)?);
        return Ok(());
    }
    each_list(dir, |_, _, listed| {
        pids.extend(listed);
        Ok(())
    })
}

/// Sends `signal` to every process of the cgroup and below. Best done while they
/// are frozen, so that none forks away.
///
/// # Errors
/// The first that is not about a process that has ended; the others get the
/// signal all the same.
pub(super) fn signal_all(dir: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let mut outcome = Ok(());
    each_list(dir, |dir, threads, pids| {
        for some in pids.chunks(PIDFDS) {
            outcome = outcome.and(signal_listed(dir, threads, some, signal));
        }
        Ok(())
    })?;
    outcome
}

/// Sends `signal` to those of `pids` that are in the cgroup `dir`. A number that
/// was listed may be another process's by now, outside of the cgroup. A pidfd
/// stays with one process: if the number is listed once more after the pidfd was
/// opened, then the pidfd's process is in the cgroup, or it has ended and gets
/// no signal. (/proc/PID/cgroup would tell the same, but has no room for the path
/// of a deep cgroup.)
fn signal_listed(dir: BorrowedFd<'_>, threads: Threads, pids: &[i32], signal: i32) -> Result<(), Errno> {
    let mut open = Vec::with_capacity(pids.len());
    for &pid in pids.iter().filter(|&&pid| pid > 0) {
        match PidFd::open(pid) {
            Ok(pidfd) => open.push((pid, pidfd)),
            // It has ended, or it is a thread whose process is listed as well.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    let still: HashSet<i32> = list(dir, threads)?.into_iter().collect();
    let mut outcome = Ok(());
    for (_, pidfd) in open.iter().filter(|(pid, _)| still.contains(pid)) {
        match pidfd.send_signal(signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => outcome = outcome.and(Err(errno)),
        }
    }
    outcome
}

/// Calls `look` with each cgroup of the tree and the processes that it lists.
fn each_list(
    top: BorrowedFd<'_>,
    mut look: impl FnMut(BorrowedFd<'_>, Threads, Vec<i32>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut threads = None;
    walk(top, |step| match step {
        Step::Enter(dir) => {
            let threads = *threads.get_or_insert_with(|| Threads::of(dir));
            look(dir, threads, list(dir, threads)?)
        }
        Step::Leave(..) => Ok(()),
        Step::Shut(_, _, errno) => Err(errno),
    })
}

/// What a threaded cgroup is asked for (cgroups(7), "Thread mode"): its
/// cgroup.procs can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    /// The tree is a domain: a cgroup above lists the processes.
    Left,
    /// The whole tree is threaded: the main thread stands for its process.
    Listed,
}

impl Threads {
    fn of(top: BorrowedFd<'_>) -> Self {
        match read_at(top, "cgroup.procs") {
            Err(Errno::EOPNOTSUPP) => Self::Listed,
            _ => Self::Left,
        }
    }
}

/// What the cgroup `dir` lists; nothing if it went away, and its processes with it.
fn list(dir: BorrowedFd<'_>, threads: Threads) -> Result<Vec<i32>, Errno> {
    let text = match read_at(dir, "cgroup.procs") {
        Err(errno) if is_gone(errno) => return Ok(Vec::new()),
        Err(Errno::EOPNOTSUPP) if threads == Threads::Left => return Ok(Vec::new()),
        Err(Errno::EOPNOTSUPP) => read_at(dir, "cgroup.threads")?,
        other => other?,
    };
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Command};

    use super::*;
    use crate::cgroup::{Driver, Location, mountpoint};

    fn cgroup(name: &str) -> Cgroup {
        let path = format!("/krun-procs-{}-{name}", std::process::id());
        let mount = mountpoint().unwrap();
        let driver = Driver::Cgroupfs;
        Cgroup::create(Location { driver, path, mount, scope: None, optional: false }, None).unwrap()
    }

    fn sleeper() -> (Child, i32) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        (child, pid)
    }

    /// A list is old when it is used: what was a process of the cgroup may be another one's number.
    #[test]
    fn a_listed_number_that_is_somebody_else_s_gets_no_signal() {
        let cgroup = cgroup("reused");
        let ((mut inside, in_pid), (mut outside, out_pid)) = (sleeper(), sleeper());
        cgroup.add_pid(None, in_pid).unwrap();
        let signal = nix::libc::SIGTERM;
        signal_listed(cgroup.dir(), Threads::Left, &[out_pid, in_pid, 0, i32::MAX], signal).unwrap();
        assert_eq!(inside.wait().unwrap().signal(), Some(signal));
        assert!(outside.try_wait().unwrap().is_none());
        // Signals to one process come in the order of their numbers.
        outside.kill().unwrap();
        assert_eq!(outside.wait().unwrap().signal(), Some(nix::libc::SIGKILL));
        cgroup.delete().unwrap();
    }

    /// More processes than are open at a time, in cgroups of any name, and threaded ones.
    #[test]
    fn every_process_gets_the_signal_once() {
        let cgroup = cgroup("all");
        let dir = cgroup.location().dir();
        let odd: std::path::PathBuf = {
            use std::os::unix::ffi::OsStrExt as _;
            dir.join(std::ffi::OsStr::from_bytes(b"a b\xff"))
        };
        std::fs::create_dir_all(dir.join("domain/threaded")).unwrap();
        std::fs::create_dir(&odd).unwrap();
        std::fs::write(dir.join("domain/threaded/cgroup.type"), "threaded").unwrap();
        let mut children: Vec<_> = (0..PIDFDS + 2).map(|_| sleeper()).collect();
        let places = [dir.join("domain/threaded"), odd];
        for (n, (_, pid)) in children.iter().enumerate() {
            let place = places.get(n).unwrap_or(&dir);
            std::fs::write(place.join("cgroup.procs"), pid.to_string()).unwrap();
        }
        let mut pids = cgroup.pids(true).unwrap();
        let mut wanted: Vec<i32> = children.iter().map(|(_, pid)| *pid).collect();
        pids.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(pids, wanted);
        cgroup.signal_frozen(nix::libc::SIGTERM).unwrap();
        for (child, _) in &mut children {
            assert_eq!(child.wait().unwrap().signal(), Some(nix::libc::SIGTERM));
        }
        cgroup.delete().unwrap();
    }
}
