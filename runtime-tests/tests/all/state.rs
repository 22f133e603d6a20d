//! state, list, ps, events, features: what the runtime says about containers.

use runtime_tests::{Config, Sandbox, Value, json, requires};

#[test]
fn state_has_all_its_fields() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    let state = c.state();
    assert_eq!(state["id"], c.id.as_str());
    assert_eq!(state["bundle"], c.bundle.dir.display().to_string());
    assert_eq!(state["rootfs"], c.bundle.rootfs().display().to_string());
    assert_eq!(state["status"], "created");
    assert!(state["pid"].as_i64().unwrap() > 1);
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    let created = state["created"].as_str().unwrap();
    assert!(created.len() >= 20 && created.contains('T') && created.ends_with('Z'), "{created}");
    assert_eq!(state["owner"], "");
}

#[test]
fn state_is_indented_by_two() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    let out = c.call(["state"]).run().expect_ok();
    assert!(out.stdout.starts_with("{\n  \"ociVersion\": \""), "{}", out.stdout);
}

#[test]
fn an_empty_list() {
    requires!(RuncLike);
    let s = Sandbox::new();
    assert_eq!(s.call(["list", "-f", "json"]).run().expect_ok().stdout.trim(), "null");
    assert_eq!(s.call(["list", "-q"]).run().expect_ok().stdout, "");
    let table = s.call(["list"]).run().expect_ok().stdout;
    assert_eq!(
        table.split_whitespace().collect::<Vec<_>>(),
        ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    );
}

#[test]
fn list_knows_every_container() {
    let s = Sandbox::new();
    let a = s.create(Config::sleeper());
    let b = s.start(Config::sleeper());
    let list = s.call(["list", "--format", "json"]).run().expect_ok().json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2);
    for c in [&a, &b] {
        let entry = list.iter().find(|e| e["id"] == c.id.as_str()).unwrap();
        for key in ["ociVersion", "pid", "status", "bundle", "rootfs", "created"] {
            assert_eq!(entry[key], c.state()[key], "{key}");
        }
        assert_eq!(entry["owner"], "root");
    }
    let quiet = s.call(["list", "-q"]).run().expect_ok().stdout;
    let mut ids: Vec<&str> = quiet.lines().collect();
    ids.sort_unstable();
    let mut want = vec![a.id.as_str(), b.id.as_str()];
    want.sort_unstable();
    assert_eq!(ids, want);
    let table = s.call(["list"]).run().expect_ok().stdout;
    let row = table.lines().find(|l| l.starts_with(&b.id)).unwrap();
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[1], b.pid().to_string());
    assert_eq!(row[2], "running");
}

#[test]
fn list_survives_a_stopped_and_a_foreign_entry() {
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["exit", "0"]));
    c.wait_exit();
    std::fs::write(s.state_root().join("stray-file"), "x").unwrap();
    let list = s.call(["list", "-f", "json"]).run().expect_ok().json();
    assert_eq!(list[0]["status"], "stopped");
    assert_eq!(list[0]["pid"], 0);
}

#[test]
fn ps_as_json_and_as_a_table() {
    requires!(Program("ps"));
    let s = Sandbox::new();
    let c = s.sleeping();
    let pids = s.call(["ps", "--format", "json", &c.id]).run().expect_ok().json();
    assert_eq!(pids, json!([c.pid()]));
    let table = s.call(["ps", &c.id]).run().expect_ok().stdout;
    let lines: Vec<&str> = table.lines().collect();
    // Whose process it is has one heading in procps and another in busybox.
    assert!(
        ["UID", "USER"].iter().any(|name| lines[0].contains(name)) && lines[0].contains("PID"),
        "{table}"
    );
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[1].contains("ready-sleep"), "{table}");
}

#[test]
fn ps_with_options_of_ps() {
    requires!(Program("ps"), RuncLike);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let table = s.call(["ps", &c.id, "-e", "-o", "pid,args"]).run().expect_ok().stdout;
    assert!(table.lines().count() == 2 && table.contains(&c.pid().to_string()), "{table}");
}

#[test]
fn pause_and_resume() {
    let s = Sandbox::new();
    let c = s.sleeping();
    c.call(["resume"]).run().expect_code(1);
    c.call(["pause"]).run().expect_ok();
    assert_eq!(c.status(), "paused");
    assert!(c.cgroup_file("cgroup.events").contains("frozen 1"));
    c.call(["pause"]).run().expect_code(1);
    c.exec(&["/probe", "exit", "0"]).expect_code(255).expect_error("paused");
    c.call(["resume"]).run().expect_ok();
    assert_eq!(c.status(), "running");
    assert!(c.cgroup_file("cgroup.events").contains("frozen 0"));
    c.exec(&["/probe", "exit", "0"]).expect_ok();
}

#[test]
fn kill_9_reaches_a_paused_container() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    c.call(["pause"]).run().expect_ok();
    c.kill("KILL").expect_ok();
    assert_eq!(c.wait_exit(), 137);
    c.delete(&[]).expect_ok();
}

#[test]
fn delete_force_of_a_paused_container() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    c.call(["pause"]).run().expect_ok();
    c.delete(&["--force"]).expect_ok();
    assert_eq!(c.wait_exit(), 137);
    assert!(!c.cgroup().exists());
}

#[test]
fn exec_into_a_paused_container_when_told_so() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let c = s.sleeping();
    c.call(["pause"]).run().expect_ok();
    let call = c.exec_call(&["--ignore-paused"], &["/probe", "exit", "6"]).start();
    std::thread::sleep(std::time::Duration::from_millis(100));
    c.call(["resume"]).run().expect_ok();
    call.wait().expect_code(6);
}

#[test]
fn events_stats_in_the_schema_of_runc() {
    requires!(RuncLike, Controller("pids"), Controller("memory"), Controller("cpu"));
    let s = Sandbox::new();
    let c = s.sleeping();
    let e = s.call(["events", "--stats", &c.id]).run().expect_ok().json();
    assert_eq!(e["type"], "stats");
    assert_eq!(e["id"], c.id.as_str());
    assert_eq!(e["data"]["pids"]["current"], 1);
    assert!(e["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
    assert!(e["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 0);
}

/// The members of an object, sorted.
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// runc's types/events.go, with what it leaves out on cgroup v2.
#[test]
fn events_stats_have_runc_s_members_and_no_others() {
    requires!(RuncLike, Controller("pids"), Controller("memory"), Controller("cpu"));
    let s = Sandbox::new();
    let c = s.sleeping();
    let event = s.call(["events", "--stats", &c.id]).run().expect_ok().json();
    assert_eq!(keys(&event), ["data", "id", "type"]);
    let data = &event["data"];
    let all = ["blkio", "cpu", "cpuset", "hugetlb", "intel_rdt", "memory", "network_interfaces", "pids"];
    assert_eq!(keys(data), all);
    for (member, allowed) in [
        (&data["cpu"], &["psi", "throttling", "usage"][..]),
        (&data["cpu"]["usage"], &["kernel", "total", "user"]),
        (&data["memory"], &["cache", "psi", "raw", "swap", "usage"]),
        (&data["memory"]["usage"], &["failcnt", "limit", "max", "usage"]),
        (&data["memory"]["swap"], &["failcnt", "limit", "usage"]),
        (&data["pids"], &["current", "limit"]),
        (&data["blkio"], &["ioServiceBytesRecursive", "ioServicedRecursive", "psi"]),
    ] {
        let strange: Vec<_> = keys(member).into_iter().filter(|key| !allowed.contains(key)).collect();
        assert!(strange.is_empty(), "{strange:?} in {member}");
    }
    let cpuset = [
        "cpu_exclusive",
        "mem_exclusive",
        "mem_hardwall",
        "memory_migrate",
        "memory_pressure",
        "memory_spread_page",
        "memory_spread_slab",
        "sched_load_balance",
        "sched_relax_domain_level",
    ];
    assert_eq!(keys(&data["cpuset"]), cpuset);
    assert_eq!((&data["network_interfaces"], &data["intel_rdt"]), (&Value::Null, &json!({})));
}

#[test]
fn state_and_list_have_runc_s_members_and_no_others() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let all = ["bundle", "created", "id", "ociVersion", "owner", "pid", "rootfs", "status"];
    let c = s.create(Config::default().remove("/annotations"));
    assert_eq!(keys(&c.state()), all);
    assert_eq!(keys(&s.call(["list", "-f", "json"]).run().expect_ok().json()[0]), all);
    let noted = s.create(Config::default().set("/annotations", json!({"a": "b"})));
    assert_eq!(noted.state()["annotations"], json!({"a": "b"}));
    for command in [&["list", "--format", "yaml"][..], &["ps", "--format", "yaml", &c.id]] {
        s.call(command.iter().copied()).run().expect_code(1).expect_error("invalid format option");
    }
}

#[test]
fn events_of_a_stopped_container() {
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["exit", "0"]));
    c.wait_exit();
    s.call(["events", "--stats", &c.id]).run().expect_code(1).expect_error("not running");
}
