//! A shim under test with the containers it serves; all of it goes on drop.

use crate::client::{Client, Event, Refused, events};
use crate::wire::{Message, Out};
use runtime_tests::bundle::Bundle;
use runtime_tests::{Config, host, raw, runtime};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

static NEXT: AtomicU32 = AtomicU32::new(0);
const GROUP: &str = "io.containerd.runc.v2.group";

/// One pod's shim.
#[derive(Debug)]
pub struct Daemon {
    pub dir: PathBuf,
    pub address: String,
    pub client: Client,
    pub events: Receiver<Event>,
    pub pid: i32,
    pub group: String,
    ids: Vec<String>,
}

/// Gives the thread a private /run, where shims have their sockets and state.
fn private_run() {
    thread_local!(static DONE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    host::enter_private_mounts();
    if !DONE.replace(true) {
        raw::mount("tmpfs", "/run", "tmpfs", 0, "").unwrap();
    }
}

/// Calls the shim's command line in a bundle.
pub fn command(dir: &Path, bundle: &Path, id: &str, action: &str, stdin: &[u8]) -> std::process::Output {
    command_of(None, dir, bundle, id, action, stdin)
}

/// The same as a containerd of 1.7 or newer, which says what it can read.
pub fn command_of(
    version: Option<&str>,
    dir: &Path,
    bundle: &Path,
    id: &str,
    action: &str,
    stdin: &[u8],
) -> std::process::Output {
    let mut child = spawn(version, dir, bundle, id, action);
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    child.wait_with_output().unwrap()
}

/// The same, still waiting for the end of its input.
pub fn spawn(version: Option<&str>, dir: &Path, bundle: &Path, id: &str, action: &str) -> Child {
    let mut child = Command::new(runtime::shim_path());
    child.env_remove("MAX_SHIM_VERSION").envs(version.map(|v| ("MAX_SHIM_VERSION", v)));
    child
        .args([
            "-namespace",
            "test",
            "-address",
            "/no/containerd.sock",
            "-publish-binary",
            "/none",
            "-id",
            id,
        ])
        .arg("-bundle")
        .arg(bundle)
        .arg(action)
        .env("TTRPC_ADDRESS", dir.join("events.sock"))
        .current_dir(bundle)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Daemon {
    /// Starts a shim for a new group.
    pub fn start() -> Self {
        private_run();
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let group = format!("kst-{}-{n}", std::process::id());
        let dir = std::env::temp_dir().join(&group);
        fs::create_dir_all(&dir).unwrap();
        let events = events(&dir.join("events.sock"));
        let first = bundle(&dir, &group, &group, Config::sleeper());
        let started = command(&dir, &first.dir, &group, "start", &[]);
        assert!(started.status.success() && started.stderr.is_empty(), "{started:?}");
        let address = String::from_utf8(started.stdout).unwrap();
        let path = address.strip_prefix("unix://").unwrap();
        let mut client = Client::connect(path);
        let pid = client.call("Connect", Out::new().bytes(1, "")).unwrap().int(1);
        let pid = i32::try_from(pid).unwrap();
        Self { dir, address, client, events, pid, group, ids: Vec::new() }
    }

    /// Asks for the group's shim again and goes on with that.
    pub fn restart(&mut self) {
        let out = command(&self.dir, &self.dir.join(&self.group), &self.group, "start", &[]);
        assert_eq!(String::from_utf8(out.stdout).unwrap(), self.address);
        self.client = self.connect();
        self.pid =
            i32::try_from(self.client.call("Connect", Out::new().bytes(1, "")).unwrap().int(1)).unwrap();
    }

    /// Another connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address.strip_prefix("unix://").unwrap())
    }

    /// A bundle of this shim's group, under a new id.
    pub fn bundle(&mut self, config: Config) -> (String, Bundle) {
        let id = format!("{}-c{}", self.group, self.ids.len());
        self.ids.push(id.clone());
        let bundle = bundle(&self.dir, &self.group, &id, config);
        (id, bundle)
    }

    /// Create with null stdio.
    pub fn create(&mut self, config: Config) -> String {
        self.create_with(config, |request| request).unwrap().0
    }

    /// Create with more in the request. Returns id and pid.
    pub fn create_with(
        &mut self,
        config: Config,
        more: impl FnOnce(Out) -> Out,
    ) -> Result<(String, u64), Refused> {
        let (id, bundle) = self.bundle(config);
        let request = Out::new().bytes(1, &id).bytes(2, bundle.dir.to_str().unwrap());
        let response = self.client.call("Create", more(request))?;
        Ok((id, response.int(1)))
    }

    /// Create and Start.
    pub fn run(&mut self, config: Config) -> String {
        let id = self.create(config);
        self.call("Start", &id).unwrap();
        id
    }

    /// A method that takes a container's id only.
    pub fn call(&mut self, method: &str, id: &str) -> Result<Message, Refused> {
        self.client.call(method, Out::new().bytes(1, id))
    }

    /// A method that takes the ids of a container and a process.
    pub fn call_exec(&mut self, method: &str, id: &str, exec: &str) -> Result<Message, Refused> {
        self.client.call(method, Out::new().bytes(1, id).bytes(2, exec))
    }

    /// Adds a process to a container.
    pub fn exec(&mut self, id: &str, exec: &str, args: &[&str]) -> Result<Message, Refused> {
        self.client.call("Exec", exec_request(id, exec, args))
    }

    pub fn kill(&mut self, id: &str, exec: &str, signal: u64) -> Result<Message, Refused> {
        self.client.call("Kill", Out::new().bytes(1, id).bytes(2, exec).int(3, signal))
    }

    /// The state's number: 1 created, 2 running, 3 stopped, 4 paused.
    pub fn status(&mut self, id: &str, exec: &str) -> u64 {
        self.call_exec("State", id, exec).unwrap().int(4)
    }

    /// The next event of a container: topic's last part and body.
    pub fn event(&self) -> Event {
        let (topic, body) = self.events.recv_timeout(Duration::from_secs(10)).expect("an event within 10 s");
        (topic.trim_start_matches("/tasks/").to_owned(), body)
    }

    /// The topics of the next events.
    pub fn topics(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.event().0).collect()
    }
}

/// An Exec request for a plain process.
pub fn exec_request(id: &str, exec: &str, args: &[&str]) -> Out {
    let process =
        json!({"args": args, "cwd": "/", "env": ["PATH=/bin:/usr/bin"], "user": {"uid": 0, "gid": 0}});
    let spec = Out::new().bytes(1, "types.containerd.io/opencontainers/runtime-spec/1/Process");
    Out::new().bytes(1, id).bytes(2, exec).bytes(7, spec.bytes(2, process.to_string()).done())
}

fn bundle(dir: &Path, group: &str, id: &str, config: Config) -> Bundle {
    let config =
        config.set("/annotations", json!({GROUP: group})).set("/linux/cgroupsPath", format!("/{group}/{id}"));
    Bundle::make(&dir.join(id), &config).unwrap()
}

/// Waits until something holds, 10 seconds at most.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = raw::kill(self.pid, libc::SIGKILL);
        for id in &self.ids {
            command(&self.dir, &self.dir.join(id), id, "delete", &[]);
        }
        let _ = fs::remove_dir(Path::new(host::CGROUPS).join(&self.group));
        let _ = fs::remove_dir_all(&self.dir);
    }
}
