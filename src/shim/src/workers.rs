//! Threads for what may block: starting processes, mounting, deleting.
//!
//! The event loop never waits, so whatever may goes to a worker. Workers come
//! when they are needed and leave when they have been idle for a while: an idle
//! shim is one thread. At most [`PER_CONTAINER`] jobs of one container and one
//! [`Lane`] run at a time, whatever the others do: a container whose storage
//! hangs holds up its own jobs and nobody else's, and starts that hang, which a
//! container may bring about, hold up no kill.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::event_loop::Shim;

/// Which jobs of a container wait for one another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    /// Those that make a process.
    Start,
    /// Those that look at processes or end them.
    Control,
}

type Key = (String, Lane);

/// Jobs of one container and lane that may run at the same time.
const PER_CONTAINER: usize = 8;
/// How long an idle worker stays.
const LINGER: Duration = Duration::from_secs(2);
/// Address space of a worker's stack; only what it touches is memory.
const STACK: usize = 1 << 20;

/// What the event loop does with a job's result.
pub type Then = Box<dyn FnOnce(&mut Shim) + Send>;
/// What a worker does; it may block.
pub type Job = Box<dyn FnOnce() -> Then + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Key, Job)>,
    running: BTreeMap<Key, usize>,
    idle: usize,
    done: Vec<Then>,
}

impl Queue {
    /// The oldest job whose container may run another.
    fn take(&mut self) -> Option<(Key, Job)> {
        let may_run = |(key, _): &(Key, Job)| self.running.get(key).is_none_or(|n| *n < PER_CONTAINER);
        let at = self.jobs.iter().position(may_run)?;
        let job = self.jobs.remove(at)?;
        *self.running.entry(job.0.clone()).or_default() += 1;
        Some(job)
    }

    fn finished(&mut self, key: &Key, then: Then) {
        self.done.push(then);
        if let Some(n) = self.running.get_mut(key) {
            *n -= 1;
            if *n == 0 {
                self.running.remove(key);
            }
        }
    }
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    event: EventFd,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool.
pub struct Workers {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

impl Workers {
    /// A pool without a thread.
    pub fn new() -> nix::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { shared: Arc::new(Shared { queue: Mutex::default(), work: Condvar::new(), event }) })
    }

    /// Becomes readable when a job is done.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }

    /// Queues a job of a container.
    pub fn submit(&self, container: &str, lane: Lane, job: Job) {
        let mut queue = self.shared.lock();
        queue.jobs.push_back(((container.to_owned(), lane), job));
        if queue.jobs.len() <= queue.idle {
            self.shared.work.notify_one();
            return;
        }
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let worker = std::thread::Builder::new().stack_size(STACK).spawn(move || work(&shared));
        if worker.is_err() {
            self.run_here();
        }
    }

    /// Without threads (EAGAIN) a job blocks the loop rather than never run.
    fn run_here(&self) {
        let taken = self.shared.lock().take();
        if let Some((key, job)) = taken {
            let then = job();
            self.shared.lock().finished(&key, then);
            let _ = self.shared.event.write(1);
        }
    }

    /// The results that have come in.
    pub fn take_done(&self) -> Vec<Then> {
        let _ = self.shared.event.read();
        std::mem::take(&mut self.shared.lock().done)
    }

    /// Whether no job is queued, running or waiting to be taken: then every
    /// child that ends is one the shim knows, or an orphan of a container.
    pub fn is_quiet(&self) -> bool {
        let queue = self.shared.lock();
        queue.jobs.is_empty() && queue.running.is_empty() && queue.done.is_empty()
    }
}

fn work(shared: &Shared) {
    let mut queue = shared.lock();
    loop {
        if let Some((key, job)) = queue.take() {
            drop(queue);
            let then = job();
            queue = shared.lock();
            queue.finished(&key, then);
            let _ = shared.event.write(1);
            continue;
        }
        queue.idle += 1;
        let (guard, timeout) =
            shared.work.wait_timeout(queue, LINGER).unwrap_or_else(PoisonError::into_inner);
        queue = guard;
        queue.idle -= 1;
        if timeout.timed_out() && queue.jobs.is_empty() {
            return;
        }
    }
}
