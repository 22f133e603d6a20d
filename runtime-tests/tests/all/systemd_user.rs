//! The systemd driver for an ordinary user: scopes of the user's own service manager, and
//! ids by newuidmap(1) or none but the user's own.

use crate::cgroups::MB;
use crate::exec::{assert_beside_init, divide};
use runtime_tests::container::eventually;
use runtime_tests::invocation::Invocation;
use runtime_tests::{Config, Need, Output, Sandbox, Value, host, json, raw, requires};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ID: u32 = 1000;
/// The lingering user's manager listens.
const BUS: Need = Need::Path("/run/user/1000/bus");

/// The calls of the user, whose containers are deleted at the end.
struct User<'s> {
    sandbox: &'s Sandbox,
    root: PathBuf,
    made: std::cell::RefCell<Vec<String>>,
}

impl<'s> User<'s> {
    fn new(sandbox: &'s Sandbox) -> User<'s> {
        let root = sandbox.dir().join("user");
        fs::create_dir(&root).unwrap();
        raw::chown(&root, ID, ID).unwrap();
        User { sandbox, root, made: std::cell::RefCell::default() }
    }

    /// Any program, with nothing of root left but its cgroup.
    fn program(&self, program: &str) -> Invocation {
        let ids = ["--reuid=1000", "--regid=1000", "--clear-groups"];
        Invocation::new(Path::new("setpriv"), self.sandbox.dir())
            .args(ids)
            .args(["--inh-caps=-all", "--"])
            .arg(program)
            .env("XDG_RUNTIME_DIR", "/run/user/1000")
    }

    fn call(&self, args: &[&str]) -> Invocation {
        let runtime = self.sandbox.runtime.path.display().to_string();
        self.program(&runtime).arg("--root").arg(self.root.join("state")).args(args)
    }

    fn bundle(&self, config: Config) -> (String, String) {
        let id = self.sandbox.new_id();
        let path = format!("user.slice:kt:{id}");
        let b = self.sandbox.bundle_for(&id, config.set("/linux/cgroupsPath", path));
        let owned = Command::new("chown").args(["-R", "1000:1000"]).arg(&b.dir).status().unwrap();
        assert!(owned.success());
        self.made.borrow_mut().push(id.clone());
        (id, b.dir.display().to_string())
    }

    fn run(&self, config: Config) -> (Output, String) {
        let (id, dir) = self.bundle(config);
        (self.call(&["--systemd-cgroup", "run", "--bundle", &dir, &id]).run(), format!("kt-{id}.scope"))
    }

    /// A container that runs: its id and pid.
    fn start(&self, config: Config) -> (String, i32) {
        let (id, dir) = self.bundle(config.args(&["/probe", "ready-sleep"]));
        let file = self.root.join("pid").display().to_string();
        let args = ["--systemd-cgroup", "run", "--detach", "--pid-file", &file, "--bundle", &dir, &id];
        let running = self.call(&args).start();
        let out = running.stdout_file().to_owned();
        running.wait().expect_ok();
        assert!(eventually(|| fs::read_to_string(&out).is_ok_and(|text| text.contains("ready"))));
        (id, fs::read_to_string(file).unwrap().parse().unwrap())
    }

    fn show(&self, id: &str, property: &str) -> String {
        let args = ["--user", "show", "--value", "-p", property, "--"];
        let out = self.program("systemctl").args(args).arg(format!("kt-{id}.scope")).run().expect_ok();
        out.stdout.trim().to_owned()
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        for id in self.made.take() {
            self.call(&["delete", "--force", &id]).start().end();
        }
    }
}

/// A user namespace whose root is the user, with more ids behind it if `more`.
fn mapped(config: Config, more: bool) -> Config {
    let mut map = json!([{"containerID": 0, "hostID": ID, "size": 1}]);
    if more {
        let range = json!({"containerID": 1, "hostID": 100_000, "size": 65_536});
        map.as_array_mut().unwrap().push(range);
    }
    let options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    config
        .with_namespace("user")
        .remove("/linux/resources")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .without_mount("/dev/pts")
        .mount("/dev/pts", "devpts", "devpts", &options)
}

fn limited(limits: Value) -> Config {
    mapped(Config::default(), false).set("/linux/resources", limits)
}

fn cgroup_of(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().find_map(|l| l.strip_prefix("0::")).unwrap().to_owned()
}

#[test]
fn a_scope_of_the_user_s_own_manager() {
    requires!(BUS, Krun, Program("setpriv"));
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, pid) = user.start(mapped(Config::default(), false));
    let path = format!("/user.slice/user-1000.slice/user@1000.service/user.slice/kt-{id}.scope");
    assert_eq!(cgroup_of(pid), path);
    assert_eq!(user.show(&id, "ControlGroup"), path);
    assert_eq!(user.show(&id, "Delegate"), "yes");
    assert_eq!(user.show(&id, "ActiveState"), "active");
    // The caller's cgroup is not the user's: only systemd may move a process from there.
    let file = user.root.join("exec.pid").display().to_string();
    user.call(&["exec", "-d", "--pid-file", &file, &id, "/probe", "ready-sleep"]).run().expect_ok();
    let second: i32 = fs::read_to_string(&file).unwrap().parse().unwrap();
    assert_eq!(cgroup_of(second), path);
    user.call(&["pause", &id]).run().expect_ok();
    let events = format!("{}{path}/cgroup.events", host::CGROUPS);
    assert!(fs::read_to_string(events).unwrap().contains("frozen 1"));
    user.call(&["resume", &id]).run().expect_ok();
    raw::kill(second, libc::SIGKILL).unwrap();
    raw::waitpid(second, false).unwrap();
    user.call(&["kill", &id, "KILL"]).run().expect_ok();
    raw::waitpid(pid, false).unwrap();
    user.call(&["delete", &id]).run().expect_ok();
    assert!(eventually(|| user.show(&id, "LoadState") == "not-found"));
    assert!(!Path::new(&format!("{}{path}", host::CGROUPS)).exists());
}

#[test]
fn exec_follows_init_in_the_user_s_scope() {
    requires!(BUS, Krun, Program("setpriv"));
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, pid) = user.start(mapped(Config::default(), false));
    divide(Path::new(&format!("{}{}", host::CGROUPS, cgroup_of(pid))), pid);
    assert_beside_init(&user.call(&["exec", &id, "/probe", "report"]).run().expect_ok());
    user.call(&["exec", "--cgroup", "/", &id, "/probe", "exit", "0"]).run().expect_code(255);
}

#[test]
fn limits_of_the_user_s_scopes() {
    requires!(BUS, Krun, Program("setpriv"));
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, pid) = user.start(limited(json!({
        "memory": {"limit": 64 * MB},
        "pids": {"limit": 12},
        "cpu": {"shares": 2, "quota": 50_000, "period": 100_000},
    })));
    assert_eq!(user.show(&id, "MemoryMax"), (64 * MB).to_string());
    assert_eq!(user.show(&id, "TasksMax"), "12");
    assert_eq!(user.show(&id, "CPUWeight"), "1");
    assert_eq!(user.show(&id, "CPUQuotaPerSecUSec"), "500ms");
    let file = |name: &str| {
        let text = fs::read_to_string(format!("{}{}/{name}", host::CGROUPS, cgroup_of(pid)));
        text.unwrap().trim().to_owned()
    };
    assert_eq!(file("memory.max"), (64 * MB).to_string());
    assert_eq!(file("cpu.max"), "50000 100000");
    let out = user.call(&["exec", &id, "/probe", "fork", "40"]).run().expect_ok();
    assert_eq!(out.lines()[0]["errno"], "EAGAIN");
    user.call(&["update", "--pids-limit", "33", "--memory", "80M", &id]).run().expect_ok();
    assert_eq!((user.show(&id, "TasksMax"), file("pids.max")), ("33".to_owned(), "33".to_owned()));
    assert_eq!(user.show(&id, "MemoryMax"), (80 * MB).to_string());
}

#[test]
fn subordinate_ids_in_a_scope() {
    requires!(BUS, Krun, Program("setpriv"), Program("newuidmap"));
    let s = Sandbox::new();
    let user = User::new(&s);
    let other = json!({"uid": 5, "gid": 5, "additionalGids": [7]});
    let (_, pid) = user.start(mapped(Config::default(), true).set("/process/user", other));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t100004\t"), "{status}");
    assert!(cgroup_of(pid).contains("/user@1000.service/"));
}

#[test]
fn what_fails_for_a_user_is_named() {
    requires!(BUS, Krun, Program("setpriv"));
    let s = Sandbox::new();
    let user = User::new(&s);
    let note = "/annotations/org.systemd.property.NoSuchProperty";
    let (out, unit) = user.run(mapped(Config::default(), false).set(note, "true"));
    out.expect_code(1).expect_error(&unit).expect_error("NoSuchProperty");
    let (id, dir) = user.bundle(mapped(Config::default(), false));
    let call = user.call(&["--systemd-cgroup", "run", "--bundle", &dir, &id]);
    let nowhere = call.env("XDG_RUNTIME_DIR", "/nowhere").env("DBUS_SESSION_BUS_ADDRESS", "");
    nowhere.run().expect_code(1).expect_error("no user D-Bus");
    let state = user.root.join("state");
    assert_eq!(fs::read_dir(state).unwrap().count(), 0, "nothing is left");
}
