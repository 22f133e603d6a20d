//! From Create to Delete: states, answers and events.

use crate::client::{
    ALREADY_EXISTS, FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, Refused, UNIMPLEMENTED,
};
use crate::daemon::{Daemon, until};
use crate::wire::{Message, Out};
use runtime_tests::{Config, host, json, requires};
use std::path::Path;

const KILL: u64 = 9;
const TERM: u64 = 15;

#[test]
fn a_container_s_life_in_states_and_events() {
    let mut shim = Daemon::start();
    let id = shim.create(Config::sleeper());
    assert_eq!(shim.status(&id, ""), 1);
    let state = shim.call("State", &id).unwrap();
    let pid = state.int(3);
    assert!(pid > 1 && state.text(2).ends_with(&id), "{state:?}");
    assert_eq!(shim.call("Start", &id).unwrap().int(1), pid);
    assert_eq!(shim.status(&id, ""), 2);
    assert_eq!(shim.call("Delete", &id).unwrap_err().0, FAILED_PRECONDITION);
    shim.kill(&id, "", KILL).unwrap();
    let waited = shim.call("Wait", &id).unwrap();
    assert_eq!(waited.int(1), 137);
    assert!(waited.message(2).int(1) > 1_700_000_000);
    assert_eq!(shim.status(&id, ""), 3);
    assert_eq!(shim.kill(&id, "", TERM).unwrap_err().0, NOT_FOUND);
    let deleted = shim.call("Delete", &id).unwrap();
    assert_eq!((deleted.int(1), deleted.int(2)), (pid, 137));
    assert_eq!(shim.call("State", &id).unwrap_err().0, NOT_FOUND);
    assert_eq!(shim.topics(4), ["create", "start", "exit", "delete"]);
}

/// The shim has sockets, fifos and other containers' descriptors open: none of them waits at the gate, or is in the program.
#[test]
fn nothing_of_the_shim_is_open_in_a_container() {
    let mut shim = Daemon::start();
    for propagation in ["rprivate", "shared"] {
        let config = Config::probe(&["ready-sleep"]).set("/linux/rootfsPropagation", propagation);
        let id = shim.create(config);
        let pid = shim.call("State", &id).unwrap().int(3);
        let beyond = |mine: &dyn Fn(&str) -> bool| {
            let all = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
            let all = all.filter(|e| e.file_name().to_string_lossy().parse::<i32>().unwrap() > 2);
            let targets = all.map(|e| std::fs::read_link(e.path()).unwrap().display().to_string());
            targets.filter(|target| !mine(target)).collect::<Vec<_>>()
        };
        let mut open = beyond(&|target| target.ends_with("/exec.fifo"));
        assert!(
            open.len() == 1 && open.remove(0).starts_with("socket:"),
            "{propagation}, at the gate: {open:?}"
        );
        shim.call("Start", &id).unwrap();
        let open = beyond(&|_| false);
        assert!(open.is_empty(), "{propagation}, in the program: {open:?}");
    }
}

#[test]
fn an_exit_status_is_the_process_s_own() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::default().args(&["/bin/sh", "-c", "exit 42"]));
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 42);
    let (topics, bodies): (Vec<_>, Vec<_>) = (0..3).map(|_| shim.event()).unzip();
    assert_eq!(topics, ["create", "start", "exit"]);
    assert_eq!((bodies[2].text(1), bodies[2].text(2), bodies[2].int(4)), (id.clone(), id, 42));
}

#[test]
fn exec_has_a_life_of_its_own() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    shim.exec(&id, "one", &["/bin/sh", "-c", "exit 7"]).unwrap();
    assert_eq!(shim.exec(&id, "one", &["/bin/true"]).unwrap_err().0, ALREADY_EXISTS);
    assert_eq!(shim.status(&id, "one"), 1);
    assert_eq!(shim.kill(&id, "one", TERM).unwrap_err().0, FAILED_PRECONDITION);
    let pid = shim.call_exec("Start", &id, "one").unwrap().int(1);
    assert!(pid > 1);
    assert_eq!(shim.call_exec("Wait", &id, "one").unwrap().int(1), 7);
    assert_eq!(shim.call_exec("Delete", &id, "one").unwrap().int(2), 7);
    assert_eq!(shim.call_exec("State", &id, "one").unwrap_err().0, NOT_FOUND);
    assert_eq!(shim.topics(5), ["create", "start", "exec-added", "exec-started", "exit"]);
    shim.exec(&id, "two", &["/bin/sleep", "100"]).unwrap();
    shim.call_exec("Start", &id, "two").unwrap();
    let pids = shim.call("Pids", &id).unwrap().all(1);
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert!(pids.iter().any(|p| p.message(2).message(2).text(1) == "two"), "{pids:?}");
    // Init's exit comes after that of every exec, which it takes with it.
    shim.kill(&id, "", KILL).unwrap();
    assert_eq!(shim.call_exec("Wait", &id, "two").unwrap().int(1), 137);
    assert_eq!(shim.topics(2), ["exec-added", "exec-started"]);
    let (first, second) = (shim.event().1, shim.event().1);
    assert_eq!((first.text(2).as_str(), second.text(2)), ("two", id));
}

#[test]
fn a_missing_program_is_told_by_name() {
    let mut shim = Daemon::start();
    let refused = shim.create_with(Config::default().args(&["/no/such"]), |r| r).unwrap_err();
    assert!(refused.1.contains("/no/such") && refused.1.contains("no such file"), "{refused:?}");
    let id = shim.run(Config::sleeper());
    shim.exec(&id, "bad", &["/no/such"]).unwrap();
    let refused = shim.call_exec("Start", &id, "bad").unwrap_err();
    assert!(refused.1.contains("/no/such"), "{refused:?}");
    shim.call_exec("Delete", &id, "bad").unwrap();
    shim.exec(&id, "bad", &["/bin/true"]).unwrap();
    shim.call_exec("Start", &id, "bad").unwrap();
}

#[test]
fn pause_stops_and_resume_goes_on() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    assert_eq!(shim.call("Resume", &id).unwrap_err().0, FAILED_PRECONDITION);
    shim.call("Pause", &id).unwrap();
    assert_eq!(shim.status(&id, ""), 4);
    assert_eq!(shim.call("Pause", &id).unwrap_err().0, FAILED_PRECONDITION);
    assert_eq!(shim.exec(&id, "e", &["/bin/true"]).unwrap_err().0, FAILED_PRECONDITION);
    shim.call("Resume", &id).unwrap();
    assert_eq!(shim.status(&id, ""), 2);
    shim.call("Pause", &id).unwrap();
    shim.kill(&id, "", KILL).unwrap();
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 137);
    assert_eq!(shim.topics(6), ["create", "start", "paused", "resumed", "paused", "exit"]);
}

#[test]
fn a_created_container_can_be_deleted() {
    let mut shim = Daemon::start();
    let id = shim.create(Config::sleeper());
    assert_eq!(shim.call("Delete", &id).unwrap().int(2), 137);
    assert_eq!(shim.topics(3), ["create", "exit", "delete"]);
}

#[test]
fn the_shared_pid_namespace_s_rest_dies_with_init() {
    let mut shim = Daemon::start();
    let script = "sleep 1000 & echo $! > /child; sleep 0.2";
    let id = shim.run(Config::default().without_namespace("pid").args(&["/bin/sh", "-c", script]));
    shim.call("Wait", &id).unwrap();
    let child = std::fs::read_to_string(shim.dir.join(&id).join("rootfs/child")).unwrap();
    let child = child.trim().parse().unwrap();
    until("the child is dead", || host::is_dead(child));
}

#[test]
fn what_is_unknown_is_unimplemented() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    assert_eq!(shim.call("Checkpoint", &id).unwrap_err().0, UNIMPLEMENTED);
    assert_eq!(shim.call("Nonsense", &id).unwrap_err().0, UNIMPLEMENTED);
    shim.client.service = "containerd.task.v3.Task";
    assert_eq!(shim.status(&id, ""), 2);
    shim.client.service = "containerd.runtime.sandbox.v1.Sandbox";
    assert_eq!(shim.call("SandboxStatus", &id).unwrap_err().0, UNIMPLEMENTED);
}

#[test]
fn shutdown_waits_for_the_last_container() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    shim.call("Shutdown", &id).unwrap();
    assert_eq!(shim.status(&id, ""), 2);
    shim.kill(&id, "", KILL).unwrap();
    shim.call("Wait", &id).unwrap();
    shim.call("Delete", &id).unwrap();
    shim.call("Shutdown", &id).unwrap();
    let pid = shim.pid;
    until("the shim is gone", || host::is_dead(pid));
    let socket = shim.address.strip_prefix("unix://").unwrap();
    assert!(!std::path::Path::new(socket).exists());
}

#[test]
fn the_oom_killer_is_told_before_the_exit() {
    requires!(Controller("memory"));
    let mut shim = Daemon::start();
    let config =
        Config::default().set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
    // busybox's dd takes its block in one piece.
    let id =
        shim.run(config.args(&["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]));
    let status = shim.call("Wait", &id).unwrap().int(1);
    assert_eq!(status, 137);
    assert_eq!(shim.topics(4), ["create", "start", "oom", "exit"]);
    shim.call("Delete", &id).unwrap();
}

#[test]
fn limits_show_in_stats_and_update_changes_them() {
    requires!(Controller("memory"), Controller("pids"));
    let mut shim = Daemon::start();
    let limits = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 50}, "devices": []});
    let id = shim.run(Config::sleeper().set("/linux/resources", limits));
    let mut metrics = || shim.call("Stats", &id).unwrap().message(1).message(2);
    assert_eq!((metrics().message(1).int(2), metrics().message(4).int(33)), (50, 64 << 20));
    let resources =
        Out::new().bytes(1, "r").bytes(2, json!({"memory": {"limit": 80 << 20}}).to_string()).done();
    shim.client.call("Update", Out::new().bytes(1, &id).bytes(2, resources)).unwrap();
    let metrics = shim.call("Stats", &id).unwrap().message(1).message(2);
    assert_eq!(metrics.message(4).int(33), 80 << 20);
}

#[test]
fn a_cgroup_deeper_than_the_shim_has_descriptors() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let mut deepest = Path::new(host::CGROUPS).join(&shim.group).join(&id);
    deepest.extend((0..500).map(|_| "d"));
    std::fs::create_dir_all(&deepest).unwrap();
    krun_sys::process::prlimit(shim.pid, 7, 128, 128).unwrap();
    assert_eq!(shim.call("Pids", &id).unwrap().all(1).len(), 1);
    shim.kill(&id, "", KILL).unwrap();
    shim.call("Wait", &id).unwrap();
    shim.call("Delete", &id).unwrap();
    assert!(!deepest.exists());
}

fn update(shim: &mut Daemon, id: &str, resources: &runtime_tests::Value) -> Result<Message, Refused> {
    let resources = Out::new().bytes(1, "r").bytes(2, resources.to_string()).done();
    shim.client.call("Update", Out::new().bytes(1, id).bytes(2, resources))
}

/// As `krun update` does it: what isn't named stays, also what an update before this one has set.
#[test]
fn an_update_adds_to_those_before_it() {
    requires!(Controller("pids"), Controller("cpu"));
    let mut shim = Daemon::start();
    let id =
        shim.run(Config::sleeper().set("/linux/resources", json!({"pids": {"limit": 50}, "devices": []})));
    let dir = Path::new(host::CGROUPS).join(&shim.group).join(&id);
    let file = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap().trim_end().to_owned();
    update(&mut shim, &id, &json!({"cpu": {"quota": 5000, "period": 20000}, "pids": {}})).unwrap();
    assert_eq!((file("cpu.max"), file("pids.max")), ("5000 20000".into(), "50".into()));
    update(&mut shim, &id, &json!({"cpu": {"quota": 6000}})).unwrap();
    assert_eq!(file("cpu.max"), "6000 20000", "only the quota: the period stays");
    let refused = update(&mut shim, &id, &json!({"unified": {"pids.max\0": "1"}})).unwrap_err();
    assert!(refused.0 == INVALID_ARGUMENT && refused.1.contains("NUL"), "{refused:?}");
}

#[test]
fn an_update_without_a_limit_sets_none_and_is_remembered() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    update(&mut shim, &id, &json!({"pids": {}, "unified": {"cgroup.max.depth": "7"}})).unwrap();
    let dir = Path::new(host::CGROUPS).join(&shim.group).join(&id);
    assert_eq!(std::fs::read_to_string(dir.join("cgroup.max.depth")).unwrap(), "7\n");
    let state = Path::new("/run/containerd/krun/test").join(&id).join("state.json");
    assert!(std::fs::read_to_string(state).unwrap().contains("cgroup.max.depth"));
}

/// As `krun exec --process` reads it.
#[test]
fn an_exec_s_process_is_read_as_krun_reads_it() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let mut exec = |name: &str, args: &[&str]| {
        let caps = json!({"bounding": ["CAP_KILL", "CAP_OF_TOMORROW"]});
        let process = json!({"args": args, "cwd": "/", "env": ["PATH=/bin"], "capabilities": caps});
        let spec = Out::new().bytes(1, "types.containerd.io/opencontainers/runtime-spec/1/Process");
        let spec = spec.bytes(2, process.to_string()).done();
        shim.client.call("Exec", Out::new().bytes(1, &id).bytes(2, name).bytes(7, spec)).unwrap();
        shim.call_exec("Start", &id, name)
    };
    exec("unknown", &["/bin/true"]).unwrap();
    let refused = exec("nul", &["/bin/true", "a\0b"]).unwrap_err();
    assert!(refused.0 == INVALID_ARGUMENT && refused.1.contains("NUL"), "{refused:?}");
}

/// Kill with `all`: any signal, also a real-time one, which ends what doesn't expect it.
#[test]
fn a_signal_to_all_reaches_all() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::default().without_namespace("pid").args(&["/bin/sleep", "1000"]));
    shim.exec(&id, "other", &["/bin/sleep", "1000"]).unwrap();
    shim.call_exec("Start", &id, "other").unwrap();
    shim.client.call("Kill", Out::new().bytes(1, &id).int(3, 36).int(4, 1)).unwrap();
    assert_eq!(shim.call_exec("Wait", &id, "other").unwrap().int(1), 128 + 36);
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 128 + 36);
}

#[test]
fn a_shim_that_ends_is_found_by_nobody() {
    let mut shim = Daemon::start();
    for _ in 0..10 {
        let id = shim.run(Config::default().args(&["/bin/true"]));
        shim.call("Wait", &id).unwrap();
        shim.call("Delete", &id).unwrap();
        shim.call("Shutdown", &id).unwrap();
        // At once: the old shim may still have events to deliver.
        shim.restart();
    }
}

#[test]
fn stats_and_update_reach_the_cgroup() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let stats = shim.call("Stats", &id).unwrap().message(1);
    assert_eq!(stats.text(1), "io.containerd.cgroups.v2.Metrics");
    assert!(stats.message(2).has(2), "cpu.stat is there without any controller");
    let resources = Out::new().bytes(1, "r").bytes(2, "{}").done();
    shim.client.call("Update", Out::new().bytes(1, &id).bytes(2, resources)).unwrap();
}
