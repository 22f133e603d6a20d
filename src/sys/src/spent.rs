//! Descriptors that are closed many at a time.

extern crate std;

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use crate::fs::close_range;

/// How many are kept. A limit of open files (RLIMIT_NOFILE) has room for them.
const ROOM: usize = 24;

/// Descriptors that nobody uses any more. Whoever opens a thousand files spends a tenth of that time in close(2).
/// Where they have followed upon each other, as the kernel numbers them, one close_range(2) takes them all.
#[derive(Debug, Default)]
pub struct Spent {
    fds: [i32; ROOM],
    count: usize,
}

impl Spent {
    /// Takes one more, and closes them all when there are enough.
    pub fn add(&mut self, fd: OwnedFd) {
        if self.count == ROOM {
            self.close();
        }
        if let Some(slot) = self.fds.get_mut(self.count) {
            *slot = fd.into_raw_fd();
            self.count += 1;
        }
    }

    /// Closes them.
    pub fn close(&mut self) {
        let fds = self.fds.get(..self.count).unwrap_or_default();
        self.count = 0;
        let (Some(&first), Some(&last)) = (fds.iter().min(), fds.iter().max()) else { return };
        // Distinct numbers, all of them ours: as many as the range has, or there are others in between.
        let whole = usize::try_from(last - first).is_ok_and(|width| width + 1 == fds.len());
        if !whole || close_range(first.unsigned_abs(), last.unsigned_abs()).is_err() {
            // SAFETY: `add` was given the owner of each, and `count` says that they are gone.
            fds.iter().for_each(|&fd| drop(unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, read_dir, read_link};
    use std::os::fd::AsRawFd;
    use std::vec::Vec;

    use super::*;

    /// A file that no other test opens.
    const FILE: &str = "/proc/self/smaps_rollup";

    /// The descriptors of that file.
    fn open() -> Vec<i32> {
        let fds = read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
        let ours = fds.filter(|fd| read_link(fd).is_ok_and(|file| file.ends_with("smaps_rollup")));
        let mut ours: Vec<i32> =
            ours.map(|fd| fd.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect();
        ours.sort_unstable();
        ours
    }

    #[test]
    #[cfg_attr(miri, ignore = "closes descriptors by raw system calls")]
    fn what_is_spent_is_closed_and_nothing_else() {
        let mut spent = Spent::default();
        let mut kept = core::array::from_fn::<_, 3, _>(|_| {
            (1..ROOM).for_each(|_| spent.add(File::open(FILE).unwrap().into()));
            OwnedFd::from(File::open(FILE).unwrap())
        });
        assert!(open().len() > kept.len(), "none is closed before there are many");
        drop(spent);
        kept.sort_by_key(AsRawFd::as_raw_fd);
        assert_eq!(open(), kept.each_ref().map(AsRawFd::as_raw_fd));
    }
}
