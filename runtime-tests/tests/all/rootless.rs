//! Containers of an ordinary user: with subordinate ids and without, with a
//! delegated cgroup and without, and what such a container can't have.

use runtime_tests::user::{SUB, UID, own_id, sub_ids};
use runtime_tests::{Config, Sandbox, User, Value, host, json, requires};
use std::fs;

fn words(text: &Value) -> Vec<&str> {
    text.as_str().unwrap_or_default().split_whitespace().collect()
}

/// What `spec --rootless` writes, running the probe instead of a shell.
fn own_spec(user: &User<'_>, args: &[&str]) -> (String, runtime_tests::bundle::Bundle) {
    let (id, b) = user.bundle(&Config::default());
    fs::remove_file(b.dir.join("config.json")).unwrap();
    user.call(["spec", "--rootless"]).cwd(&b.dir).run().expect_ok();
    let mut spec: Value = serde_json::from_slice(&fs::read(b.dir.join("config.json")).unwrap()).unwrap();
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(args);
    b.write_text(&spec.to_string()).unwrap();
    (id, b)
}

#[test]
fn the_rootless_example_runs() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, b) = own_spec(&user, &["/probe", "report"]);
    let r = user.call(["run", "-b"]).arg(&b.dir).arg(&id).run().expect_ok().lines().remove(0);
    assert_eq!(r["uid"], json!({"real": 0, "effective": 0, "saved": 0}));
    assert_eq!(words(&r["uid_map"]), ["0", &UID.to_string(), "1"]);
    assert_eq!(words(&r["gid_map"]), ["0", &UID.to_string(), "1"]);
    assert_eq!(r["setgroups"], "deny");
    assert_eq!(r["groups"], json!([]));
    assert_eq!(r["pid"], 1);
}

#[test]
fn without_newuidmap_the_own_id_is_enough() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, b) = user.bundle(&own_id(Config::default()));
    let call = user.call(["run", "-b"]).arg(&b.dir).arg(&id).env("PATH", "/nowhere");
    let r = call.run().expect_ok().lines().remove(0);
    assert_eq!(words(&r["uid_map"]), ["0", &UID.to_string(), "1"]);
    assert_eq!(r["no_new_privs"], true);
    assert_eq!(crate::strings(&r["caps"]["effective"]).len(), 3);
}

#[test]
fn without_newuidmap_a_range_is_an_error() {
    requires!(Krun, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, b) = user.bundle(&sub_ids(Config::default()));
    user.call(["run", "-b"])
        .arg(&b.dir)
        .arg(&id)
        .env("PATH", "/nowhere")
        .run()
        .expect_code(1)
        .expect_error("linux.uidMappings")
        .expect_error("newuidmap")
        .expect_error("only map its owner's own id");
    assert!(!user.runtime_dir().join("krun").join(&id).exists());
}

#[test]
fn subordinate_ids_are_mapped() {
    requires!(RuncLike, UserNamespace, Program("newuidmap"));
    let s = Sandbox::new();
    let user = User::new(&s);
    let groups = json!({"uid": 5, "gid": 6, "additionalGids": [7, 1000]});
    let r = user.report(sub_ids(Config::default()).set("/process/user", groups.clone()));
    assert_eq!(r["uid"]["effective"], 5);
    assert_eq!(r["gid"]["effective"], 6);
    assert_eq!(r["groups"], json!([7, 1000]));
    let first = [0, UID, 1, 1, SUB, 65_536].map(|n| n.to_string());
    assert_eq!(words(&r["uid_map"]), first);
    assert_eq!(words(&r["gid_map"]), first);
    assert_eq!(r["setgroups"], "allow");
    let (_, pid) = user.start(sub_ids(Config::default()).set("/process/user", groups));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{}\t", SUB + 4)), "{status}");
}

#[test]
fn ids_that_nobody_gave_the_user_are_refused() {
    requires!(Krun, UserNamespace, Program("newuidmap"));
    let s = Sandbox::new();
    let user = User::new(&s);
    for (field, map) in [
        (
            "uid",
            json!([{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": 300_000, "size": 9}]),
        ),
        (
            "gid",
            json!([{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": SUB, "size": 65_537}]),
        ),
        ("uid", json!([{"containerID": 0, "hostID": 0, "size": 1}])),
    ] {
        let config = sub_ids(Config::default()).set(&format!("/linux/{field}Mappings"), map);
        user.run(&config)
            .expect_code(1)
            .expect_error(&format!("linux.{field}Mappings"))
            .expect_error(&format!("new{field}map"));
    }
    assert_eq!(fs::read_dir(user.runtime_dir().join("krun")).unwrap().count(), 0, "nothing is left");
}

#[test]
fn every_command_works_for_its_owner() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, pid) = user.start(own_id(Config::default()));
    // The default root is the user's own.
    assert!(user.runtime_dir().join(s.runtime.path.file_name().unwrap()).join(&id).exists());
    let state = user.call(["state", &id]).run().expect_ok().json();
    assert_eq!((&state["status"], &state["pid"]), (&json!("running"), &json!(pid)));
    let list = user.call(["list", "--format", "json"]).run().expect_ok().json();
    assert_eq!(list[0]["id"], json!(id));
    let r = user.call(["exec", &id, "/probe", "report"]).run().expect_ok().lines().remove(0);
    let theirs = fs::read_link(format!("/proc/{pid}/ns/user")).unwrap().display().to_string();
    assert_eq!(r["ns"]["user"], json!(theirs));
    assert_eq!(r["uid"]["effective"], 0);
    assert_eq!(crate::strings(&r["caps"]["effective"]).len(), 3);
    assert_eq!(r["no_new_privs"], true);
    user.call(["exec", &id, "/probe", "exit", "7"]).run().expect_code(7);
    user.call(["kill", &id, "KILL"]).run().expect_ok();
    runtime_tests::raw::waitpid(pid, false).unwrap();
    let state = user.call(["state", &id]).run().expect_ok().json();
    assert_eq!(state["status"], "stopped");
    user.call(["delete", &id]).run().expect_ok();
    user.call(["state", &id]).run().expect_code(1).expect_error("does not exist");
}

#[test]
fn create_start_and_a_forced_delete() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, b) = user.bundle(&own_id(Config::sleeper()));
    user.call(["create", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    let status = |id: &str| user.call(["state", id]).run().expect_ok().json()["status"].clone();
    assert_eq!(status(&id), "created");
    user.call(["start", &id]).run().expect_ok();
    assert_eq!(status(&id), "running");
    user.call(["delete", &id]).run().expect_code(1);
    for _ in 0..2 {
        user.call(["delete", "--force", &id]).run().expect_ok();
    }
}

#[test]
fn a_terminal_works() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, b) = user.bundle(&own_id(Config::default()).set("/process/terminal", true));
    let out = user.call(["run", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    let r = out.lines().remove(0);
    assert_eq!(r["tty"]["stdin"], true);
    assert_eq!(r["tty"]["controlling"], true);
}

#[test]
fn devices_are_the_host_s_by_bind() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let actions = ["open-rw", "/dev/null", "--", "read", "/dev/zero", "4", "--", "open-rw", "/dev/ptmx"];
    let out = user.run(&own_id(Config::probe(&actions))).expect_ok();
    let lines = out.lines();
    assert_eq!(
        (&lines[0]["ok"], &lines[1]["length"], &lines[2]["ok"]),
        (&json!(true), &json!(4), &json!(true))
    );
    // One that the host lacks can't be made with mknod(2).
    let device = json!({"path": "/dev/absent", "type": "c", "major": 1, "minor": 200});
    user.run(&own_id(Config::default()).push("/linux/devices", device))
        .expect_code(1)
        .expect_error("linux.devices[0]");
}

/// JSON pointer and value that a rootless container can't have, and what is said of it.
fn impossible() -> Vec<(&'static str, Value, &'static str)> {
    let map = json!([{"containerID": 0, "hostID": UID, "size": 1}]);
    let idmapped = json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"],
        "uidMappings": map, "gidMappings": map}]);
    vec![
        ("/linux/netDevices", json!({"lo": {}}), "network devices are not supported for rootless containers"),
        ("/mounts", idmapped, "id-mapped mounts are not supported for rootless containers"),
        (
            "/mounts",
            json!([{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["gid=5"]}]),
            "cannot specify gid=5 mount option for rootless container",
        ),
        ("/process/user", json!({"uid": 1, "gid": 0}), "process.user.uid"),
        ("/process/user", json!({"uid": 0, "gid": 1}), "process.user.gid"),
        (
            "/process/user",
            json!({"uid": 0, "gid": 0, "additionalGids": [5]}),
            "cannot set any additional groups in a rootless container",
        ),
        ("/process/oomScoreAdj", json!(-999), "process.oomScoreAdj"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 2_000_000_000, "hard": 2_000_000_000}]),
            "process.rlimits[0]",
        ),
        ("/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 5}), "process.scheduler"),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_RT", "priority": 1}), "process.ioPriority"),
        ("/linux/sysctl", json!({"kernel.panic": "1"}), "linux.sysctl.kernel.panic"),
        ("/linux/cgroupsPath", json!("/not-mine"), "not-mine"),
        ("/linux/resources", json!({"pids": {"limit": 5}}), "cgroup"),
        ("/linux/resources", json!({"unified": {"pids.max": "5"}}), "cgroup"),
    ]
}

#[test]
fn what_a_rootless_container_cannot_have_is_refused_by_name() {
    requires!(Krun, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let mut wrong = Vec::new();
    for (pointer, value, words) in impossible() {
        let out = user.run(&own_id(Config::default()).set(pointer, value.clone()));
        if out.code != 1 || !out.stderr.contains(words) {
            wrong.push(format!("{pointer} = {value}: code {} and no {words:?} in {}", out.code, out.stderr));
        }
        for id in user.ids() {
            if user.runtime_dir().join("krun").join(&id).exists() {
                wrong.push(format!("{pointer} = {value} left the state of {id}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_user_namespace_nothing_starts() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let user = User::new(&s);
    user.run(&Config::default()).expect_code(1).expect_error("rootless container requires user namespaces");
}

#[test]
fn without_delegation_the_caller_s_cgroup_is_used() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let (id, pid) = user.start(own_id(Config::default()));
    let cgroup = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let v2 = |text: String| text.lines().find(|l| l.starts_with("0::")).map(str::to_owned);
    assert_eq!(v2(cgroup(&pid.to_string())), v2(cgroup("self")));
    user.call(["exec", &id, "/probe", "exit", "3"]).run().expect_code(3);
    // Neither may be pretended.
    user.call(["pause", &id]).run().expect_code(1);
    user.call(["update", "--pids-limit", "9", &id]).run().expect_code(1).expect_error("cgroup");
    user.call(["kill", &id, "KILL"]).run().expect_ok();
}

#[test]
fn the_flag_tells_whether_a_cgroup_may_be_missing() {
    requires!(Krun, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    for (flag, code) in [("true", 0), ("false", 1), ("auto", 0)] {
        let (id, b) = user.bundle(&own_id(Config::default()));
        let out = user.call([&format!("--rootless={flag}"), "run", "-b"]).arg(&b.dir).arg(&id).run();
        assert_eq!(out.code, code, "{flag}: {out:?}");
        assert!(code == 0 || out.stderr.contains("mkdir"), "{out:?}");
    }
    user.call(["--rootless", "maybe", "list"]).run().expect_code(1).expect_error("--rootless");
}

#[test]
fn a_delegated_cgroup_is_used() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::delegated(&s);
    let (id, pid) = user.start(own_id(Config::default()));
    let group = user.cgroup(&id);
    let procs = || fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert_eq!(procs().trim(), pid.to_string());
    let file = user.home().join("exec.pid");
    user.call(["exec", "-d", "--pid-file"]).arg(&file).args([&id, "/probe", "ready-sleep"]).run().expect_ok();
    let second = fs::read_to_string(&file).unwrap();
    assert!(procs().lines().any(|l| l == second), "{second} isn't in {}", procs());
    user.call(["pause", &id]).run().expect_ok();
    assert!(fs::read_to_string(group.join("cgroup.events")).unwrap().contains("frozen 1"));
    assert_eq!(user.call(["state", &id]).run().expect_ok().json()["status"], "paused");
    user.call(["resume", &id]).run().expect_ok();
    let pids = user.call(["ps", "--format", "json", &id]).run().expect_ok().json();
    assert_eq!(pids.as_array().unwrap().len(), 2);
    let _ = runtime_tests::raw::kill(second.parse().unwrap(), libc::SIGKILL);
    let _ = runtime_tests::raw::waitpid(second.parse().unwrap(), false);
    user.call(["delete", "--force", &id]).run().expect_ok();
    assert!(!group.exists());
}

#[test]
fn exec_follows_init_in_a_delegated_cgroup() {
    requires!(RuncLike, UserNamespace, Controller("pids"));
    let s = Sandbox::new();
    let user = User::delegated(&s);
    let (id, pid) = user.start(own_id(Config::default()));
    crate::exec::divide(&user.cgroup(&id), pid);
    crate::exec::assert_beside_init(&user.call(["exec", &id, "/probe", "report"]).run().expect_ok());
}

#[test]
fn limits_hold_in_a_delegated_cgroup() {
    requires!(RuncLike, UserNamespace, Controller("memory"), Controller("pids"), Controller("cpu"));
    let s = Sandbox::new();
    let user = User::delegated(&s);
    let limits = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 9},
        "cpu": {"shares": 2, "quota": 50_000, "period": 100_000}, "unified": {"memory.high": "50331648"}});
    let (id, _) = user.start(own_id(Config::default()).set("/linux/resources", limits));
    let read = |file: &str| fs::read_to_string(user.cgroup(&id).join(file)).unwrap().trim().to_owned();
    assert_eq!(read("memory.max"), (64 << 20).to_string());
    assert_eq!(read("memory.high"), "50331648");
    assert_eq!(read("pids.max"), "9");
    assert_eq!(read("cpu.weight"), "1");
    assert_eq!(read("cpu.max"), "50000 100000");
    let out = user.call(["exec", &id, "/probe", "fork", "30"]).run().expect_ok();
    assert_eq!(out.lines()[0]["errno"], "EAGAIN");
    user.call(["update", "--pids-limit", "23", &id]).run().expect_ok();
    assert_eq!(read("pids.max"), "23");
    let stats = user.call(["events", "--stats", &id]).run().expect_ok().json();
    assert_eq!(stats["data"]["pids"]["limit"], 23);
}

#[test]
fn a_controller_that_was_not_delegated_is_named() {
    requires!(Krun, UserNamespace, Controller("memory"), Controller("pids"));
    let s = Sandbox::new();
    let user = User::delegated(&s);
    fs::write(user.cgroup("cgroup.subtree_control"), "-memory").unwrap();
    runtime_tests::raw::chown(&user.cgroup("cgroup.subtree_control"), 0, 0).unwrap();
    let memory = json!({"memory": {"limit": 64 << 20}});
    user.run(&own_id(Config::default()).set("/linux/resources", memory))
        .expect_code(1)
        .expect_error("linux.resources.memory.limit")
        .expect_error("not delegated");
    let pids = json!({"pids": {"limit": 7}});
    user.run(&own_id(Config::probe(&["exit", "0"])).set("/linux/resources", pids)).expect_ok();
}

#[test]
fn a_writable_cgroup_is_the_container_s_to_divide() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::delegated(&s);
    let config = own_id(Config::default()).without_mount("/sys/fs/cgroup").mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev"],
    );
    let (id, _) = user.start(config);
    let out = user.call(["exec", &id, "/probe", "mkdir", "/sys/fs/cgroup/sub"]).run().expect_ok();
    assert_eq!(out.lines()[0]["ok"], true);
    user.call(["delete", "--force", &id]).run().expect_ok();
    assert!(!user.cgroup(&id).exists(), "with its sub-cgroup");
}

#[test]
fn root_of_a_user_namespace_is_no_root() {
    requires!(Krun, UserNamespace, Program("unshare"));
    let s = Sandbox::new();
    let user = User::new(&s);
    // As an engine does that has made the namespace itself: none in config.json.
    let (id, b) = user.bundle(&Config::default().remove("/linux/resources").without_mount("/dev/pts").mount(
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    ));
    let runtime = s.dir().join("runtime");
    let nested = |args: &[&str]| {
        let call = user.program("/bin/sh".as_ref()).args(["-c", "exec unshare -r -m \"$@\"", "sh"]);
        call.arg(&runtime).args(args).arg(&id)
    };
    let bundle = b.dir.display().to_string();
    let r = nested(&["run", "-b", &bundle]).run().expect_ok().lines().remove(0);
    assert_eq!(r["uid"]["effective"], 0);
    assert_eq!(words(&r["uid_map"]), ["0", &UID.to_string(), "1"]);
    assert!(user.runtime_dir().join("krun").is_dir(), "the state is in XDG_RUNTIME_DIR");
    let groups = json!({"uid": 0, "gid": 0, "additionalGids": [5]});
    b.write(&Config::default().remove("/linux/resources").set("/process/user", groups)).unwrap();
    nested(&["run", "-b", &bundle]).run().expect_code(1).expect_error("process.user.additionalGids");
    assert!(!std::path::Path::new(host::CGROUPS).join(&id).exists());
}
