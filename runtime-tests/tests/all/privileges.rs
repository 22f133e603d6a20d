//! What a process has beyond its container: by a description that leaves things out, and for the moments of its birth.

use runtime_tests::runtime::Kind;
use runtime_tests::{Config, Sandbox, Value, json, requires};
use std::time::Instant;

/// What a process description leaves out comes from the container's own process.
#[test]
fn a_process_that_says_less_does_not_get_more() {
    requires!(Krun);
    let s = Sandbox::new();
    let user = json!({"uid": 0, "gid": 0, "umask": 0o027});
    let c = Config::sleeper()
        .set("/process/oomScoreAdj", 500)
        .set("/process/user", user)
        .set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 7, "hard": 8}]))
        .set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 5}))
        .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}));
    let c = s.start(c.args(&["/probe", "report", "--", "ready-sleep"]));
    let own = c.wait_line("fds");
    let bare = json!({"args": ["/probe", "report"]});
    let said = c.exec_process(&[], &bare).expect_ok().lines().remove(0);
    let same =
        ["caps", "no_new_privs", "oom_score_adj", "rlimits", "scheduler", "ioprio", "umask", "seccomp"];
    for member in same {
        assert_eq!(said[member], own[member], "{member}");
    }
    // What it does say is what it gets, also without a capability.
    let none = json!({"args": ["/probe", "report"], "capabilities": {}, "oomScoreAdj": 600});
    let said = c.exec_process(&[], &none).expect_ok().lines().remove(0);
    assert_eq!((&said["caps"]["effective"], &said["oom_score_adj"]), (&json!([]), &json!(600)));
}

/// The bits of capabilities by number.
fn bits(caps: &[u32]) -> u64 {
    caps.iter().fold(0, |bits, cap| bits | 1 << cap)
}

fn hunted(report: &Value) -> u64 {
    assert!(report["looks"].as_u64().unwrap() > 0, "it saw nobody: {report}");
    u64::from_str_radix(report["caps"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

const PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const KILL: u32 = 5;

/// A container with CAP_SYS_PTRACE spies on whoever comes in: what it could take over never has more than it has.
#[test]
fn a_process_of_exec_is_never_seen_with_more() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let caps = ["CAP_SYS_PTRACE", "CAP_KILL"];
    let allow = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]});
    for (no_new_privs, filter, more) in
        [(true, true, 0), (false, false, 0), (false, true, bits(&[SYS_ADMIN]))]
    {
        let mut config = Config::probe(&["hunt-caps", "2000", "--", "ready-sleep"]).capabilities(&caps);
        config = config.set("/process/noNewPrivileges", no_new_privs);
        if filter {
            config = config.set("/linux/seccomp", allow.clone());
        }
        let c = s.start(config);
        c.wait_ready();
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 1200 {
            c.exec(&["/probe", "exit", "0"]).expect_ok();
        }
        let beyond = hunted(&c.wait_line("caps")) & !bits(&[PTRACE, KILL]);
        if s.runtime.kind == Kind::Krun {
            // Loading a filter without no_new_privs takes CAP_SYS_ADMIN, in the process itself (seccomp(2)).
            assert_eq!(beyond & !more, 0, "no_new_privs {no_new_privs}, filter {filter}: {beyond:#x}");
        } else {
            println!("seen beyond the container's: {beyond:#x}");
        }
    }
}

/// A container is built in the pid namespace of another, which spies: what building does not take is gone by then.
#[test]
fn a_container_in_a_shared_pid_namespace_is_built_with_less() {
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.start(
        Config::probe(&["hunt-caps", "2500", "--", "ready-sleep"])
            .capabilities(&["CAP_SYS_PTRACE", "CAP_KILL"]),
    );
    c.wait_ready();
    let begun = Instant::now();
    while begun.elapsed().as_millis() < 1500 {
        let config = Config::probe(&["exit", "0"]);
        s.run(config.join_namespace("pid", &format!("/proc/{}/ns/pid", c.pid()))).expect_ok();
    }
    let seen = hunted(&c.wait_line("caps"));
    // CAP_SYS_MODULE, RAWIO, BOOT, TIME, SYSLOG, PERFMON, BPF, AUDIT_CONTROL.
    assert_eq!(seen & bits(&[16, 17, 22, 25, 34, 38, 39, 30]), 0, "{seen:#x}");
}
