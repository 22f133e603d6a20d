//! The copies of the event loop: which process's stdio, and what each waits for.

use std::os::fd::AsFd;

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{ProcessKey, Shim, Source};
use crate::stdio::copy::{Copy, Wait};

/// A copy and whose it is.
#[derive(Debug)]
pub(super) struct Copying {
    key: ProcessKey,
    copy: Copy,
    wait: Wait,
}

impl Shim {
    /// Starts copying a process's streams.
    pub fn add_copies(&mut self, key: &ProcessKey, copies: Vec<Copy>) {
        for copy in copies {
            let token = self.token(Source::Copy);
            let copying = Copying { key: key.clone(), copy, wait: Wait::Readable };
            let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
            // A sink or source that epoll can't watch is always ready.
            let _ = self.epoll.add(copying.copy.waits_on(Wait::Readable), event);
            self.copies.insert(token, copying);
        }
    }

    /// Whether output of the process is still being copied.
    pub fn is_draining(&self, key: &ProcessKey) -> bool {
        self.copies.values().any(|c| c.copy.is_output && c.key == *key)
    }

    /// Ends the copies of a process: its input, or everything.
    pub fn stop_copies(&mut self, key: &ProcessKey, only_input: bool) {
        let ended = |c: &Copying| c.key == *key && !(only_input && c.copy.is_output);
        let tokens: Vec<u64> =
            self.copies.iter().filter(|(_, c)| ended(c)).map(|(token, _)| *token).collect();
        for token in tokens {
            self.remove_copy(token);
        }
    }

    fn remove_copy(&mut self, token: u64) -> Option<Copying> {
        self.sources.remove(&token);
        let copying = self.copies.remove(&token)?;
        let _ = self.epoll.delete(copying.copy.waits_on(copying.wait));
        Some(copying)
    }

    pub(super) fn copy(&mut self, token: u64) {
        let Some(copying) = self.copies.get_mut(&token) else { return };
        let wait = copying.copy.step();
        if wait == Wait::Done {
            if let Some(copying) = self.remove_copy(token) {
                let key = copying.key.clone();
                drop(copying);
                if !self.is_draining(&key) {
                    crate::task::lifecycle::drained(self, &key);
                }
            }
        } else if wait != copying.wait {
            let _ = self.epoll.delete(copying.copy.waits_on(copying.wait));
            copying.wait = wait;
            let flag = if wait == Wait::Writable { EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
            let _ = self.epoll.add(copying.copy.waits_on(wait).as_fd(), EpollEvent::new(flag, token));
        }
    }
}
