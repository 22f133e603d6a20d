//! The conversation with the parent, and how a failed step becomes a report.

use krun_sys::handed::Handed;
use krun_sys::plain::{bytes_of, bytes_of_mut};
use krun_sys::{Errno, Fd, OwnedFd};

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

/// Where reports go and answers come from. Both ends stay open until execve(2) closes them: a filter may forbid to.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    gate: Option<OwnedFd>,
    past_gate: bool,
}

impl Channel {
    /// The channel of a plan; none if its socket was not handed down.
    pub fn new(view: &View<'_>, handed: &mut Handed) -> Option<Channel> {
        let fds = view.plan.fds;
        Some(Channel { socket: handed.take(fds.socket)?, gate: handed.take(fds.gate), past_gate: false })
    }

    /// Where reports go: to the parent, past the gate to whoever calls `start`.
    fn to_report(&self) -> Fd<'_> {
        match &self.gate {
            Some(gate) if self.past_gate => gate.as_fd(),
            _ => self.socket.as_fd(),
        }
    }

    /// All that it has open.
    pub fn fds(&self) -> [Option<Fd<'_>>; 2] {
        [Some(self.socket.as_fd()), self.gate.as_ref().map(OwnedFd::as_fd)]
    }

    /// Says a word that needs no answer. write(2), because that is the one call
    /// that a filter with a listener is known not to catch.
    pub fn say(&self, report: Report, step: Step) -> Result<(), Fail> {
        krun_sys::fs::write(self.to_report(), bytes_of(&report)).at(step).map(drop)
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
            match krun_sys::fs::read(self.to_report(), bytes_of_mut(&mut reply)) {
                Err(Errno::EINTR) => {}
                Ok(n) if n == size_of::<Reply>() && reply.kind == u64::from(kind) => return Ok(()),
                Ok(_) => return Err(Fail::new(step, 0, Errno::ECANCELED)),
                Err(errno) => return Err(Fail::new(step, 0, errno)),
            }
        }
    }

    /// Says a word and waits for the answer and the descriptor that comes with it.
    pub fn ask_fd(&self, kind: u16, detail: u64, step: Step) -> Result<OwnedFd, Fail> {
        self.say(Report::of(kind, detail), step)?;
        let mut reply = Reply::default();
        loop {
            match krun_sys::socket::recv_fd(self.to_report(), bytes_of_mut(&mut reply)) {
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
    pub fn send_fd(&self, report: Report, fd: Fd<'_>, step: Step) -> Result<(), Fail> {
        krun_sys::socket::send_fd(self.to_report(), bytes_of(&report), fd).at(step)
    }

    /// From the gate on, whoever calls `start` is told of failures.
    pub fn past_gate(&mut self) {
        self.past_gate = true;
    }

    /// Waits until the gate opens.
    pub fn await_gate(&self) -> krun_sys::Result<()> {
        let gate = self.gate.as_ref().ok_or(Errno::EBADF)?;
        let mut byte = [0u8; 1];
        loop {
            match krun_sys::fs::read(gate.as_fd(), &mut byte) {
                Err(Errno::EINTR) => {}
                done => return done.map(drop),
            }
        }
    }

    /// The last word. If it cannot be said, the parent sees the exit code.
    pub fn fail(&self, fail: Fail) {
        let _ = krun_sys::fs::write(self.to_report(), bytes_of(&fail.0));
    }
}

/// What the phases of a birth share.
#[derive(Debug)]
pub struct Birth<'a> {
    /// The plan.
    pub view: &'a View<'static>,
    /// The parent.
    pub channel: &'a mut Channel,
    /// What the parent has handed down.
    pub handed: Handed,
    /// The container's root directory, once it is open.
    pub root: Option<OwnedFd>,
    /// Where HOME may be written; an environment slot points to it.
    pub home: &'static mut [u8],
}

impl Birth<'_> {
    /// The container's root directory; EBADF before it is open.
    pub fn root(&self) -> krun_sys::Result<Fd<'_>> {
        self.root.as_ref().map(OwnedFd::as_fd).ok_or(Errno::EBADF)
    }
}

/// The number of an element, as reports carry it.
pub fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}
