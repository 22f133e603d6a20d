//! Scheduling, I/O priority, memory policy and execution domain, as the process's own system calls tell them.

use runtime_tests::{Config, Sandbox, Value, host, json, raw, requires};

/// SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN of linux/sched.h.
const RESET_ON_FORK: u64 = 1;
const RECLAIM: u64 = 2;
const DL_OVERRUN: u64 = 4;

fn scheduler(s: &Sandbox, value: Value) -> Value {
    s.report(Config::default().set("/process/scheduler", value))["scheduler"].clone()
}

#[test]
fn every_scheduling_policy() {
    requires!(Spec(1, 1), Capability("SYS_NICE", 23));
    let s = Sandbox::new();
    for (policy, number, priority) in [("SCHED_FIFO", 1, 7), ("SCHED_RR", 2, 99)] {
        let got = scheduler(&s, json!({"policy": policy, "priority": priority}));
        assert_eq!((&got["policy"], &got["priority"]), (&json!(number), &json!(priority)), "{got}");
    }
    for (policy, number, nice) in [("SCHED_OTHER", 0, -7), ("SCHED_BATCH", 3, 19)] {
        let got = scheduler(&s, json!({"policy": policy, "nice": nice}));
        assert_eq!((&got["policy"], &got["nice"]), (&json!(number), &json!(nice)), "{got}");
    }
    assert_eq!(scheduler(&s, json!({"policy": "SCHED_IDLE"}))["policy"], 5);
}

#[test]
fn scheduling_flags() {
    requires!(Spec(1, 1), Capability("SYS_NICE", 23));
    let s = Sandbox::new();
    let flags = json!(["SCHED_FLAG_RESET_ON_FORK"]);
    let got = scheduler(&s, json!({"policy": "SCHED_RR", "priority": 3, "flags": flags}));
    assert_eq!(got["flags"].as_u64().unwrap() & RESET_ON_FORK, RESET_ON_FORK, "{got}");
    let got = scheduler(&s, json!({"policy": "SCHED_RR", "priority": 3}));
    assert_eq!(got["flags"].as_u64().unwrap() & RESET_ON_FORK, 0, "{got}");
}

#[test]
fn a_deadline_and_its_flags() {
    requires!(Spec(1, 1), Capability("SYS_NICE", 23));
    let s = Sandbox::new();
    let got = scheduler(
        &s,
        json!({"policy": "SCHED_DEADLINE", "runtime": 11_000_000, "deadline": 30_000_000, "period": 60_000_000,
            "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]}),
    );
    assert_eq!(got["policy"], 6, "{got}");
    assert_eq!(
        (&got["runtime"], &got["deadline"], &got["period"]),
        (&json!(11_000_000), &json!(30_000_000), &json!(60_000_000))
    );
    let all = RESET_ON_FORK | RECLAIM | DL_OVERRUN;
    assert_eq!(got["flags"].as_u64().unwrap() & all, all, "{got}");
    // Less time than is to run in it: the kernel's refusal is named.
    let bad = json!({"policy": "SCHED_DEADLINE", "runtime": 30_000_000, "deadline": 11_000_000, "period": 60_000_000});
    let out = s.run(Config::default().set("/process/scheduler", bad)).expect_code(1);
    out.expect_error("sched");
}

#[test]
fn exec_has_a_scheduler_of_its_own() {
    requires!(Spec(1, 1), Capability("SYS_NICE", 23));
    let s = Sandbox::new();
    let c = s.start(Config::sleeper().set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 3})));
    let r = c.exec_probe(&["report"]).remove(0);
    assert_eq!((&r["scheduler"]["policy"], &r["scheduler"]["nice"]), (&json!(3), &json!(3)));
    let process = json!({"args": ["/probe", "report"], "scheduler": {"policy": "SCHED_FIFO", "priority": 4}});
    let r = c.exec_process(&[], &process).expect_ok().lines().remove(0);
    assert_eq!((&r["scheduler"]["policy"], &r["scheduler"]["priority"]), (&json!(1), &json!(4)));
}

#[test]
fn every_class_of_io_priority() {
    requires!(Spec(1, 1), Capability("SYS_ADMIN", 21));
    let s = Sandbox::new();
    for (class, number, priority) in [
        ("IOPRIO_CLASS_RT", 1, 0),
        ("IOPRIO_CLASS_RT", 1, 7),
        ("IOPRIO_CLASS_BE", 2, 3),
        ("IOPRIO_CLASS_IDLE", 3, 5),
    ] {
        let wanted = json!({"class": class, "priority": priority});
        let r = s.report(Config::default().set("/process/ioPriority", wanted));
        assert_eq!(r["ioprio"], json!({"class": number, "level": priority}), "{class}");
    }
    let c = s.start(Config::sleeper());
    let process =
        json!({"args": ["/probe", "report"], "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1}});
    let r = c.exec_process(&[], &process).expect_ok().lines().remove(0);
    assert_eq!(r["ioprio"], json!({"class": 2, "level": 1}));
}

/// linux/mempolicy.h: flags are part of the mode that get_mempolicy(2) returns.
const STATIC_NODES: i64 = 1 << 15;
const RELATIVE_NODES: i64 = 1 << 14;
const NUMA_BALANCING: i64 = 1 << 13;

fn mempolicy(s: &Sandbox, value: Value) -> Value {
    s.report(Config::default().set("/linux/memoryPolicy", value))["mempolicy"].clone()
}

#[test]
fn every_mode_of_memory_policy() {
    requires!(Spec(1, 3), Path("/sys/devices/system/node/node0"), Kernel(5, 15));
    let s = Sandbox::new();
    for (mode, number, nodes) in [
        ("MPOL_PREFERRED", 1, "0"),
        ("MPOL_BIND", 2, "0"),
        ("MPOL_INTERLEAVE", 3, "0"),
        ("MPOL_PREFERRED_MANY", 5, "0"),
    ] {
        let got = mempolicy(&s, json!({"mode": mode, "nodes": nodes}));
        assert_eq!(got, json!({"mode": number, "nodes": 1}), "{mode}");
    }
    assert_eq!(mempolicy(&s, json!({"mode": "MPOL_DEFAULT"}))["mode"], 0);
    assert_eq!(mempolicy(&s, json!({"mode": "MPOL_LOCAL"}))["mode"], 4);
}

#[test]
fn a_weighted_interleave_policy() {
    requires!(Spec(1, 3), Path("/sys/devices/system/node/node0"), Kernel(6, 9));
    let s = Sandbox::new();
    assert_eq!(mempolicy(&s, json!({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}))["mode"], 6);
}

#[test]
fn the_flags_of_a_memory_policy() {
    requires!(Spec(1, 3), Path("/sys/devices/system/node/node0"), Kernel(5, 15));
    let s = Sandbox::new();
    for (mode, flags, number) in [
        ("MPOL_BIND", json!(["MPOL_F_STATIC_NODES"]), 2 | STATIC_NODES),
        ("MPOL_INTERLEAVE", json!(["MPOL_F_RELATIVE_NODES"]), 3 | RELATIVE_NODES),
        (
            "MPOL_BIND",
            json!(["MPOL_F_NUMA_BALANCING", "MPOL_F_STATIC_NODES"]),
            2 | NUMA_BALANCING | STATIC_NODES,
        ),
    ] {
        let got = mempolicy(&s, json!({"mode": mode, "nodes": "0", "flags": flags}));
        assert_eq!(got["mode"], number, "{mode} {flags}");
    }
}

#[test]
fn a_memory_policy_that_makes_no_sense_is_refused() {
    requires!(Spec(1, 3), RuncLike);
    let s = Sandbox::new();
    for (value, words) in [
        (json!({"mode": "MPOL_NONSENSE", "nodes": "0"}), "invalid memory policy mode"),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NONSENSE"]}),
            "invalid memory policy flag",
        ),
        (json!({"mode": "MPOL_BIND", "nodes": "0-x"}), "invalid memory policy node"),
        (json!({"mode": "MPOL_BIND", "nodes": "1023"}), "set_mempolicy"),
    ] {
        s.run(Config::default().set("/linux/memoryPolicy", value)).expect_code(1).expect_error(words);
    }
}

#[test]
fn exec_has_the_memory_policy_and_personality_of_init() {
    requires!(Spec(1, 3), RuncLike, Path("/sys/devices/system/node/node0"));
    let s = Sandbox::new();
    let config = Config::sleeper()
        .set("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0"}))
        .set("/linux/personality", json!({"domain": "LINUX32"}));
    let c = s.start(config);
    let r = c.exec_probe(&["report"]).remove(0);
    assert_eq!(r["mempolicy"], json!({"mode": 2, "nodes": 1}));
    assert_eq!(r["personality"], 8);
    let process = json!({"args": ["/probe", "report"]});
    let r = c.exec_process(&[], &process).expect_ok().lines().remove(0);
    assert_eq!(r["mempolicy"], json!({"mode": 2, "nodes": 1}));
    assert_eq!(r["personality"], 8);
}

#[test]
fn personality_changes_the_machine_s_name() {
    requires!(Spec(1, 1));
    let s = Sandbox::new();
    let with =
        |domain: &str| s.report(Config::default().set("/linux/personality", json!({"domain": domain})));
    let (long, short) = if cfg!(target_arch = "x86_64") { ("x86_64", "i686") } else { ("aarch64", "armv8l") };
    let r = with("LINUX32");
    assert_eq!((&r["personality"], &r["machine"]), (&json!(8), &json!(short)));
    let r = with("LINUX");
    assert_eq!((&r["personality"], &r["machine"]), (&json!(0), &json!(long)));
}

#[test]
fn exec_cpu_affinity_s_two_halves() {
    requires!(Spec(1, 3), RuncLike, Cpus(2));
    let s = Sandbox::new();
    // A cpuset gives everyone who enters it all its processors; since Linux 6.2 what someone had asked for stays.
    let stays = host::kernel() >= (6, 2) || !host::controllers().iter().any(|c| c == "cpuset");
    let all: Vec<usize> = raw::affinity();
    for (wanted, cpus) in [
        (json!({"initial": "1"}), if stays { json!([1]) } else { json!(all) }),
        (json!({"initial": "", "final": "0"}), json!([0])),
        (json!({"initial": "1", "final": "0-1"}), json!([0, 1])),
    ] {
        let c = s.start(Config::sleeper().set("/process/execCPUAffinity", wanted.clone()));
        c.wait_ready();
        let r = c.exec_probe(&["report"]).remove(0);
        assert_eq!(r["affinity"], cpus, "{wanted}");
        // Init is not meant.
        let init = std::fs::read_to_string(format!("/proc/{}/status", c.pid())).unwrap();
        let list = init.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:\t")).unwrap();
        assert!(list.starts_with('0') && list.len() > 1, "{list}");
    }
    let c = s.start(Config::sleeper());
    for bad in [json!({"initial": "x"}), json!({"final": "1-0"}), json!({"final": "99999"})] {
        let process = json!({"args": ["/probe", "report"], "execCPUAffinity": bad});
        c.exec_process(&[], &process).expect_code(255).expect_error("execCPUAffinity");
    }
}
