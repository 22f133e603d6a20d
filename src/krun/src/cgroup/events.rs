//! cgroup.events, and what it reports: freezing, killing, becoming empty.
//! Waits poll(2) for the kernel's notification; nothing sleeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use krun_sys::spent::Spent;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::file::{open_at, open_dir, read_at, read_once, read_short, write_at};
use super::procs::signal_all;
use super::{Cgroup, CgroupError, Driver, Location};

/// How long freezing may take: a process in uninterruptible sleep freezes
/// only when it wakes.
const FREEZE_PATIENCE: Duration = Duration::from_secs(10);

/// The content of cgroup.events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// A live process is in the cgroup or below it.
    pub populated: bool,
    /// All processes are frozen, by this cgroup or an ancestor (Linux 5.2).
    pub frozen: bool,
}

impl Events {
    pub(super) fn parse(text: &str) -> Self {
        let set = |key: &str| {
            text.lines().filter_map(|line| line.split_once(' ')).any(|(k, v)| k == key && v == "1")
        };
        Self { populated: set("populated"), frozen: set("frozen") }
    }

    /// Reads the events of the cgroup `dir`. One that has been removed is
    /// neither populated nor frozen.
    ///
    /// # Errors
    /// The errno of openat(2) or read(2).
    pub fn read(dir: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut buf = [0; 128];
        match read_short(dir, "cgroup.events", &mut buf) {
            Ok(text) => Ok(Self::parse(text)),
            Err(Errno::ENODEV | Errno::ENOENT) => Ok(Self::default()),
            Err(errno) => Err(errno),
        }
    }
}

/// Waits until `done` holds for the events of `dir`; false at the deadline.
pub(super) fn wait(
    dir: BorrowedFd<'_>,
    deadline: Instant,
    done: impl Fn(Events) -> bool,
) -> Result<bool, Errno> {
    let file = match open_at(dir, "cgroup.events", OFlag::O_RDONLY) {
        Err(Errno::ENODEV | Errno::ENOENT) => return Ok(done(Events::default())),
        other => other?,
    };
    loop {
        // Reading arms the notification: a change from here on ends the poll.
        let mut buf = [0; 128];
        let events = match nix::sys::uio::pread(file.as_fd(), &mut buf, 0) {
            Ok(len) => {
                let bytes = buf.get(..len).unwrap_or_default();
                Events::parse(std::str::from_utf8(bytes).unwrap_or_default())
            }
            Err(Errno::EINTR) => continue,
            Err(Errno::ENODEV) => Events::default(),
            Err(errno) => return Err(errno),
        };
        if done(events) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let millis = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLPRI)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether the container with this cgroup is paused: the cgroup was told to
/// freeze. One that is gone, or that it never had, is not.
///
/// # Errors
/// cgroup.freeze can't be read; before Linux 5.2 nothing is ever paused.
pub fn is_frozen(location: &Location) -> Result<bool, CgroupError> {
    if location.driver == Driver::Disabled {
        return Ok(false);
    }
    let file = format!("{}{}/cgroup.freeze", location.mount.display(), location.path);
    read_frozen(AT_FDCWD, &file, drop).map_err(|errno| CgroupError::file("read", file, errno))
}

/// `close` gets the file when it has been read.
fn read_frozen(dir: BorrowedFd<'_>, file: &str, close: impl FnOnce(OwnedFd)) -> Result<bool, Errno> {
    let mut buf = [0; 8];
    let read = open_at(dir, file, OFlag::O_RDONLY).and_then(|file| {
        let len = read_once(file.as_fd(), &mut buf)?;
        close(file);
        Ok(len)
    });
    match read {
        Ok(len) => Ok(buf.get(..len).unwrap_or_default().trim_ascii_end() == b"1"),
        Err(Errno::ENOENT | Errno::ENODEV) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Asks about one cgroup after another. Many have the same parent, which stays
/// open until one has not, so that its path is walked once.
#[derive(Debug, Default)]
pub struct Freezers {
    parent: Option<(PathBuf, String, OwnedFd)>,
}

impl Freezers {
    /// [`is_frozen`]; the file joins those that are `spent`.
    ///
    /// # Errors
    /// As there.
    pub fn is_frozen(&mut self, location: &Location, spent: &mut Spent) -> Result<bool, CgroupError> {
        if location.driver == Driver::Disabled {
            return Ok(false);
        }
        let (above, name) = location.path.rsplit_once('/').unwrap_or(("", &location.path));
        let known = self
            .parent
            .take()
            .filter(|(mount, path, _)| mount.as_os_str() == location.mount.as_os_str() && path == above);
        let parent = match known {
            Some(parent) => parent,
            // Where it can't be opened, the error is told of the cgroup itself.
            None => match open_dir(&format!("{}{above}", location.mount.display())) {
                Ok(dir) => (location.mount.clone(), above.to_owned(), dir),
                Err(_) => return is_frozen(location),
            },
        };
        let (_, _, dir) = self.parent.insert(parent);
        read_frozen(dir.as_fd(), &format!("./{name}/cgroup.freeze"), |file| spent.add(file))
            .map_err(|errno| CgroupError::file("read", location.dir().join("cgroup.freeze"), errno))
    }
}

impl Cgroup {
    /// The state of cgroup.events.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn events(&self) -> Result<Events, CgroupError> {
        Events::read(self.dir()).map_err(|errno| self.error("read", "cgroup.events", errno))
    }

    /// Whether the container is paused: the cgroup was told to freeze.
    ///
    /// # Errors
    /// cgroup.freeze can't be read; before Linux 5.2 nothing is ever paused.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        is_frozen(&self.location)
    }

    /// Stops all processes of the cgroup and waits until they stand still
    /// (Linux 5.2). Thawed again if that takes longer than ten seconds.
    ///
    /// # Errors
    /// The kernel has no cgroup.freeze, or a process can't be stopped.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", "1")?;
        let result = self.wait("frozen", FREEZE_PATIENCE, |e| e.frozen);
        if result.is_err() {
            let _ = self.write("cgroup.freeze", "0");
        }
        result
    }

    /// Lets the processes run again and waits until they may.
    ///
    /// # Errors
    /// As [`Cgroup::freeze`]; an ancestor may be frozen too.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", "0")?;
        self.wait("thawed", FREEZE_PATIENCE, |e| !e.frozen)
    }

    /// SIGKILL to every process of the cgroup and below: one write to
    /// cgroup.kill (Linux 5.14), which no fork can escape; before that, freeze
    /// and kill one by one.
    ///
    /// # Errors
    /// The errno of the write or of pidfd_send_signal(2). A cgroup that is gone is fine.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        match write_at(self.dir(), "cgroup.kill", b"1") {
            Ok(()) | Err(Errno::ENODEV) => Ok(()),
            // EOPNOTSUPP: a threaded cgroup.
            Err(Errno::ENOENT | Errno::EOPNOTSUPP) => self.signal_frozen(nix::libc::SIGKILL),
            Err(errno) => Err(self.error("write", "cgroup.kill", errno)),
        }
    }

    /// Any signal to every process of the cgroup and below, while they are
    /// frozen so that none forks away.
    ///
    /// # Errors
    /// The errno of pidfd_send_signal(2).
    pub fn signal_frozen(&self, signal: i32) -> Result<(), CgroupError> {
        let paused = self.is_frozen()?;
        let stopped = !paused && self.freeze().is_ok();
        let sent = signal_all(self.dir(), signal)
            .map_err(|errno| self.error("pidfd_send_signal", "cgroup.procs", errno));
        if stopped || (paused && signal == nix::libc::SIGKILL) {
            let _ = self.write("cgroup.freeze", "0");
        }
        sent
    }

    /// Waits until no live process is left.
    ///
    /// # Errors
    /// [`CgroupError::Timeout`], or cgroup.events can't be read.
    pub fn wait_empty(&self, timeout: Duration) -> Result<(), CgroupError> {
        self.wait("empty", timeout, |e| !e.populated)
    }

    /// How many processes the kernel's OOM killer took from this cgroup and
    /// those below: `oom_kill` of memory.events. 0 without a memory controller.
    ///
    /// # Errors
    /// The file is there but can't be read.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let text = match read_at(self.dir(), "memory.events") {
            Err(Errno::ENOENT | Errno::ENODEV) => return Ok(0),
            other => other.map_err(|errno| self.error("read", "memory.events", errno))?,
        };
        let value = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(value.and_then(|v| v.parse().ok()).unwrap_or(0))
    }

    fn write(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        write_at(self.dir(), file, value.as_bytes()).map_err(|errno| self.error("write", file, errno))
    }

    fn wait(
        &self,
        state: &'static str,
        patience: Duration,
        done: impl Fn(Events) -> bool,
    ) -> Result<(), CgroupError> {
        match wait(self.dir(), Instant::now() + patience, done) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(CgroupError::Timeout { dir: self.location().dir(), state, seconds: patience.as_secs() })
            }
            Err(errno) => Err(self.error("poll", "cgroup.events", errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_are_parsed() {
        let both = Events { populated: true, frozen: true };
        assert_eq!(Events::parse("populated 1\nfrozen 1\n"), both);
        assert_eq!(Events::parse("populated 0\nfrozen 0\n"), Events::default());
        assert!(!Events::parse("populated 1\n").frozen);
    }
}
