//! Seccomp: what is filtered, with which answer, for init and exec.

use runtime_tests::{Config, Sandbox, Value, json, requires};

fn profile(default: &str, rules: Value) -> Value {
    json!({"defaultAction": default, "architectures": [native()], "syscalls": rules})
}

fn native() -> &'static str {
    if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" }
}

fn with(actions: &[&str], rules: Value) -> Config {
    Config::probe(actions).set("/linux/seccomp", profile("SCMP_ACT_ALLOW", rules))
}

#[test]
fn no_profile_no_filter() {
    let s = Sandbox::new();
    let r = s.report(Config::default());
    assert_eq!(r["status"]["Seccomp"], "0");
}

#[test]
fn a_profile_is_in_force() {
    let s = Sandbox::new();
    let rules = json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO"}]);
    let lines = s.probe(with(&["report", "--", "syscall", "getcpu", "0", "0", "0"], rules));
    assert_eq!(lines[0]["status"]["Seccomp"], "2");
    assert_eq!(lines[1]["errno"], "EPERM");
}

#[test]
fn errno_values() {
    let s = Sandbox::new();
    let rules = json!([
        {"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
        {"names": ["sync"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
    ]);
    let lines = s.probe(with(
        &["syscall", "getcpu", "0", "0", "0", "--", "syscall", "sysinfo", "page", "--", "syscall", "sync"],
        rules,
    ));
    assert_eq!(lines[0]["errno"], "ENOSYS");
    assert_eq!(lines[1]["errno"], "EACCES");
    assert_eq!(lines[2]["ok"], true);
}

#[test]
fn a_default_errno() {
    let s = Sandbox::new();
    // Everything is allowed but one call, which gets the default's errno.
    let mut p = profile("SCMP_ACT_ERRNO", json!([{"names": NEEDED, "action": "SCMP_ACT_ALLOW"}]));
    p["defaultErrnoRet"] = json!(71);
    let lines = s.probe(Config::probe(&["syscall", "getcpu", "0", "0", "0"]).set("/linux/seccomp", p));
    assert_eq!(lines[0]["errno"], "E71");
}

/// What a static program, and a runtime's last steps, make do with.
const NEEDED: &[&str] = &[
    "read",
    "write",
    "writev",
    "close",
    "openat",
    "open",
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "exit",
    "exit_group",
    "execve",
    "execveat",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "prlimit64",
    "readlinkat",
    "readlink",
    "getrandom",
    "fstat",
    "newfstatat",
    "fcntl",
    "rt_sigaction",
    "rt_sigprocmask",
    "sigaltstack",
    "futex",
    "poll",
    "ppoll",
    "uname",
    "access",
    "faccessat",
    "faccessat2",
    "lseek",
    "dup",
    "dup2",
    "dup3",
    "prctl",
    "capset",
    "capget",
    "setuid",
    "setgid",
    "setgroups",
    "setresuid",
    "setresgid",
    "getpid",
    "gettid",
    "getppid",
    "close_range",
    "chdir",
    "getcwd",
    "fchdir",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_create1",
    "nanosleep",
    "clone",
    "madvise",
    "sched_yield",
    "sched_getaffinity",
    "tgkill",
    "rt_sigreturn",
    "fstatfs",
    "statfs",
    "getdents64",
    "ioctl",
    "setsid",
    "umask",
    "statx",
    "pread64",
    "sendmsg",
    "recvmsg",
    "sendto",
    "recvfrom",
    "socket",
    "connect",
    "epoll_wait",
    "pipe2",
    "eventfd2",
    "restart_syscall",
    "clock_gettime",
    "kill",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "openat2",
    "mmap2",
    "seccomp",
    "keyctl",
    "clock_nanosleep",
];

#[test]
fn arguments_are_compared() {
    let s = Sandbox::new();
    let deny = |index: u32, op: &str, value: u64, two: u64| {
        json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
            "args": [{"index": index, "op": op, "value": value, "valueTwo": two}]}])
    };
    // getcpu's third argument is unused by the kernel: free for the test.
    let cases = [
        ("SCMP_CMP_EQ", 5, 0, [("5", true), ("4", false)]),
        ("SCMP_CMP_NE", 5, 0, [("4", true), ("5", false)]),
        ("SCMP_CMP_LT", 5, 0, [("4", true), ("5", false)]),
        ("SCMP_CMP_LE", 5, 0, [("5", true), ("6", false)]),
        ("SCMP_CMP_GT", 5, 0, [("6", true), ("5", false)]),
        ("SCMP_CMP_GE", 5, 0, [("5", true), ("4", false)]),
        ("SCMP_CMP_MASKED_EQ", 0xf0, 0x50, [("0x5a", true), ("0x6a", false)]),
    ];
    for (op, value, two, tries) in cases {
        for (arg, denied) in tries {
            let lines = s.probe(with(&["syscall", "getcpu", "0", "0", arg], deny(2, op, value, two)));
            assert_eq!(lines[0]["errno"] == "EACCES", denied, "{op} {value} against {arg}: {}", lines[0]);
        }
    }
}

#[test]
fn arguments_are_64_bits_wide() {
    let s = Sandbox::new();
    let rule = |v: u64| json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 2, "op": "SCMP_CMP_EQ", "value": v}]}]);
    let lines = s.probe(with(
        &["syscall", "getcpu", "0", "0", "5", "--", "syscall", "getcpu", "0", "0", "0x700000005"],
        rule(0x7_0000_0005),
    ));
    assert_eq!(lines[0]["ok"], true);
    assert_eq!(lines[1]["errno"], "EPERM");
}

#[test]
fn several_arguments_must_all_match() {
    let s = Sandbox::new();
    let rules = json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "args": [
        {"index": 1, "op": "SCMP_CMP_EQ", "value": 0}, {"index": 2, "op": "SCMP_CMP_EQ", "value": 7}]}]);
    let lines =
        s.probe(with(&["syscall", "getcpu", "0", "0", "7", "--", "syscall", "getcpu", "0", "0", "8"], rules));
    assert_eq!(lines[0]["errno"], "EPERM");
    assert_eq!(lines[1]["ok"], true);
}

#[test]
fn unknown_names_are_skipped() {
    let s = Sandbox::new();
    let rules = json!([{"names": ["no_such_call", "getcpu"], "action": "SCMP_ACT_ERRNO"}]);
    let lines = s.probe(with(&["syscall", "getcpu", "0", "0", "0"], rules));
    assert_eq!(lines[0]["errno"], "EPERM");
}

#[test]
fn kill_process() {
    let s = Sandbox::new();
    let rules = json!([{"names": ["getcpu"], "action": "SCMP_ACT_KILL_PROCESS"}]);
    let out = s.run(with(&["syscall", "getcpu", "0", "0", "0", "--", "exit", "0"], rules));
    assert_eq!(out.code, 128 + 31, "{out:?}");
}

#[test]
fn trap_and_log_and_trace() {
    let s = Sandbox::new();
    let rules = |a: &str| json!([{"names": ["getcpu"], "action": a}]);
    let run = |a: &str| s.run(with(&["syscall", "getcpu", "0", "0", "0"], rules(a)));
    assert_eq!(run("SCMP_ACT_TRAP").code, 128 + 31);
    assert_eq!(run("SCMP_ACT_LOG").expect_ok().lines()[0]["ok"], true);
    // Nobody traces: ENOSYS.
    assert_eq!(run("SCMP_ACT_TRACE").expect_ok().lines()[0]["errno"], "ENOSYS");
}

#[test]
fn an_unknown_action_or_operator_is_refused() {
    let s = Sandbox::new();
    s.run(with(&["report"], json!([{"names": ["getcpu"], "action": "SCMP_ACT_NONSENSE"}]))).expect_code(1);
    let rule = json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "op": "SCMP_CMP_NONSENSE", "value": 1}]}]);
    s.run(with(&["report"], rule)).expect_code(1);
    let mut p = profile("SCMP_ACT_ALLOW", json!([]));
    p["architectures"] = json!(["SCMP_ARCH_NONSENSE"]);
    s.run(Config::default().set("/linux/seccomp", p)).expect_code(1);
}

#[test]
fn exec_is_under_the_filter() {
    let s = Sandbox::new();
    let rules = json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]);
    let c = s.start(Config::sleeper().set("/linux/seccomp", profile("SCMP_ACT_ALLOW", rules)));
    c.wait_ready();
    let lines = c.exec_probe(&["report", "--", "syscall", "getcpu", "0", "0", "0"]);
    assert_eq!(lines[0]["status"]["Seccomp"], "2");
    assert_eq!(lines[1]["errno"], "EOPNOTSUPP");
}

#[test]
fn exec_with_a_process_file_is_under_the_filter() {
    let s = Sandbox::new();
    let rules = json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO"}]);
    let c = s.start(Config::sleeper().set("/linux/seccomp", profile("SCMP_ACT_ALLOW", rules)));
    c.wait_ready();
    let process = json!({"args": ["/probe", "syscall", "getcpu", "0", "0", "0"]});
    assert_eq!(c.exec_process(&[], &process).expect_ok().lines()[0]["errno"], "EPERM");
}

#[test]
fn without_no_new_privs_too() {
    let s = Sandbox::new();
    let rules = json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO"}]);
    let c = with(&["report", "--", "syscall", "getcpu", "0", "0", "0"], rules)
        .set("/process/noNewPrivileges", false);
    let lines = s.probe(c.set("/process/user", json!({"uid": 1000, "gid": 1000})));
    assert_eq!(lines[0]["no_new_privs"], false);
    assert_eq!(lines[1]["errno"], "EPERM");
}

#[test]
fn with_no_new_privs_the_filter_is_loaded_last() {
    let s = Sandbox::new();
    // Calls of the set-up itself: denied to the container, not to the runtime.
    let names = [
        "setuid",
        "setgid",
        "setgroups",
        "setresuid",
        "setresgid",
        "capset",
        "chdir",
        "mount",
        "pivot_root",
        "sethostname",
        "prctl",
    ];
    let c = with(
        &["syscall", "mount", "0", "0", "0", "0", "0", "--", "syscall", "setuid", "0"],
        json!([{"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]),
    );
    let lines = s.probe(c.set("/process/user", json!({"uid": 1000, "gid": 1000})));
    assert_eq!(lines[0]["errno"], "EOPNOTSUPP");
    assert_eq!(lines[1]["errno"], "EOPNOTSUPP");
}

#[test]
fn several_architectures_in_one_filter() {
    let s = Sandbox::new();
    let mut p = profile("SCMP_ACT_ALLOW", json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO"}]));
    p["architectures"] = if cfg!(target_arch = "aarch64") {
        json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
    } else {
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    };
    let lines = s
        .probe(Config::probe(&["syscall", "getcpu", "0", "0", "0", "--", "report"]).set("/linux/seccomp", p));
    assert_eq!(lines[0]["errno"], "EPERM");
    assert_eq!(lines[1]["status"]["Seccomp"], "2");
}

#[test]
fn filter_flags() {
    requires!(Spec(1, 1));
    let s = Sandbox::new();
    for flags in [
        json!([]),
        json!(["SECCOMP_FILTER_FLAG_LOG"]),
        json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"]),
    ] {
        let mut p = profile("SCMP_ACT_ALLOW", json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO"}]));
        p["flags"] = flags.clone();
        let lines = s.probe(Config::probe(&["syscall", "getcpu", "0", "0", "0"]).set("/linux/seccomp", p));
        assert_eq!(lines[0]["errno"], "EPERM", "{flags}");
    }
    let mut p = profile("SCMP_ACT_ALLOW", json!([{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO"}]));
    p["flags"] = json!(["SECCOMP_FILTER_FLAG_NONSENSE"]);
    s.run(Config::default().set("/linux/seccomp", p)).expect_code(1);
}

#[test]
fn a_filter_of_hundreds_of_rules() {
    let s = Sandbox::new();
    // Many argument rules on one call: no branch of the program may be too far.
    let mut rules: Vec<Value> = (0..400)
        .map(|i| json!({"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [{"index": 2, "op": "SCMP_CMP_EQ", "value": 1000 + i}]}))
        .collect();
    rules.push(json!({"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}));
    let lines = s.probe(with(
        &[
            "syscall", "getcpu", "0", "0", "1399", "--", "syscall", "getcpu", "0", "0", "1400", "--",
            "syscall", "sysinfo", "page",
        ],
        rules.into(),
    ));
    assert_eq!(lines[0]["errno"], "EACCES");
    assert_eq!(lines[1]["ok"], true);
    assert_eq!(lines[2]["errno"], "E71");
}

#[test]
fn notify_hands_the_listener_to_the_agent() {
    use std::os::fd::AsFd;
    requires!(RuncLike, Kernel(5, 6));
    let s = Sandbox::new();
    let path = s.path("agent.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut p = profile("SCMP_ACT_ALLOW", json!([{"names": ["getcpu"], "action": "SCMP_ACT_NOTIFY"}]));
    p["listenerPath"] = json!(path);
    p["listenerMetadata"] = json!("some metadata");
    let (id, b) = s.bundle(Config::probe(&["report"]).set("/linux/seccomp", p));
    let run = s.call(["run", "-b"]).arg(&b.dir).arg(&id).start();
    assert!(runtime_tests::raw::poll_in(listener.as_fd(), 10_000), "no agent connection: {}", run.stderr());
    let (conn, _) = listener.accept().unwrap();
    assert!(runtime_tests::raw::poll_in(conn.as_fd(), 10_000));
    let (data, fds) = runtime_tests::raw::recv_fds(conn.as_fd()).unwrap();
    let state: Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(state["metadata"], "some metadata");
    assert_eq!(state["state"]["id"], id.as_str());
    assert!(state["pid"].as_i64().unwrap() > 0);
    assert_eq!(fds.len(), state["fds"].as_array().unwrap().len());
    assert!(state["fds"].to_string().contains("seccompFd"));
    run.wait().expect_ok();
}

#[test]
fn notify_without_an_agent_fails() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let mut p = profile("SCMP_ACT_ALLOW", json!([{"names": ["getcpu"], "action": "SCMP_ACT_NOTIFY"}]));
    s.run(Config::default().set("/linux/seccomp", p.clone())).expect_code(1);
    p["listenerPath"] = json!(s.path("nobody.sock"));
    s.run(Config::default().set("/linux/seccomp", p)).expect_code(1).expect_error("seccomp agent");
}

#[test]
fn notify_on_write_is_refused() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let mut p = profile("SCMP_ACT_ALLOW", json!([{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]));
    p["listenerPath"] = json!(s.path("agent.sock"));
    s.run(Config::default().set("/linux/seccomp", p))
        .expect_code(1)
        .expect_error("SCMP_ACT_NOTIFY cannot be used for the write syscall");
}
