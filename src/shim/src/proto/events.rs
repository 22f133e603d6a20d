//! Events: what a shim tells containerd without being asked.

use super::task::{Mount, Stdio};
use super::wire::Writer;
use super::{Any, Timestamp};

/// An event, encoded once, with the topic it is published under.
#[derive(Debug, Clone)]
pub struct Event {
    /// Topic, such as `/tasks/start`.
    pub topic: &'static str,
    kind: &'static str,
    body: Vec<u8>,
}

impl Event {
    /// Encodes the `ForwardRequest` for a containerd namespace.
    pub fn forward_request(&self, namespace: &str, at: Timestamp) -> Vec<u8> {
        let mut envelope = Writer::new();
        envelope.message(1, &at.encode());
        envelope.text(2, namespace);
        envelope.text(3, self.topic);
        envelope.message(4, &Any::new(self.kind, self.body.clone()).encode());
        let mut w = Writer::new();
        w.message(1, &envelope.finish());
        w.finish()
    }

    fn new(topic: &'static str, kind: &'static str, body: Writer) -> Self {
        Self { topic, kind, body: body.finish() }
    }

    /// `TaskCreate`.
    pub fn create(id: &str, bundle: &str, rootfs: &[Mount], stdio: &Stdio, pid: u32) -> Self {
        let mut io = Writer::new();
        io.text(1, &stdio.stdin);
        io.text(2, &stdio.stdout);
        io.text(3, &stdio.stderr);
        io.uint(4, u64::from(stdio.terminal));
        let mut w = Writer::new();
        w.text(1, id);
        w.text(2, bundle);
        for mount in rootfs {
            w.message(3, &mount.encode());
        }
        w.message(4, &io.finish());
        w.uint(6, u64::from(pid));
        Self::new("/tasks/create", "containerd.events.TaskCreate", w)
    }

    /// `TaskStart`, or `TaskExecStarted` when `exec_id` isn't empty.
    pub fn start(id: &str, exec_id: &str, pid: u32) -> Self {
        let mut w = Writer::new();
        w.text(1, id);
        if exec_id.is_empty() {
            w.uint(2, u64::from(pid));
            return Self::new("/tasks/start", "containerd.events.TaskStart", w);
        }
        w.text(2, exec_id);
        w.uint(3, u64::from(pid));
        Self::new("/tasks/exec-started", "containerd.events.TaskExecStarted", w)
    }

    /// `TaskExecAdded`.
    pub fn exec_added(id: &str, exec_id: &str) -> Self {
        let mut w = Writer::new();
        w.text(1, id);
        w.text(2, exec_id);
        Self::new("/tasks/exec-added", "containerd.events.TaskExecAdded", w)
    }

    /// `TaskExit`; the process id of a container's init is the container's.
    pub fn exit(id: &str, exec_id: &str, pid: u32, status: u32, at: Timestamp) -> Self {
        let mut w = Writer::new();
        w.text(1, id);
        w.text(2, if exec_id.is_empty() { id } else { exec_id });
        w.uint(3, u64::from(pid));
        w.uint(4, u64::from(status));
        w.message(5, &at.encode());
        Self::new("/tasks/exit", "containerd.events.TaskExit", w)
    }

    /// `TaskDelete`.
    pub fn delete(id: &str, pid: u32, status: u32, at: Timestamp) -> Self {
        let mut w = Writer::new();
        w.text(1, id);
        w.uint(2, u64::from(pid));
        w.uint(3, u64::from(status));
        w.message(4, &at.encode());
        Self::new("/tasks/delete", "containerd.events.TaskDelete", w)
    }

    /// `TaskOOM`.
    pub fn oom(id: &str) -> Self {
        Self::named("/tasks/oom", "containerd.events.TaskOOM", id)
    }

    /// `TaskPaused`.
    pub fn paused(id: &str) -> Self {
        Self::named("/tasks/paused", "containerd.events.TaskPaused", id)
    }

    /// `TaskResumed`.
    pub fn resumed(id: &str) -> Self {
        Self::named("/tasks/resumed", "containerd.events.TaskResumed", id)
    }

    fn named(topic: &'static str, kind: &'static str, id: &str) -> Self {
        let mut w = Writer::new();
        w.text(1, id);
        Self::new(topic, kind, w)
    }
}
