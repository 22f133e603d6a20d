//! update and events: limits that change, and what is told of their use.

use crate::cgroups::{MB, running};
use runtime_tests::container::eventually;
use runtime_tests::{Config, Sandbox, json, raw, requires};

#[test]
fn update_of_each_limit() {
    requires!(Controller("memory"), Controller("pids"), Controller("cpu"), Controller("cpuset"), Cpus(2));
    let s = Sandbox::new();
    let c = running(&s, json!({"memory": {"limit": 64 * MB}}));
    let update = |flags: &[&str]| s.call(["update"]).args(flags).arg(&c.id).run().expect_ok();
    update(&["--memory", "96M"]);
    assert_eq!(c.cgroup_file("memory.max"), (96 * MB).to_string());
    update(&["--memory", &(80 * MB).to_string(), "--memory-swap", &(100 * MB).to_string()]);
    assert_eq!(c.cgroup_file("memory.max"), (80 * MB).to_string());
    assert_eq!(c.cgroup_file("memory.swap.max"), (20 * MB).to_string());
    update(&["--memory-reservation", "33554432"]);
    assert_eq!(c.cgroup_file("memory.low"), "33554432");
    update(&["--pids-limit", "23"]);
    assert_eq!(c.cgroup_file("pids.max"), "23");
    update(&["--cpu-quota", "30000", "--cpu-period", "50000"]);
    assert_eq!(c.cgroup_file("cpu.max"), "30000 50000");
    update(&["--cpu-quota", "20000"]);
    assert_eq!(c.cgroup_file("cpu.max"), "20000 50000", "only the quota: the period stays");
    update(&["--cpu-period", "60000"]);
    assert_eq!(c.cgroup_file("cpu.max"), "20000 60000", "only the period: the quota stays");
    update(&["--cpu-share", "2"]);
    assert_eq!(c.cgroup_file("cpu.weight"), "1");
    update(&["--cpuset-cpus", "1"]);
    assert_eq!(c.exec_probe(&["report"])[0]["affinity"], json!([1]));
    update(&["--memory", "-1", "--memory-swap", "-1"]);
    assert_eq!(c.cgroup_file("memory.max"), "max");
}

#[test]
fn update_from_a_file_and_from_stdin() {
    requires!(Controller("memory"), Controller("pids"));
    let s = Sandbox::new();
    let c = running(&s, json!({"memory": {"limit": 64 * MB}, "pids": {"limit": 50}}));
    let file = s.path("resources.json");
    std::fs::write(&file, json!({"memory": {"limit": 48 * MB}}).to_string()).unwrap();
    s.call(["update", "--resources", &file, &c.id]).run().expect_ok();
    assert_eq!(c.cgroup_file("memory.max"), (48 * MB).to_string());
    assert_eq!(c.cgroup_file("pids.max"), "50", "what isn't named stays");
    let text = json!({"pids": {"limit": 31}}).to_string();
    s.call(["update", "-r", "-", &c.id]).input(&text).run().expect_ok();
    assert_eq!(c.cgroup_file("pids.max"), "31");
}

#[test]
fn update_is_felt() {
    requires!(Controller("pids"));
    let s = Sandbox::new();
    let c = running(&s, json!({"pids": {"limit": 100}}));
    assert_eq!(c.exec_probe(&["fork", "20"])[0]["errno"], json!(null));
    s.call(["update", "--pids-limit", "8", &c.id]).run().expect_ok();
    assert_eq!(c.exec_probe(&["fork", "20"])[0]["errno"], "EAGAIN");
}

#[test]
fn a_limit_below_the_usage_is_rejected_when_checked() {
    requires!(Controller("memory"), RuncLike, Spec(1, 1));
    let s = Sandbox::new();
    let c = running(&s, json!({"memory": {"limit": 64 * MB}}));
    let text = json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}}).to_string();
    s.call(["update", "-r", "-", &c.id])
        .input(&text)
        .run()
        .expect_code(1)
        .expect_error("rejecting memory limit");
    assert_eq!(c.cgroup_file("memory.max"), (64 * MB).to_string());
    assert_eq!(c.status(), "running");
}

#[test]
fn update_of_a_stopped_container() {
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["exit", "0"]));
    c.wait_exit();
    s.call(["update", "--pids-limit", "10", &c.id]).run().expect_code(1);
}

#[test]
fn update_changes_device_rules() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let c = s.start(Config::sleeper().capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE"]));
    c.wait_ready();
    let attempt = ["mknod", "/tmp/kmsg", "c", "1", "11", "--", "open-write", "/tmp/kmsg"];
    assert_eq!(c.exec_probe(&attempt)[1]["errno"], "EPERM");
    let text = json!({"devices": [{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw"}]})
        .to_string();
    s.call(["update", "-r", "-", &c.id]).input(&text).run().expect_ok();
    let after = c.exec_probe(&["open-write", "/tmp/kmsg", "--", "open-rw", "/dev/null"]);
    // runc's update takes no device rules: what it does with them is its own.
    if s.runtime.kind == runtime_tests::runtime::Kind::Krun {
        assert_eq!(after[1]["ok"], true, "{after:?}");
    }
}

#[test]
fn events_tell_of_an_oom() {
    requires!(Controller("memory"), RuncLike);
    let s = Sandbox::new();
    let c = running(&s, json!({"memory": {"limit": 48 * MB, "swap": 48 * MB}}));
    let events = s.call(["events", "--interval", "200ms", &c.id]).start();
    assert!(eventually(|| events.stdout().contains("\"stats\"")), "{}", events.stderr());
    c.exec(&["/probe", "alloc", "200"]).expect_code(137);
    assert!(eventually(|| events.stdout().contains("\"type\":\"oom\"")), "{}", events.stdout());
    c.kill("KILL").expect_ok();
    c.wait_exit();
    let _ = raw::kill(events.pid(), libc::SIGTERM);
    events.end();
}

#[test]
fn stats_count_what_is_used() {
    requires!(Controller("memory"), Controller("cpu"), Controller("pids"), RuncLike);
    let s = Sandbox::new();
    let c = running(&s, json!({"memory": {"limit": 64 * MB}, "pids": {"limit": 20}}));
    c.exec_probe(&["spin", "200"]);
    let d = s.call(["events", "--stats", &c.id]).run().expect_ok().json()["data"].clone();
    assert_eq!(d["memory"]["usage"]["limit"], 64 * MB);
    assert!(d["cpu"]["usage"]["total"].as_u64().unwrap() > 100_000_000, "nanoseconds: {}", d["cpu"]);
    assert_eq!(d["pids"]["limit"], 20);
}
