//! The state machine of one container and the processes in it. It knows no
//! file, no process and no client: it is told what happened, says what is
//! allowed, and returns what containerd must be told, in the order that
//! containerd relies on:
//!
//! - a process's start comes before its exit, however soon it exits;
//! - the exit of init comes after the exit of every exec;
//! - nothing starts once init is gone.
//!
//! ```text
//! Created --start--> Starting --ok--> Running --exit--> Stopped --delete--> Deleting --ok--> (removed)
//!    |                  | failed                            ^
//!    +---- exit --------+-----------------------------------+
//! ```
//!
//! The empty exec id stands for the container's init, as in the API.

use std::collections::BTreeMap;

use crate::proto::Timestamp;
use crate::proto::task::TaskStatus;
use crate::proto::ttrpc::{Code, Status};

/// How and when a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, or 128 + the signal.
    pub status: u32,
    /// When the shim saw it.
    pub at: Timestamp,
}

/// What containerd is to be told, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Note {
    Started { exec_id: String, pid: u32 },
    Exited { exec_id: String, pid: u32, exit: Exit },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Created,
    Starting,
    Running,
    Stopped,
    Deleting,
}

/// Whether the container's cgroup is frozen, or about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freeze {
    Thawed,
    Freezing,
    Frozen,
    Thawing,
}

#[derive(Debug)]
struct Process {
    phase: Phase,
    pid: u32,
    /// Told to containerd.
    exit: Option<Exit>,
    /// Seen, but not yet to be told.
    held: Option<Exit>,
}

impl Process {
    fn new(pid: u32) -> Self {
        Self { phase: Phase::Created, pid, exit: None, held: None }
    }

    fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running)
    }
}

/// One container.
#[derive(Debug)]
pub struct Model {
    init: Process,
    execs: BTreeMap<String, Process>,
    freeze: Freeze,
}

fn refuse(message: &str) -> Status {
    Status::new(Code::FailedPrecondition, message)
}

impl Model {
    /// A container whose init process exists and waits for its start.
    pub fn created(pid: u32) -> Self {
        Self { init: Process::new(pid), execs: BTreeMap::new(), freeze: Freeze::Thawed }
    }

    fn process(&self, exec_id: &str) -> Result<&Process, Status> {
        if exec_id.is_empty() {
            return Ok(&self.init);
        }
        self.execs.get(exec_id).ok_or_else(|| {
            Status::new(Code::NotFound, format!("process does not exist {exec_id}: not found"))
        })
    }

    fn process_mut(&mut self, exec_id: &str) -> Option<&mut Process> {
        if exec_id.is_empty() { Some(&mut self.init) } else { self.execs.get_mut(exec_id) }
    }

    /// Whether init's exit was seen, told or not.
    fn init_is_gone(&self) -> bool {
        self.init.exit.is_some() || self.init.held.is_some()
    }

    /// Pid, status and exit of a process.
    pub fn state(&self, exec_id: &str) -> Result<(u32, TaskStatus, Option<Exit>), Status> {
        let process = self.process(exec_id)?;
        let status = match (process.phase, self.freeze) {
            (Phase::Stopped | Phase::Deleting, _) => TaskStatus::Stopped,
            (Phase::Created | Phase::Starting, Freeze::Thawed) => TaskStatus::Created,
            (_, Freeze::Frozen | Freeze::Thawing) => TaskStatus::Paused,
            (_, Freeze::Freezing) => TaskStatus::Pausing,
            (Phase::Running, Freeze::Thawed) => TaskStatus::Running,
        };
        Ok((process.pid, status, process.exit))
    }

    /// Exec ids with their pids, of processes that run.
    pub fn running_execs(&self) -> impl Iterator<Item = (&str, u32)> {
        self.execs.iter().filter(|(_, p)| p.phase == Phase::Running).map(|(id, p)| (id.as_str(), p.pid))
    }

    /// A process is added, to be started later.
    pub fn add_exec(&mut self, exec_id: &str) -> Result<(), Status> {
        if self.execs.contains_key(exec_id) {
            return Err(Status::new(Code::AlreadyExists, format!("id {exec_id}: already exists")));
        }
        if self.init_is_gone()
            || !matches!(self.init.phase, Phase::Created | Phase::Starting | Phase::Running)
        {
            return Err(refuse("cannot exec in a stopped state"));
        }
        if self.freeze != Freeze::Thawed {
            return Err(refuse("cannot exec in a paused state"));
        }
        self.execs.insert(exec_id.to_owned(), Process::new(0));
        Ok(())
    }

    /// A start is about to be tried; [`Model::start_done`] must follow.
    pub fn start(&mut self, exec_id: &str) -> Result<(), Status> {
        let gone = self.init_is_gone();
        let frozen = self.freeze != Freeze::Thawed;
        self.process(exec_id)?;
        let Some(process) = self.process_mut(exec_id) else { return Err(refuse("process vanished")) };
        match process.phase {
            Phase::Created if gone && !exec_id.is_empty() => {
                Err(refuse("the container's init process is not running"))
            }
            Phase::Created if frozen => Err(refuse("cannot start a process in a paused container")),
            Phase::Created => {
                process.phase = Phase::Starting;
                Ok(())
            }
            Phase::Starting | Phase::Running => Err(refuse("cannot start a running process")),
            Phase::Stopped | Phase::Deleting => Err(refuse("cannot start a stopped process")),
        }
    }

    /// The start succeeded with a pid, or failed. A failed exec never was a
    /// process; it counts as stopped with status 255.
    pub fn start_done(&mut self, exec_id: &str, pid: Option<u32>) -> Vec<Note> {
        let mut notes = Vec::new();
        let Some(process) = self.process_mut(exec_id) else { return notes };
        match pid {
            Some(pid) => {
                process.phase = Phase::Running;
                process.pid = pid;
                notes.push(Note::Started { exec_id: exec_id.to_owned(), pid });
            }
            None if exec_id.is_empty() => process.phase = Phase::Created,
            None => {
                process.phase = Phase::Stopped;
                process.exit = Some(Exit { status: 255, at: Timestamp::now() });
            }
        }
        self.settle(exec_id, &mut notes);
        notes
    }

    /// A process ended; seen once for each.
    pub fn exited(&mut self, exec_id: &str, exit: Exit) -> Vec<Note> {
        let mut notes = Vec::new();
        if let Some(process) = self.process_mut(exec_id)
            && process.exit.is_none()
        {
            process.held.get_or_insert(exit);
        }
        self.settle(exec_id, &mut notes);
        notes
    }

    /// Tells the exits that nothing holds back any more: the process's own,
    /// and init's when that was the last exec.
    fn settle(&mut self, exec_id: &str, notes: &mut Vec<Note>) {
        if !exec_id.is_empty() {
            self.tell(exec_id, notes);
        }
        if !self.execs.values().any(Process::is_alive) {
            self.tell("", notes);
        }
    }

    fn tell(&mut self, exec_id: &str, notes: &mut Vec<Note>) {
        let Some(process) = self.process_mut(exec_id) else { return };
        if process.phase == Phase::Starting {
            return;
        }
        if let Some(exit) = process.held.take() {
            process.phase = Phase::Stopped;
            process.exit = Some(exit);
            notes.push(Note::Exited { exec_id: exec_id.to_owned(), pid: process.pid, exit });
            if exec_id.is_empty() {
                self.freeze = Freeze::Thawed;
            }
        }
    }

    /// Whether a signal can still reach the process.
    pub fn may_kill(&self, exec_id: &str) -> Result<(), Status> {
        let process = self.process(exec_id)?;
        let finished = process.exit.is_some() || process.held.is_some();
        if finished || matches!(process.phase, Phase::Stopped | Phase::Deleting) {
            return Err(Status::new(Code::NotFound, "process already finished: not found"));
        }
        if process.pid == 0 {
            return Err(refuse("process not created"));
        }
        Ok(())
    }

    /// A delete is about to be tried; [`Model::delete_failed`] or
    /// [`Model::deleted`] must follow. Says whether the process lives: a
    /// container that was never started is killed first.
    pub fn delete(&mut self, exec_id: &str) -> Result<bool, Status> {
        self.process(exec_id)?;
        let busy_execs = exec_id.is_empty() && self.execs.values().any(Process::is_alive);
        let Some(process) = self.process_mut(exec_id) else { return Err(refuse("process vanished")) };
        match process.phase {
            Phase::Stopped if !busy_execs => {
                process.phase = Phase::Deleting;
                Ok(false)
            }
            Phase::Created if !busy_execs && exec_id.is_empty() => Ok(process.held.is_none()),
            Phase::Created if !busy_execs => {
                process.phase = Phase::Deleting;
                Ok(false)
            }
            Phase::Deleting => Err(Status::new(Code::NotFound, "cannot delete a deleted process: not found")),
            _ => Err(refuse("cannot delete a running process")),
        }
    }

    /// The delete failed: it may be tried again.
    pub fn delete_failed(&mut self, exec_id: &str) {
        if let Some(process) = self.process_mut(exec_id)
            && process.phase == Phase::Deleting
        {
            process.phase = Phase::Stopped;
        }
    }

    /// An exec's delete is done: its id is free again.
    pub fn deleted(&mut self, exec_id: &str) {
        self.execs.remove(exec_id);
    }

    /// A pause is about to be tried; [`Model::freeze_done`] must follow.
    pub fn pause(&mut self) -> Result<(), Status> {
        match (self.init.phase, self.freeze) {
            (Phase::Running, Freeze::Thawed) if !self.init_is_gone() => {
                self.freeze = Freeze::Freezing;
                Ok(())
            }
            (Phase::Running, _) => Err(refuse("cannot pause a paused container")),
            _ => Err(refuse("cannot pause a container that is not running")),
        }
    }

    /// A resume is about to be tried; [`Model::freeze_done`] must follow.
    pub fn resume(&mut self) -> Result<(), Status> {
        match self.freeze {
            Freeze::Frozen => {
                self.freeze = Freeze::Thawing;
                Ok(())
            }
            _ => Err(refuse("cannot resume a container that is not paused")),
        }
    }

    /// The pause or resume ended. Says whether containerd is to be told: not
    /// when the container ended meanwhile.
    pub fn freeze_done(&mut self, ok: bool) -> bool {
        let was = self.freeze;
        self.freeze = match (was, ok) {
            (Freeze::Freezing, true) | (Freeze::Thawing, false) => Freeze::Frozen,
            (Freeze::Freezing, false) | (Freeze::Thawing, true) => Freeze::Thawed,
            (other, _) => other,
        };
        ok && was != self.freeze
    }

    /// Whether the resources of the container can be changed.
    pub fn may_update(&self) -> Result<(), Status> {
        match self.init.phase {
            Phase::Created | Phase::Starting | Phase::Running => Ok(()),
            _ => Err(refuse("cannot update a stopped container")),
        }
    }

    /// Whether a delete of the process is under way.
    pub fn is_deleting(&self, exec_id: &str) -> bool {
        self.process(exec_id).is_ok_and(|p| p.phase == Phase::Deleting)
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
