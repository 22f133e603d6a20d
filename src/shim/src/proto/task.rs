//! Requests and responses of the Task service; v2 and v3 are the same on the
//! wire but for the package's name.

use super::wire::{Malformed, Message, Value, Writer};
use super::{Any, Timestamp};

/// `containerd.types.Mount`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Mount {
    /// File system type, or `bind`.
    pub kind: String,
    /// Device, directory or name.
    pub source: String,
    /// Where below the rootfs; usually empty.
    pub target: String,
    /// Options as in fstab.
    pub options: Vec<String>,
}

impl Mount {
    /// Encodes it for the create event.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.text(1, &self.kind);
        w.text(2, &self.source);
        w.text(3, &self.target);
        for option in &self.options {
            w.message(4, option.as_bytes());
        }
        w.finish()
    }
}

impl Message for Mount {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.kind = value.text()?,
            2 => self.source = value.text()?,
            3 => self.target = value.text()?,
            4 => self.options.push(value.text()?),
            _ => {}
        }
        Ok(())
    }
}

/// The stdio of a process as a client names it: fifos, URIs or nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stdio {
    /// Whether the process gets a pty.
    pub terminal: bool,
    /// Path of a fifo, or empty.
    pub stdin: String,
    /// Path of a fifo, `file://`, `binary://`, or empty.
    pub stdout: String,
    /// The same; unused with a terminal.
    pub stderr: String,
}

/// `CreateTaskRequest`.
#[derive(Debug, Default)]
pub struct Create {
    /// The container.
    pub id: String,
    /// Directory of `config.json`.
    pub bundle: String,
    /// Mounts that make up `bundle/rootfs`, in order; may be empty.
    pub rootfs: Vec<Mount>,
    /// The init process's stdio.
    pub stdio: Stdio,
    /// Directory of a checkpoint to restore from, or empty.
    pub checkpoint: String,
    /// Options of the runtime, if given.
    pub options: Option<Any>,
}

impl Message for Create {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.id = value.text()?,
            2 => self.bundle = value.text()?,
            3 => self.rootfs.push(Mount::decode(value.bytes()?)?),
            4 => self.stdio.terminal = value.boolean()?,
            5 => self.stdio.stdin = value.text()?,
            6 => self.stdio.stdout = value.text()?,
            7 => self.stdio.stderr = value.text()?,
            8 => self.checkpoint = value.text()?,
            10 => self.options = Some(Any::decode(value.bytes()?)?),
            _ => {}
        }
        Ok(())
    }
}

/// `ExecProcessRequest`.
#[derive(Debug, Default)]
pub struct Exec {
    /// The container.
    pub id: String,
    /// The new process.
    pub exec_id: String,
    /// Its stdio.
    pub stdio: Stdio,
    /// The runtime spec's Process as JSON.
    pub spec: Vec<u8>,
}

impl Message for Exec {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.id = value.text()?,
            2 => self.exec_id = value.text()?,
            3 => self.stdio.terminal = value.boolean()?,
            4 => self.stdio.stdin = value.text()?,
            5 => self.stdio.stdout = value.text()?,
            6 => self.stdio.stderr = value.text()?,
            7 => self.spec = Any::decode(value.bytes()?)?.value,
            _ => {}
        }
        Ok(())
    }
}

/// `UpdateTaskRequest`.
#[derive(Debug, Default)]
pub struct Update {
    /// The container.
    pub id: String,
    /// The runtime spec's LinuxResources as JSON.
    pub resources: Vec<u8>,
}

impl Message for Update {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.id = value.text()?,
            2 => self.resources = Any::decode(value.bytes()?)?.value,
            _ => {}
        }
        Ok(())
    }
}

/// Every other request: a container, maybe one of its processes, and at most
/// two numbers in fields 3 and 4.
#[derive(Debug, Default)]
pub struct Target {
    /// The container.
    pub id: String,
    /// The process; empty is the container's init.
    pub exec_id: String,
    /// Field 3: Kill's signal, ResizePty's width, CloseIO's stdin.
    pub third: u32,
    /// Field 4: Kill's all, ResizePty's height.
    pub fourth: u32,
}

impl Message for Target {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match (number, value) {
            (1, value) => self.id = value.text()?,
            (2, Value::Bytes(_)) => self.exec_id = value.text()?,
            (3, value) => self.third = value.uint32()?,
            (4, value) => self.fourth = value.uint32()?,
            _ => {}
        }
        Ok(())
    }
}

/// `containerd.v1.types.Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum TaskStatus {
    Created = 1,
    Running = 2,
    Stopped = 3,
    Paused = 4,
    Pausing = 5,
}

/// `CreateTaskResponse` and `StartResponse`.
pub fn pid_response(pid: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.uint(1, u64::from(pid));
    w.finish()
}

/// `StateResponse`.
#[derive(Debug)]
pub struct State<'a> {
    /// The process: the exec id, or the container's for its init.
    pub id: &'a str,
    /// The exec id; empty for init.
    pub exec_id: &'a str,
    /// The container's bundle.
    pub bundle: &'a str,
    /// 0 before the process exists.
    pub pid: u32,
    /// What the process is doing.
    pub status: TaskStatus,
    /// As given in Create or Exec.
    pub stdio: &'a Stdio,
    /// Status and time of the exit.
    pub exit: Option<(u32, Timestamp)>,
}

impl State<'_> {
    /// Encodes the response.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.text(1, self.id);
        w.text(2, self.bundle);
        w.uint(3, u64::from(self.pid));
        w.uint(4, self.status as u64);
        w.text(5, &self.stdio.stdin);
        w.text(6, &self.stdio.stdout);
        w.text(7, &self.stdio.stderr);
        w.uint(8, u64::from(self.stdio.terminal));
        if let Some((status, at)) = self.exit {
            w.uint(9, u64::from(status));
            w.message(10, &at.encode());
        }
        w.text(11, self.exec_id);
        w.finish()
    }
}

/// `DeleteResponse`; also the output of the `delete` command.
pub fn delete_response(pid: u32, status: u32, at: Timestamp) -> Vec<u8> {
    let mut w = Writer::new();
    w.uint(1, u64::from(pid));
    w.uint(2, u64::from(status));
    w.message(3, &at.encode());
    w.finish()
}

/// `WaitResponse`.
pub fn wait_response(status: u32, at: Timestamp) -> Vec<u8> {
    let mut w = Writer::new();
    w.uint(1, u64::from(status));
    w.message(2, &at.encode());
    w.finish()
}

/// `PidsResponse`: pids, with the exec id of those that the shim started.
pub fn pids_response(pids: &[(u32, Option<&str>)]) -> Vec<u8> {
    let mut w = Writer::new();
    for (pid, exec_id) in pids {
        let mut info = Writer::new();
        info.uint(1, u64::from(*pid));
        if let Some(exec_id) = exec_id {
            let mut details = Writer::new();
            details.text(1, exec_id);
            info.message(2, &Any::new("containerd.runc.v1.ProcessDetails", details.finish()).encode());
        }
        w.message(1, &info.finish());
    }
    w.finish()
}

/// `StatsResponse`.
pub fn stats_response(metrics: Vec<u8>) -> Vec<u8> {
    let mut w = Writer::new();
    w.message(1, &Any::new("io.containerd.cgroups.v2.Metrics", metrics).encode());
    w.finish()
}

/// `ConnectResponse`.
pub fn connect_response(shim: u32, task: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.uint(1, u64::from(shim));
    w.uint(2, u64::from(task));
    w.finish()
}
