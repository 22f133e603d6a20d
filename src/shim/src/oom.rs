//! Watching cgroups for the OOM killer: inotify on `memory.events`.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

#[derive(Debug)]
struct Watched {
    container: String,
    file: PathBuf,
    watch: WatchDescriptor,
    kills: u64,
}

/// The cgroups of the shim's containers. Costs nothing without containers.
#[derive(Debug, Default)]
pub struct OomWatch {
    inotify: Option<Inotify>,
    watched: Vec<Watched>,
}

impl OomWatch {
    /// Watches a container's cgroup. Without a memory controller there is
    /// nothing to watch. Returns whether epoll must learn of the descriptor.
    pub fn add(&mut self, container: &str, cgroup: &Path) -> nix::Result<bool> {
        let file = cgroup.join("memory.events");
        if !file.exists() {
            return Ok(false);
        }
        let new = self.inotify.is_none();
        let inotify = match self.inotify.take() {
            Some(inotify) => self.inotify.insert(inotify),
            None => self.inotify.insert(Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?),
        };
        let watch = inotify.add_watch(&file, AddWatchFlags::IN_MODIFY)?;
        let kills = oom_kills(&file);
        self.watched.push(Watched { container: container.to_owned(), file, watch, kills });
        Ok(new)
    }

    /// For epoll.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// The containers in which something was killed since the last look.
    pub fn readable(&mut self) -> Vec<String> {
        if let Some(inotify) = &self.inotify {
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
        let mut hit = Vec::new();
        for watched in &mut self.watched {
            if watched.look() {
                hit.push(watched.container.clone());
            }
        }
        hit
    }

    /// The last look at a container that has ended; then it is forgotten.
    pub fn finish(&mut self, container: &str) -> bool {
        let Some(at) = self.watched.iter().position(|w| w.container == container) else { return false };
        let mut watched = self.watched.remove(at);
        let hit = watched.look();
        if let Some(inotify) = &self.inotify {
            let _ = inotify.rm_watch(watched.watch);
        }
        hit
    }
}

impl Watched {
    fn look(&mut self) -> bool {
        let kills = oom_kills(&self.file);
        let hit = kills > self.kills;
        self.kills = self.kills.max(kills);
        hit
    }
}

/// `oom_kill` of a `memory.events` file; 0 if it can't be read.
fn oom_kills(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or_default()
}
