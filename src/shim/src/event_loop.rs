//! The one thread that owns everything: it waits for descriptors and deadlines
//! and never for anything else.

mod copies;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signalfd::SignalFd;

use crate::connection::Connection;
use crate::oom::OomWatch;
use crate::proto::events::Event;
use crate::proto::ttrpc::{Code, REQUEST, RESPONSE, Request, Status, response};
use crate::proto::wire::Message;
use crate::publisher::Publisher;
use crate::reaper::Children;
use crate::service;
use crate::stdio::logger::Logger;
use crate::task::Task;
use crate::workers::{Then, Workers};
use copies::Copying;

/// Time without work after which an idle shim gives its code's memory back.
const IDLE: Duration = Duration::from_secs(5);
/// Longest wait for the last events to be delivered at shutdown.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// What an epoll token stands for.
#[derive(Debug, Clone)]
enum Source {
    Listener,
    Signals,
    Workers,
    Publisher,
    Oom,
    Client,
    /// A container's process ended.
    Process(ProcessKey),
    /// A copy of this process's stdio can go on.
    Copy,
}

/// A process of a container; the empty exec id is init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessKey {
    /// The container.
    pub id: String,
    /// The process in it.
    pub exec_id: String,
}

/// Where a response goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    connection: u64,
    stream: u32,
}

/// What a deadline is for.
#[derive(Debug)]
pub enum Timer {
    /// Output that still hasn't ended no longer holds up a delete.
    Drained(ProcessKey),
    /// A logging program that was asked to end.
    Logger(Logger),
    /// Nothing may have happened for a while.
    Idle,
}

/// What the daemon was started with.
#[derive(Debug)]
pub struct Settings {
    /// containerd's namespace.
    pub namespace: String,
    /// Path of the events service's socket.
    pub events: String,
    /// Path of the socket that is served.
    pub socket: String,
}

/// The shim.
#[derive(Debug)]
pub struct Shim {
    /// What the daemon was started with.
    pub settings: Settings,
    /// The containers, by id.
    pub tasks: BTreeMap<String, Task>,
    /// Ids of containers that are being created.
    pub creating: Vec<String>,
    /// Blocking work.
    pub workers: Workers,
    /// Cgroups watched for the OOM killer.
    pub oom: OomWatch,
    epoll: Epoll,
    sources: BTreeMap<u64, Source>,
    next_token: u64,
    listener: Option<UnixListener>,
    signals: SignalFd,
    clients: BTreeMap<u64, Connection>,
    copies: BTreeMap<u64, Copying>,
    publisher: Publisher,
    timers: Vec<(Instant, Timer)>,
    ending: Option<Instant>,
    /// When a worker last had something done; `None` once the memory is back.
    worked: Option<Instant>,
    /// Children have ended, some of which only a quiet pool may collect.
    orphans: bool,
}

impl Shim {
    /// A shim that serves `listener`. `signals` delivers SIGCHLD, SIGTERM and
    /// SIGINT.
    pub fn new(settings: Settings, listener: UnixListener, signals: SignalFd) -> nix::Result<Self> {
        let publisher = Publisher::new(&settings.events, &settings.namespace);
        let mut shim = Self {
            settings,
            tasks: BTreeMap::new(),
            creating: Vec::new(),
            workers: Workers::new()?,
            oom: OomWatch::default(),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            sources: BTreeMap::new(),
            next_token: 0,
            listener: None,
            signals,
            clients: BTreeMap::new(),
            copies: BTreeMap::new(),
            publisher,
            timers: Vec::new(),
            ending: None,
            worked: None,
            orphans: false,
        };
        let token = shim.token(Source::Listener);
        shim.epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        shim.listener = Some(listener);
        let token = shim.token(Source::Signals);
        shim.epoll.add(&shim.signals, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        let token = shim.token(Source::Workers);
        shim.epoll.add(shim.workers.event(), EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        Ok(shim)
    }

    fn token(&mut self, source: Source) -> u64 {
        self.next_token += 1;
        self.sources.insert(self.next_token, source);
        self.next_token
    }

    /// Runs until Shutdown or SIGTERM.
    pub fn run(&mut self) -> nix::Result<()> {
        loop {
            if self.publisher.pump() {
                self.watch_publisher()?;
            }
            if self.is_over() {
                return Ok(());
            }
            let mut events = [EpollEvent::empty(); 32];
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Err(nix::Error::EINTR) => 0,
                other => other?,
            };
            for event in &events[..count] {
                self.ready(event.data(), event.events());
            }
            self.fire_timers();
            self.reap_orphans();
        }
    }

    /// Ends the loop once the last events are out. The socket goes at once:
    /// the next container of the group needs another shim.
    pub fn end(&mut self) {
        if let Some(listener) = self.listener.take() {
            // While somebody listens the file is nobody else's; then it may be the next shim's.
            let _ = std::fs::remove_file(&self.settings.socket);
            drop(listener);
        }
        self.ending.get_or_insert(Instant::now() + LAST_EVENTS);
    }

    fn is_over(&self) -> bool {
        self.ending.is_some_and(|until| self.publisher.is_empty() || Instant::now() >= until)
    }

    fn timeout(&self) -> EpollTimeout {
        let timers = self.timers.iter().map(|(at, _)| *at);
        let next = timers.chain(self.publisher.deadline()).chain(self.ending).min();
        let Some(next) = next else { return EpollTimeout::NONE };
        let ms = next.saturating_duration_since(Instant::now()).as_millis() + 1;
        EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
    }

    fn ready(&mut self, token: u64, flags: EpollFlags) {
        // A source may have gone by what happened before it in this round.
        let Some(source) = self.sources.get(&token).cloned() else { return };
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.signal(),
            Source::Workers => {
                self.finish_jobs();
                if self.worked.replace(Instant::now()).is_none() {
                    self.after(IDLE, Timer::Idle);
                }
            }
            Source::Publisher => {
                self.publisher.readable();
                if self.publisher.fd().is_none() {
                    self.sources.remove(&token);
                }
            }
            Source::Oom => self.oom.readable().iter().for_each(|id| self.publish(Event::oom(id))),
            Source::Client => self.serve(token, flags),
            Source::Process(key) => drop(crate::task::lifecycle::collect(self, &key)),
            Source::Copy => self.copy(token),
        }
    }

    /// Takes in what workers have done.
    pub fn finish_jobs(&mut self) {
        self.workers.take_done().into_iter().for_each(|then: Then| then(self));
    }

    fn watch_publisher(&mut self) -> nix::Result<()> {
        self.sources.retain(|_, source| !matches!(source, Source::Publisher));
        let token = self.token(Source::Publisher);
        let Some(fd) = self.publisher.fd() else { return Ok(()) };
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))
    }

    fn accept(&mut self) {
        if let Some(Ok((stream, _))) = self.listener.as_ref().map(UnixListener::accept) {
            let _ = self.add_client(stream);
        }
    }

    fn add_client(&mut self, stream: UnixStream) -> std::io::Result<()> {
        let connection = Connection::new(stream)?;
        let token = self.token(Source::Client);
        self.epoll.add(connection.fd(), EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        self.clients.insert(token, connection);
        Ok(())
    }

    fn drop_client(&mut self, token: u64) {
        self.clients.remove(&token);
        self.sources.remove(&token);
        for task in self.tasks.values_mut() {
            task.waiters.retain(|(_, call)| call.connection != token);
        }
    }

    fn serve(&mut self, token: u64, flags: EpollFlags) {
        let Some(client) = self.clients.get_mut(&token) else { return };
        if flags.contains(EpollFlags::EPOLLOUT) && client.flush().is_err() {
            return self.drop_client(token);
        }
        let frames = match client.receive() {
            Ok(frames) => frames,
            Err(_) => return self.drop_client(token),
        };
        self.watch_client(token);
        for frame in frames {
            if frame.kind != REQUEST {
                continue;
            }
            let call = Call { connection: token, stream: frame.stream };
            let answer = Request::decode(&frame.payload)
                .map_err(Status::from)
                .and_then(|request| service::dispatch(self, call, &request));
            match answer {
                Ok(Some(payload)) => self.reply(call, Ok(payload)),
                Ok(None) => {}
                Err(status) => self.reply(call, Err(status)),
            }
        }
    }

    /// Waits for room as long as output is queued.
    fn watch_client(&mut self, token: u64) {
        let Some(client) = self.clients.get(&token) else { return };
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, client.is_blocked());
        let _ = self.epoll.modify(client.fd(), &mut EpollEvent::new(flags, token));
    }

    /// Answers a call; nothing happens if the client has gone.
    pub fn reply(&mut self, call: Call, result: Result<Vec<u8>, Status>) {
        let Some(client) = self.clients.get_mut(&call.connection) else { return };
        let mut payload = response(result);
        if payload.len() > crate::proto::ttrpc::MAX_PAYLOAD {
            payload =
                response(Err(Status::new(Code::ResourceExhausted, "the response is longer than 4 MiB")));
        }
        match client.send(call.stream, RESPONSE, &payload) {
            Err(_) => self.drop_client(call.connection),
            Ok(()) if client.is_blocked() => self.watch_client(call.connection),
            Ok(()) => {}
        }
    }

    /// Tells containerd.
    pub fn publish(&mut self, event: Event) {
        self.publisher.publish(event);
        if self.publisher.pump() {
            let _ = self.watch_publisher();
        }
    }

    /// Calls back when the process behind a pidfd ends.
    pub fn watch_process(&mut self, pidfd: &OwnedFd, key: ProcessKey) -> nix::Result<u64> {
        let token = self.token(Source::Process(key));
        self.epoll.add(pidfd, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        Ok(token)
    }

    /// Forgets a source whose descriptor is closed.
    pub fn forget(&mut self, token: u64) {
        self.sources.remove(&token);
    }

    /// The container, or NotFound.
    pub fn task(&mut self, id: &str) -> Result<&mut Task, Status> {
        self.tasks
            .get_mut(id)
            .ok_or_else(|| Status::new(Code::NotFound, format!("container {id} not created: not found")))
    }

    /// Watches for the OOM killer in a container's cgroup.
    pub fn watch_oom(&mut self, id: &str, cgroup: &std::path::Path) {
        if self.oom.add(id, cgroup) == Ok(true) {
            let token = self.token(Source::Oom);
            if let Some(fd) = self.oom.fd() {
                let _ = self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token));
            }
        }
    }

    /// Does something later.
    pub fn after(&mut self, delay: Duration, timer: Timer) {
        self.timers.push((Instant::now() + delay, timer));
    }

    /// Creating a container touches most of the code, waiting for its end next
    /// to none: a node's memory is better spent on the containers.
    fn rest(&mut self) {
        let Some(worked) = self.worked else { return };
        match IDLE.checked_sub(worked.elapsed()) {
            Some(rest) if !rest.is_zero() => self.after(rest, Timer::Idle),
            _ => {
                self.worked = None;
                let _ = krun_sys::mem::release_text();
            }
        }
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(at) = self.timers.iter().position(|(at, _)| *at <= now) {
            match self.timers.swap_remove(at).1 {
                Timer::Drained(key) => crate::task::lifecycle::drained(self, &key),
                Timer::Logger(logger) => logger.kill(),
                Timer::Idle => self.rest(),
            }
        }
    }

    fn signal(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            if info.ssi_signo == nix::libc::SIGCHLD as u32 {
                self.orphans = true;
            } else {
                self.end();
            }
        }
    }

    /// Collects what the containers' processes left behind. A worker may be
    /// waiting for a child of its own: only a quiet pool has none.
    fn reap_orphans(&mut self) {
        if self.orphans {
            self.orphans = !self.workers.is_quiet();
            let whose = if self.orphans { Children::Inherited } else { Children::All };
            crate::reaper::reap(self, whose);
        }
    }
}
