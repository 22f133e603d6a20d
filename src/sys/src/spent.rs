//! Descriptors that are closed many at a time.

extern crate std;

use std::os::fd::{IntoRawFd, OwnedFd};

use crate::Fd;
use crate::fs::{close, close_range};

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
        if !whole || close_range(first.unsigned_abs(), last.unsigned_abs(), 0).is_err() {
            fds.iter().for_each(|&fd| close(Fd(fd)));
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
    use std::fs::{File, read_link};
    use std::os::fd::{AsRawFd, RawFd};
    use std::vec::Vec;

    use super::*;

    /// A file that no other test opens, so that its number tells whether it is still open.
    fn file() -> OwnedFd {
        File::open("/proc/self/cmdline").unwrap().into()
    }

    fn is_open(fd: RawFd) -> bool {
        read_link(std::format!("/proc/self/fd/{fd}")).is_ok_and(|file| file.ends_with("cmdline"))
    }

    #[test]
    fn what_is_spent_is_closed_and_nothing_else() {
        let mut spent = Spent::default();
        let mut fds = Vec::new();
        let kept = core::array::from_fn::<_, 3, _>(|_| {
            for _ in 0..ROOM - 1 {
                let fd = file();
                fds.push(fd.as_raw_fd());
                spent.add(fd);
            }
            file()
        });
        assert!(fds.last().is_some_and(|&fd| is_open(fd)));
        drop(spent);
        assert!(!fds.iter().any(|&fd| is_open(fd)), "{fds:?}");
        assert!(kept.iter().all(|fd| is_open(fd.as_raw_fd())));
    }
}
