//! One container as the event loop sees it.

pub mod lifecycle;
pub mod model;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::event_loop::Call;
use crate::proto::task::Stdio;
use crate::proto::ttrpc::Status;
use crate::runtime::Container;
use crate::stdio::Wiring;
use crate::stdio::logger::Logger;
use model::Model;

/// A container.
#[derive(Debug)]
pub struct Task {
    /// What state its processes are in.
    pub model: Model,
    /// How the runtime reaches it; workers hold it too.
    pub container: Arc<Container>,
    /// The processes that have or had a life, by exec id; init is the empty one.
    pub processes: BTreeMap<String, Live>,
    /// Wait calls, with the process they wait for.
    pub waiters: Vec<(String, Call)>,
    /// Delete calls that wait for an exit or for output, likewise.
    pub deletes: Vec<(String, Call)>,
}

/// What the shim holds for one process.
#[derive(Debug, Default)]
pub struct Live {
    /// As its client named it.
    pub stdio: Stdio,
    /// The process to exec, until its start.
    pub spec: Vec<u8>,
    /// The pidfd and its token, until the exit was seen.
    pub pidfd: Option<(OwnedFd, u64)>,
    /// The pty's master.
    pub console: Option<OwnedFd>,
    /// Keeps stdin open until CloseIO.
    pub stdin: Option<OwnedFd>,
    /// The other ends of its fifos.
    pub held: Vec<OwnedFd>,
    /// Its logging program.
    pub logger: Option<Logger>,
    /// CloseIO came before the start.
    pub stdin_closed: bool,
}

impl Live {
    /// Takes over what a wiring keeps open; the copies are the event loop's.
    pub fn wire(&mut self, wiring: Wiring) -> Vec<crate::stdio::copy::Copy> {
        self.stdin = wiring.stdin.filter(|_| !self.stdin_closed);
        self.held = wiring.held;
        self.logger = wiring.logger;
        wiring.copies
    }
}

impl Task {
    /// What is held for a process, or NotFound.
    pub fn process(&mut self, exec_id: &str) -> Result<&mut Live, Status> {
        self.model.state(exec_id)?;
        Ok(self.processes.entry(exec_id.to_owned()).or_default())
    }
}
