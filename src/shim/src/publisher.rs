//! Sends events to containerd, one after the other.
//!
//! containerd handles requests of one connection side by side, so the next
//! event leaves only when the last one is answered: that is what keeps them in
//! order. While containerd is away they wait, but not for ever: it learns the
//! present state by asking when it comes back.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::proto::Timestamp;
use crate::proto::events::Event;
use crate::proto::ttrpc::{REQUEST, Reply, Request};
use crate::proto::wire::Message;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Failed tries after which an event is given up.
const TRIES: u32 = 5;
/// Events that may wait; older ones are dropped.
const LONGEST: usize = 2048;

#[derive(Debug)]
struct Queued {
    event: Event,
    at: Timestamp,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is under way.
    Idle,
    /// An answer is awaited until then.
    Asked(Instant),
    /// A try failed; the next one is due then.
    Paused(Instant),
}

/// The events client.
#[derive(Debug)]
pub struct Publisher {
    address: String,
    namespace: String,
    queue: VecDeque<Queued>,
    connection: Option<Connection>,
    stream: u32,
    phase: Phase,
}

impl Publisher {
    /// A client of the events service at `address`, a socket's path.
    pub fn new(address: &str, namespace: &str) -> Self {
        let address = address.strip_prefix("unix://").unwrap_or(address).to_owned();
        let namespace = namespace.to_owned();
        Self { address, namespace, queue: VecDeque::new(), connection: None, stream: 1, phase: Phase::Idle }
    }

    /// Queues an event.
    pub fn publish(&mut self, event: Event) {
        if self.address.is_empty() {
            return;
        }
        if self.queue.len() == LONGEST {
            self.queue.pop_front();
        }
        self.queue.push_back(Queued { event, at: Timestamp::now(), since: Instant::now() });
    }

    /// The connection, for epoll, if there is one.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(Connection::fd)
    }

    /// When [`Publisher::pump`] has something to do again.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle => None,
            Phase::Asked(at) | Phase::Paused(at) => (!self.queue.is_empty()).then_some(at),
        }
    }

    /// Whether every event has been delivered or given up.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Does what is due now. Returns whether a new connection was made, which
    /// epoll must learn.
    pub fn pump(&mut self) -> bool {
        let now = Instant::now();
        match self.phase {
            Phase::Asked(until) if now >= until => self.failed(),
            Phase::Paused(until) if now >= until => self.phase = Phase::Idle,
            _ => {}
        }
        if self.phase != Phase::Idle || self.queue.is_empty() {
            return false;
        }
        let connected = self.connection.is_none() && self.connect();
        self.send_first();
        connected
    }

    fn connect(&mut self) -> bool {
        let connection = UnixStream::connect(&self.address).and_then(Connection::new);
        self.connection = connection.ok();
        self.connection.is_some()
    }

    fn send_first(&mut self) {
        let (Some(first), Some(connection)) = (self.queue.front(), &mut self.connection) else {
            return self.failed();
        };
        let request = Request {
            service: "containerd.services.events.ttrpc.v1.Events".into(),
            method: "Forward".into(),
            payload: first.event.forward_request(&self.namespace, first.at),
        };
        let timeout = u64::try_from(ANSWER.as_nanos()).unwrap_or(u64::MAX);
        match connection.send(self.stream, REQUEST, &request.encode(timeout, &self.namespace)) {
            Ok(()) => self.phase = Phase::Asked(Instant::now() + ANSWER),
            Err(_) => self.failed(),
        }
    }

    /// Reads answers. Ours is the one for the last stream.
    pub fn readable(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let _ = connection.flush();
        let Ok(frames) = connection.receive() else { return self.disconnected() };
        for frame in frames {
            if frame.stream != self.stream {
                continue;
            }
            self.stream = self.stream.wrapping_add(2);
            match Reply::decode(&frame.payload) {
                Ok(reply) if reply.code == 0 => {
                    self.queue.pop_front();
                    self.phase = Phase::Idle;
                }
                _ => self.failed(),
            }
        }
    }

    fn disconnected(&mut self) {
        self.connection = None;
        if matches!(self.phase, Phase::Asked(_)) {
            self.failed();
        }
    }

    /// A try failed: events that have waited through all their tries go.
    fn failed(&mut self) {
        self.connection = None;
        self.stream = 1;
        let old = ANSWER.min(PAUSE * TRIES) + PAUSE * TRIES;
        while self.queue.front().is_some_and(|first| first.since.elapsed() > old) {
            self.queue.pop_front();
        }
        self.phase = Phase::Paused(Instant::now() + PAUSE);
    }
}
