//! Copying one stream, step by step, as the event loop finds time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{read, write};

/// Bytes per read: what a pty returns at once, four times.
const CHUNK: usize = 16 << 10;
/// Reads per step: a flooding container gets its turn, not the loop.
const TURNS: usize = 8;

/// What a copy waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// More from the source.
    Readable,
    /// Room in the sink.
    Writable,
    /// Nothing: the source ended or the sink is gone.
    Done,
}

/// One direction of one stream.
#[derive(Debug)]
pub struct Copy {
    from: OwnedFd,
    to: OwnedFd,
    /// Read but not yet written; at most one chunk.
    rest: Vec<u8>,
    /// Whether it carries the process's output, which is drained after its
    /// exit; input ends with the process.
    pub is_output: bool,
}

impl Copy {
    /// Client to process.
    pub fn input(from: OwnedFd, to: OwnedFd) -> Self {
        Self { from, to, rest: Vec::new(), is_output: false }
    }

    /// Process to client.
    pub fn output(from: OwnedFd, to: OwnedFd) -> Self {
        Self { from, to, rest: Vec::new(), is_output: true }
    }

    /// The descriptor that [`Wait`] is about.
    pub fn waits_on(&self, wait: Wait) -> BorrowedFd<'_> {
        if wait == Wait::Writable { self.to.as_fd() } else { self.from.as_fd() }
    }

    /// Copies what can be copied without waiting.
    pub fn step(&mut self) -> Wait {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            if let Some(wait) = self.put(&rest) {
                return wait;
            }
        }
        let mut chunk = [0u8; CHUNK];
        for _ in 0..TURNS {
            let len = match read(&self.from, &mut chunk) {
                // EIO is how a pty's master learns that the last slave is closed.
                Ok(0) | Err(Errno::EIO) => return Wait::Done,
                Ok(len) => len,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Wait::Readable,
                Err(_) => return Wait::Done,
            };
            if let Some(wait) = self.put(&chunk[..len]) {
                return wait;
            }
        }
        Wait::Readable
    }

    /// Writes all, or says what to wait for and keeps the rest.
    fn put(&mut self, mut bytes: &[u8]) -> Option<Wait> {
        while !bytes.is_empty() {
            match write(&self.to, bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.rest = bytes.to_vec();
                    return Some(Wait::Writable);
                }
                Err(_) => return Some(Wait::Done),
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;

    #[test]
    fn everything_arrives_through_a_sink_that_is_often_full() {
        let (from, source) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        let (drain, to) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        let sent: Vec<u8> = (0..400_000u32).map(|i| (i % 251) as u8).collect();
        let mut got = Vec::new();
        let mut copy = Copy::output(from, to);
        let mut source = Some(source);
        let mut at = 0;
        let mut full = 0;
        loop {
            if let Some(end) = &source {
                match write(end, &sent[at..]) {
                    Ok(len) => at += len,
                    Err(Errno::EAGAIN) => {}
                    Err(e) => panic!("{e}"),
                }
                if at == sent.len() {
                    source = None;
                }
            }
            let wait = copy.step();
            full += usize::from(wait == Wait::Writable);
            let mut buf = [0u8; 4096];
            if let Ok(len) = read(&drain, &mut buf) {
                got.extend_from_slice(&buf[..len]);
            } else if wait == Wait::Done {
                break;
            }
        }
        assert!(full > 0);
        assert!(got == sent);
    }
}
