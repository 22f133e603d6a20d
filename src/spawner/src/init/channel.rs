//! The conversation with the parent, and how a failed step becomes a report.

use krun_sys::plain::{bytes_of, bytes_of_mut};
use krun_sys::{Errno, Fd};

use crate::plan::View;
use crate::report::{Reply, Report, kind};
use crate::step::Step;

/// A step that failed.
#[derive(Clone, Copy, Debug)]
pub struct Fail(pub Report);

impl Fail {
    /// Step, index of its object, error number.
    pub fn new(step: Step, index: u32, errno: Errno) -> Fail {
        Fail(Report { step: step as u16, index, errno: errno.0, ..Report::of(kind::FAILED, 0) })
    }

    /// Adds a detail whose meaning the step defines.
    pub fn with_detail(mut self, detail: u64) -> Fail {
        self.0.detail = detail;
        self
    }
}

/// Names the step of a failed system call.
pub trait At<T> {
    /// A step without an object.
    fn at(self, step: Step) -> Result<T, Fail>;
    /// A step that works on object `index`.
    fn on(self, step: Step, index: u32) -> Result<T, Fail>;
}

impl<T> At<T> for krun_sys::Result<T> {
    fn at(self, step: Step) -> Result<T, Fail> {
        self.on(step, 0)
    }

    fn on(self, step: Step, index: u32) -> Result<T, Fail> {
        self.map_err(|errno| Fail::new(step, index, errno))
    }
}

/// Where reports go and answers come from.
#[derive(Debug)]
pub struct Channel {
    socket: Fd,
    gate: Fd,
}

impl Channel {
    /// The channel of a plan.
    pub fn new(view: &View<'_>) -> Channel {
        Channel { socket: Fd(view.plan.fds.socket), gate: Fd(view.plan.fds.gate) }
    }

    /// Says a word that needs no answer. write(2), because that is the one call
    /// that a filter with a listener is known not to catch.
    pub fn say(&self, report: Report, step: Step) -> Result<(), Fail> {
        krun_sys::fs::write(self.socket, bytes_of(&report)).at(step).map(drop)
    }

    /// Says a word and waits for the parent to answer. A closed socket means
    /// that the parent is gone and nobody wants this container any more.
    pub fn ask(&self, kind: u16, detail: u64, step: Step) -> Result<(), Fail> {
        self.say(Report::of(kind, detail), step)?;
        self.await_reply(kind, step)
    }

    /// Waits for the answer to `kind`.
    pub fn await_reply(&self, kind: u16, step: Step) -> Result<(), Fail> {
        let mut reply = Reply::default();
        loop {
            match krun_sys::fs::read(self.socket, bytes_of_mut(&mut reply)) {
                Err(Errno::EINTR) => {}
                Ok(n) if n == size_of::<Reply>() && reply.kind == u64::from(kind) => return Ok(()),
                Ok(_) => return Err(Fail::new(step, 0, Errno::ECANCELED)),
                Err(errno) => return Err(Fail::new(step, 0, errno)),
            }
        }
    }

    /// Says a word and waits for the answer and the descriptor that comes with it.
    pub fn ask_fd(&self, kind: u16, detail: u64, step: Step) -> Result<Fd, Fail> {
        self.say(Report::of(kind, detail), step)?;
        let mut reply = Reply::default();
        loop {
            match krun_sys::socket::recv_fd(self.socket, bytes_of_mut(&mut reply)) {
                Err(Errno::EINTR) => {}
                Ok((n, Some(fd))) if n == size_of::<Reply>() && reply.kind == u64::from(kind) => {
                    return Ok(fd);
                }
                Ok(_) => return Err(Fail::new(step, 0, Errno::ECANCELED)),
                Err(errno) => return Err(Fail::new(step, 0, errno)),
            }
        }
    }

    /// Sends a descriptor along.
    pub fn send_fd(&self, report: Report, fd: Fd, step: Step) -> Result<(), Fail> {
        krun_sys::socket::send_fd(self.socket, bytes_of(&report), fd).at(step)
    }

    /// From the gate on, whoever calls `start` is told of failures.
    pub fn past_gate(&mut self) {
        self.socket = self.gate;
    }

    /// The last word. If it cannot be said, the parent sees the exit code.
    pub fn fail(&self, fail: Fail) {
        let _ = krun_sys::fs::write(self.socket, bytes_of(&fail.0));
    }
}

/// What the phases of a birth share.
#[derive(Debug)]
pub struct Birth<'a> {
    /// The plan.
    pub view: &'a View<'static>,
    /// The parent.
    pub channel: &'a mut Channel,
    /// The container's root directory, once it is open.
    pub root: Fd,
    /// Where HOME may be written; an environment slot points to it.
    pub home: &'static mut [u8],
}

/// The number of an element, as reports carry it.
pub fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}
