//! A ttrpc client, and a server for the shim's events: containerd's two sides.

use crate::wire::{Message, Out};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A refusal: the gRPC code and the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub u64, pub String);

pub const INVALID_ARGUMENT: u64 = 3;
pub const NOT_FOUND: u64 = 5;
pub const ALREADY_EXISTS: u64 = 6;
pub const FAILED_PRECONDITION: u64 = 9;
pub const UNIMPLEMENTED: u64 = 12;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    next: u32,
    early: BTreeMap<u32, Result<Message, Refused>>,
    pub service: &'static str,
}

fn read_frame(stream: &mut UnixStream) -> Option<(u32, u8, Vec<u8>)> {
    let mut head = [0u8; 10];
    stream.read_exact(&mut head).ok()?;
    let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let id = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let mut body = vec![0; usize::try_from(len).unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some((id, head[8], body))
}

fn write_frame(stream: &mut UnixStream, id: u32, kind: u8, body: &[u8]) -> std::io::Result<()> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(&[kind, 0]);
    frame.extend_from_slice(body);
    stream.write_all(&frame)
}

impl Client {
    pub fn connect(path: &str) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream, next: 1, early: BTreeMap::new(), service: "containerd.task.v2.Task" }
    }

    /// Sends a request and returns its number.
    pub fn send(&mut self, method: &str, payload: Out) -> u32 {
        let id = self.next;
        self.next += 2;
        let request = Out::new().bytes(1, self.service).bytes(2, method).bytes(3, payload.done());
        write_frame(&mut self.stream, id, 1, &request.done()).unwrap();
        id
    }

    /// Waits for the response to a request; others may come before it.
    pub fn receive(&mut self, id: u32) -> Result<Message, Refused> {
        loop {
            if let Some(response) = self.early.remove(&id) {
                return response;
            }
            let (id, kind, body) = read_frame(&mut self.stream).expect("a response within 30 s");
            assert_eq!(kind, 2);
            let response = Message::parse(&body);
            let status = response.message(1);
            let result = match status.int(1) {
                0 => Ok(response.message(2)),
                code => Err(Refused(code, status.text(2))),
            };
            self.early.insert(id, result);
        }
    }

    pub fn call(&mut self, method: &str, payload: Out) -> Result<Message, Refused> {
        let id = self.send(method, payload);
        self.receive(id)
    }
}

/// An event: topic and body.
pub type Event = (String, Message);

/// Serves the events service at `path`.
pub fn events(path: &Path) -> Receiver<Event> {
    let listener = UnixListener::bind(path).unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let sender = sender.clone();
            std::thread::spawn(move || {
                while let Some((id, _, body)) = read_frame(&mut stream) {
                    let request = Message::parse(&body);
                    assert_eq!(request.text(1), "containerd.services.events.ttrpc.v1.Events");
                    let envelope = request.message(3).message(1);
                    let body = envelope.message(4).message(2);
                    if sender.send((envelope.text(3), body)).is_err() {
                        return;
                    }
                    let _ = write_frame(&mut stream, id, 2, &[]);
                }
            });
        }
    });
    receiver
}
