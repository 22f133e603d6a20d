//! The six hooks: when, where, with what, and what their failure does.

use runtime_tests::runtime::{Kind, probe_path};
use runtime_tests::{Config, Sandbox, Value, json, raw, requires};
use std::fs;

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that appends what it sees to `log`; on the host but for startContainer.
fn hook(kind: &str, log: &str, code: u8) -> Value {
    let path =
        if kind == "startContainer" { "/probe".to_owned() } else { probe_path().display().to_string() };
    json!({"path": path, "args": ["probe", "hook", log, kind, code.to_string()], "env": ["HOOK=yes", "PATH=/bin"]})
}

fn with_hooks(mut c: Config, kinds: &[&str], log: &str) -> Config {
    for k in kinds {
        let file = if *k == "startContainer" { "/log" } else { log };
        c = c.hook(k, hook(k, file, 0));
    }
    c
}

fn entries(path: impl AsRef<std::path::Path>) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn state_of(entry: &Value) -> Value {
    serde_json::from_str(entry["state"].as_str().unwrap()).unwrap()
}

#[test]
fn hooks_run_in_their_order() {
    let s = Sandbox::new();
    let log = s.path("log");
    let (id, b) = s.bundle(with_hooks(Config::default(), &KINDS, &log));
    s.run_bundle(&id, &b).expect_ok();
    let names: Vec<Value> = entries(&log).iter().map(|e| e["name"].clone()).collect();
    assert_eq!(names, ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]);
    assert_eq!(entries(b.inside("/log"))[0]["name"], "startContainer");
}

#[test]
fn each_hook_has_its_verb() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let log = s.path("log");
    let (id, b) = s.bundle(with_hooks(Config::probe(&["exit", "0"]), &KINDS, &log));
    let c = s.create_bundle(&id, &b);
    assert_eq!(entries(&log).len(), 3, "create runs prestart, createRuntime, createContainer");
    c.start();
    assert_eq!(c.wait_exit(), 0);
    assert_eq!(entries(&log).len(), 4, "start adds poststart");
    c.delete(&[]).expect_ok();
    assert_eq!(entries(&log).len(), 5, "delete adds poststop");
}

#[test]
fn hooks_get_the_state_on_stdin() {
    let s = Sandbox::new();
    let log = s.path("log");
    let c = with_hooks(Config::default(), &KINDS, &log).set("/annotations", json!({"key": "value"}));
    let (id, b) = s.bundle(c);
    s.run_bundle(&id, &b).expect_ok();
    let statuses = [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ];
    for (e, (name, status)) in entries(&log).iter().zip(statuses) {
        let state = state_of(e);
        assert_eq!(e["name"], name);
        assert_eq!(state["id"], id.as_str());
        assert_eq!(state["bundle"], b.dir.display().to_string());
        assert_eq!(state["annotations"]["key"], "value");
        // runc says "created" until the process runs, an old one even after.
        let got = state["status"].as_str().unwrap();
        assert!(got == status || (status != "stopped" && got == "created"), "{name}: {got}");
        if name != "poststop" {
            assert!(state["pid"].as_i64().unwrap() > 0, "{name}");
        }
    }
    let inside = state_of(&entries(b.inside("/log"))[0]);
    assert_eq!(inside["id"], id.as_str());
}

#[test]
fn hooks_see_the_namespaces_they_should() {
    let s = Sandbox::new();
    let log = s.path("log");
    let (id, b) = s.bundle(with_hooks(Config::probe(&["report"]), &KINDS, &log));
    let report = s.run_bundle(&id, &b).expect_ok().lines().remove(0);
    let host_mnt = fs::read_link("/proc/thread-self/ns/mnt").unwrap().display().to_string();
    let container_mnt = report["ns"]["mnt"].as_str().unwrap();
    for e in entries(&log) {
        let name = e["name"].as_str().unwrap();
        let want = if name == "createContainer" { container_mnt } else { &host_mnt };
        assert_eq!(e["mnt"], want, "{name}");
        if name == "createContainer" {
            assert_eq!(e["uts"], report["ns"]["uts"], "{name}");
        }
    }
    let inside = &entries(b.inside("/log"))[0];
    assert_eq!(inside["mnt"], container_mnt);
    assert_eq!(inside["pidns"], report["ns"]["pid"]);
}

#[test]
fn hooks_get_their_arguments_and_environment_only() {
    let s = Sandbox::new();
    let log = s.path("log");
    let (id, b) = s.bundle(with_hooks(Config::default(), &["createRuntime", "poststop"], &log));
    s.call(["run", "-b"]).arg(&b.dir).arg(&id).env("OF_THE_RUNTIME", "1").run().expect_ok();
    for e in entries(&log) {
        assert_eq!(e["argv"][0], "probe");
        assert_eq!(e["env"]["HOOK"], "yes");
        assert_eq!(e["env"]["OF_THE_RUNTIME"], Value::Null);
    }
}

#[test]
fn a_failing_hook_before_the_start_stops_everything() {
    let s = Sandbox::new();
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let log = s.path(&format!("log-{kind}"));
        let file = if kind == "startContainer" { "/log" } else { &log };
        let c = Config::probe(&["touch", "/ran"])
            .hook(kind, hook(kind, file, 3))
            .hook("poststop", hook("poststop", &log, 0));
        let (id, b) = s.bundle(c);
        s.run_bundle(&id, &b).expect_code(1).expect_error("hook");
        assert!(!b.inside("/ran").exists(), "{kind}");
        assert!(!s.state_root().join(&id).exists(), "{kind}");
        assert!(!std::path::Path::new("/sys/fs/cgroup").join(&id).exists(), "{kind}");
    }
}

#[test]
fn a_failing_hook_of_create_leaves_no_container() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let log = s.path("log");
    let c = Config::sleeper()
        .hook("createRuntime", hook("createRuntime", &log, 0))
        .hook("createRuntime", hook("second", &log, 1));
    let (id, b) = s.bundle(c);
    s.call(["create", "-b"]).arg(&b.dir).arg(&id).run().expect_code(1).expect_error("createRuntime hook #1");
    s.call(["state", &id]).run().expect_code(1);
}

#[test]
fn a_failing_poststart_hook() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let log = s.path("log");
    let c = Config::sleeper().hook("poststart", hook("poststart", &log, 1));
    let (id, b) = s.bundle(c);
    let c = s.create_bundle(&id, &b);
    // runc kills the container; the spec only wants a warning.
    let out = c.call(["start"]).run();
    if out.code != 0 {
        out.expect_error("poststart");
    }
    assert_eq!(entries(&log).len(), 1);
}

/// The container's process is gone when its poststart hook fails, and its pid belongs to somebody else.
#[test]
fn a_failing_poststart_hook_kills_nobody_else() {
    requires!(Krun);
    let last = "/proc/sys/kernel/ns_last_pid";
    if fs::OpenOptions::new().write(true).open(last).is_err() {
        return; // nobody can choose a pid here
    }
    let s = Sandbox::new();
    let file = s.path("other");
    // The shell forks again and again right behind the pid until it gets that one.
    let script = format!(
        "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); kill -9 $pid; while [ -e /proc/$pid ]; do :; done; \
         n=0; while [ $n -lt 1000 ]; do n=$((n+1)); echo $((pid-1)) > {last}; sleep 60 & \
         [ $! = $pid ] && break; kill $!; done; echo $! > {file}; exit 1"
    );
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]});
    let (id, b) = s.bundle(Config::sleeper().hook("poststart", hook));
    let c = s.create_bundle(&id, &b);
    let pid = c.pid();
    let start = c.call(["start"]).start();
    assert_eq!(c.wait_exit(), 137);
    start.wait().expect_code(1).expect_error("poststart");
    let other: i32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert_eq!(other, pid, "the hook got the pid");
    let alive = fs::read_to_string(format!("/proc/{other}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let _ = raw::kill(other, libc::SIGKILL);
    assert!(alive, "another process was killed");
}

#[test]
fn a_failing_poststop_hook_is_only_a_warning() {
    let s = Sandbox::new();
    let log = s.path("log");
    let c = Config::probe(&["exit", "0"])
        .hook("poststop", hook("a", &log, 1))
        .hook("poststop", hook("b", &log, 0));
    let (id, b) = s.bundle(c);
    let c = s.create_bundle(&id, &b);
    c.start();
    c.wait_exit();
    c.delete(&[]).expect_ok();
    // The specification wants the next one run all the same; runc doesn't.
    let krun = s.runtime.kind == Kind::Krun;
    assert_eq!(entries(&log).len(), if krun { 2 } else { 1 });
    assert!(c.try_state().is_none());
}

#[test]
fn a_hook_s_timeout() {
    let s = Sandbox::new();
    let slow = json!({"path": probe_path().display().to_string(), "args": ["probe", "sleep", "20000"], "timeout": 1});
    let (id, b) = s.bundle(Config::sleeper().hook("createRuntime", slow));
    let out = s.call(["create", "-b"]).arg(&b.dir).arg(&id).run().expect_code(1);
    assert!(out.took.as_secs() < 15, "{:?}", out.took);
    assert!(!s.state_root().join(&id).exists());
}

#[test]
fn a_hook_that_is_not_there_is_named() {
    let s = Sandbox::new();
    let c = Config::default().hook("createRuntime", json!({"path": "/no/such/hook"}));
    s.run(c).expect_code(1).expect_error("/no/such/hook");
}

#[test]
fn a_relative_hook_path_is_refused() {
    requires!(Krun);
    let s = Sandbox::new();
    s.run(Config::default().hook("createRuntime", json!({"path": "bin/hook"})))
        .expect_code(1)
        .expect_error("hooks");
}

#[test]
fn create_container_hooks_can_change_the_root() {
    requires!(Busybox);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["read", "/from-hook"]));
    let script = format!("echo made by a hook > {}/from-hook", b.rootfs().display());
    let c = Config::probe(&["read", "/from-hook"]).set("/linux/cgroupsPath", format!("/{id}"));
    b.write(&c.hook("createContainer", json!({"path": "/bin/sh", "args": ["sh", "-c", script]}))).unwrap();
    assert_eq!(s.run_bundle(&id, &b).expect_ok().lines()[0]["data"], "made by a hook\n");
}

#[test]
fn prestart_hooks_can_set_up_the_network() {
    requires!(Program("ip"), Program("nsenter"));
    let s = Sandbox::new();
    let script = "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); nsenter -t $pid -n ip link add veth-a type veth peer name veth-b";
    let c = Config::default().hook("prestart", json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}));
    let out = s.run(c);
    if out.code != 0 && out.stderr.to_lowercase().contains("not supported") {
        return;
    }
    let r = out.expect_ok().lines().remove(0);
    assert!(r["interfaces"].to_string().contains("veth-a"), "{}", r["interfaces"]);
}
