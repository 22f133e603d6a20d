//! One client's connection: frames in, frames out, never waiting.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::proto::ttrpc::{self, HEADER, Header, MAX_PAYLOAD};

/// Bytes asked of the socket at once.
const CHUNK: usize = 4096;

/// The peer is gone, or sent what no peer sends.
#[derive(Debug, Clone, Copy)]
pub struct Closed;

/// A ttrpc connection, either side of it.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// One whole frame.
#[derive(Debug)]
pub struct Frame {
    /// The call it belongs to.
    pub stream: u32,
    /// Request or response.
    pub kind: u8,
    /// The message.
    pub payload: Vec<u8>,
}

impl Connection {
    /// Takes over a connected socket.
    pub fn new(stream: UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, input: Vec::new(), output: Vec::new() })
    }

    /// For epoll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether output waits for room.
    pub fn is_blocked(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads what has come and returns the whole frames in it.
    pub fn receive(&mut self) -> Result<Vec<Frame>, Closed> {
        let mut chunk = [0u8; CHUNK];
        let mut ended = false;
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(len) => {
                    self.input.extend_from_slice(&chunk[..len]);
                    if len < CHUNK {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Closed),
            }
        }
        let frames = self.take_frames()?;
        if ended && frames.is_empty() { Err(Closed) } else { Ok(frames) }
    }

    fn take_frames(&mut self) -> Result<Vec<Frame>, Closed> {
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(header) = Header::parse(&self.input[at..]) {
            if header.len > MAX_PAYLOAD {
                return Err(Closed);
            }
            let body = at + HEADER;
            let Some(payload) = self.input.get(body..body + header.len) else { break };
            frames.push(Frame { stream: header.stream, kind: header.kind, payload: payload.to_vec() });
            at = body + header.len;
        }
        self.input.drain(..at);
        if self.input.is_empty() {
            // Idle connections keep no memory.
            self.input = Vec::new();
        }
        Ok(frames)
    }

    /// Queues a frame and writes what fits.
    pub fn send(&mut self, stream: u32, kind: u8, payload: &[u8]) -> Result<(), Closed> {
        ttrpc::frame(&mut self.output, stream, kind, payload);
        self.flush()
    }

    /// Writes what fits.
    pub fn flush(&mut self) -> Result<(), Closed> {
        let mut at = 0;
        while at < self.output.len() {
            match self.stream.write(&self.output[at..]) {
                Ok(len) => at += len,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Closed),
            }
        }
        if at == self.output.len() {
            self.output = Vec::new();
        } else {
            self.output.drain(..at);
        }
        Ok(())
    }
}
