//! A container of a test: its verbs, and what is seen of it from outside.

use crate::bundle::Bundle;
use crate::invocation::{self, Invocation, Output};
use crate::{Sandbox, host, raw};
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// See the module. Dropping it deletes the container by force.
#[derive(Debug)]
pub struct Container<'s> {
    sandbox: &'s Sandbox,
    /// The container's id.
    pub id: String,
    /// Its bundle.
    pub bundle: Bundle,
    out: PathBuf,
    pid: Cell<i32>,
}

impl<'s> Container<'s> {
    /// A handle on a container that a call made; `out` takes its output.
    pub fn new(sandbox: &'s Sandbox, id: &str, bundle: Bundle, out: PathBuf) -> Container<'s> {
        let c = Container::with_pid(sandbox, id, bundle, out, 0);
        c.pid.set(c.try_state().map_or(0, |s| pid_of(&s)));
        c
    }

    /// A handle on a container whose init has this pid.
    pub fn with_pid(sandbox: &'s Sandbox, id: &str, bundle: Bundle, out: PathBuf, pid: i32) -> Container<'s> {
        let (id, pid) = (id.to_owned(), Cell::new(pid));
        Container { sandbox, id, bundle, out, pid }
    }

    /// A call `runtime VERB ARGS ID`.
    pub fn call<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        self.sandbox.call(args).arg(&self.id)
    }

    /// `start`.
    #[track_caller]
    pub fn start(&self) -> &Self {
        self.call(["start"]).run().expect_ok();
        self
    }

    /// `kill ID SIGNAL`.
    #[track_caller]
    pub fn kill(&self, signal: &str) -> Output {
        self.call(["kill"]).arg(signal).run()
    }

    /// `delete`, with more flags.
    #[track_caller]
    pub fn delete(&self, flags: &[&str]) -> Output {
        self.sandbox.call(["delete"]).args(flags).arg(&self.id).run()
    }

    /// `state`, which must work.
    #[track_caller]
    pub fn state(&self) -> Value {
        self.call(["state"]).run().expect_ok().json()
    }

    /// `state`, None when the container doesn't exist.
    pub fn try_state(&self) -> Option<Value> {
        let out = self.call(["state"]).run();
        (out.code == 0).then(|| serde_json::from_str(&out.stdout).ok()).flatten()
    }

    /// The status that `state` tells.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// The process id of init on the host, as it was at creation.
    pub fn pid(&self) -> i32 {
        self.pid.get()
    }

    /// `exec` of these arguments, foreground.
    #[track_caller]
    pub fn exec(&self, args: &[&str]) -> Output {
        self.exec_with(&[], args)
    }

    /// `exec` with flags.
    #[track_caller]
    pub fn exec_with(&self, flags: &[&str], args: &[&str]) -> Output {
        self.exec_call(flags, args).run()
    }

    /// `exec` that isn't started yet.
    pub fn exec_call(&self, flags: &[&str], args: &[&str]) -> Invocation {
        self.sandbox.call(["exec"]).args(flags).arg(&self.id).args(args)
    }

    /// `exec -p` with this process; it gets the rest from defaults as engines fill it.
    #[track_caller]
    pub fn exec_process(&self, flags: &[&str], process: &Value) -> Output {
        let path = self.sandbox.dir().join(format!("process-{}.json", self.id));
        let mut full = json!({"cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin:/usr/bin"]});
        if let (Some(f), Some(p)) = (full.as_object_mut(), process.as_object()) {
            f.extend(p.clone());
        }
        let written = fs::write(&path, full.to_string());
        assert!(written.is_ok(), "{written:?}");
        self.sandbox.call(["exec"]).args(flags).arg("--process").arg(&path).arg(&self.id).run()
    }

    /// `exec` of the probe: its JSON lines.
    #[track_caller]
    pub fn exec_probe(&self, actions: &[&str]) -> Vec<Value> {
        let args: Vec<&str> = std::iter::once("/probe").chain(actions.iter().copied()).collect();
        self.exec(&args).expect_ok().lines()
    }

    /// What the container's process wrote so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// The JSON lines that it wrote so far.
    pub fn lines(&self) -> Vec<Value> {
        invocation::json_lines(&self.stdout())
    }

    /// Waits until it wrote a line with this key, and returns it.
    #[track_caller]
    pub fn wait_line(&self, key: &str) -> Value {
        let mut found = Value::Null;
        self.wait_until(&format!("a line with {key}"), || {
            found = self.lines().into_iter().find(|l| l.get(key).is_some()).unwrap_or_default();
            !found.is_null()
        });
        found
    }

    /// Waits until the probe said that it is ready.
    #[track_caller]
    pub fn wait_ready(&self) -> &Self {
        self.wait_line("ready");
        self
    }

    /// Waits for a status.
    #[track_caller]
    pub fn wait_status(&self, status: &str) {
        self.wait_until(status, || self.status() == status);
    }

    #[track_caller]
    fn wait_until(&self, what: &str, done: impl FnMut() -> bool) {
        let ok = eventually(done);
        assert!(
            ok,
            "waited in vain for {what}\nstdout: {}\n{}",
            self.stdout(),
            host::describe_process(self.pid())
        );
    }

    /// Waits for init's end: its exit code, 128+signal when killed. Works
    /// because the test is a subreaper, as engines are.
    #[track_caller]
    pub fn wait_exit(&self) -> i32 {
        let mut code = None;
        self.wait_until("exit", || {
            code = raw::waitpid(self.pid(), true).ok().flatten().map(|(_, s)| exit_code(s));
            code.is_some()
        });
        self.pid.set(0);
        code.unwrap_or(-1)
    }

    /// The container's cgroup on the host.
    pub fn cgroup(&self) -> PathBuf {
        Path::new(host::CGROUPS).join(&self.id)
    }

    /// A file of its cgroup.
    #[track_caller]
    pub fn cgroup_file(&self, name: &str) -> String {
        let path = self.cgroup().join(name);
        let text = fs::read_to_string(&path);
        assert!(text.is_ok(), "{}: {text:?}", path.display());
        text.unwrap_or_default().trim().to_owned()
    }
}

fn pid_of(state: &Value) -> i32 {
    state["pid"].as_i64().and_then(|p| p.try_into().ok()).unwrap_or(0)
}

/// Code of a raw wait status, 128+signal when killed.
pub fn exit_code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// Tries until it holds; false after ten seconds (more when emulated).
pub fn eventually(mut done: impl FnMut() -> bool) -> bool {
    let limit = Duration::from_secs(if invocation::slow() { 60 } else { 10 });
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    done()
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.sandbox.call(["delete", "--force"]).arg(&self.id).start().end();
        let pid = self.pid.get();
        if pid > 0 {
            // Ours by adoption: gone now, or the runtime failed to kill it.
            let _ =
                eventually(|| raw::waitpid(pid, true) != Ok(None) || raw::kill(pid, libc::SIGKILL).is_err());
        }
    }
}
