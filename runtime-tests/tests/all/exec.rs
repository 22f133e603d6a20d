//! exec: the same rules as for init, in a container that runs.

use crate::strings;
use runtime_tests::config::CAPS;
use runtime_tests::invocation::Invocation;
use runtime_tests::runtime::Kind;
use runtime_tests::{Config, Output, Sandbox, json, raw, requires};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

#[test]
fn exec_gives_the_exit_code() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    for code in [0, 1, 42, 254] {
        c.exec(&["/probe", "exit", &code.to_string()]).expect_code(code);
    }
    c.exec(&["/probe", "kill-self", "9"]).expect_code(137);
    c.exec(&["/probe", "kill-self", "15"]).expect_code(143);
}

#[test]
fn exec_s_own_failures_are_255() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    c.exec(&["/nowhere"]).expect_code(255).expect_error("no such file or directory");
    c.exec(&["nowhere"])
        .expect_code(255)
        .expect_error("exec failed: unable to start container process")
        .expect_error("executable file not found");
    c.exec(&["/etc/passwd"]).expect_code(255).expect_error("permission denied");
    c.exec(&["/etc"]).expect_code(255);
    assert_eq!(c.status(), "running");
}

#[test]
fn exec_into_a_stopped_container() {
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["exit", "0"]));
    c.wait_exit();
    c.exec(&["/probe"]).expect_code(255).expect_error_of(&["not running", "in a stopped container"]);
}

#[test]
fn exec_into_a_created_container() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    let r = &c.exec_probe(&["report"])[0];
    assert_eq!(r["hostname"], "krun-test");
    assert_eq!(c.status(), "created");
}

#[test]
fn exec_passes_stdio() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let out = c.exec_call(&[], &["/probe", "stdin", "--", "stderr", "oops"]).input("hello").run().expect_ok();
    assert_eq!(out.lines()[0]["data"], "hello");
    assert!(out.stderr.contains("oops"));
}

#[test]
fn exec_env_cwd_and_user() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let flags =
        ["--env", "A=1", "--env", "B=2", "--cwd", "/tmp", "--user", "1000:1001", "-g", "5", "-g", "2000"];
    let r = c.exec_with(&flags, &["/probe", "report"]).expect_ok().lines().remove(0);
    assert_eq!(r["env"]["A"], "1");
    assert_eq!(r["env"]["B"], "2");
    assert_eq!(r["cwd"], "/tmp");
    assert_eq!(r["uid"]["effective"], 1000);
    assert_eq!(r["gid"]["real"], 1001);
    let groups = r["groups"].to_string();
    assert!(groups.contains('5') && groups.contains("2000"), "{groups}");
    assert_eq!(r["env"]["HOME"], "/home/user");
}

#[test]
fn exec_takes_over_the_process_of_the_bundle() {
    let s = Sandbox::new();
    let c = Config::sleeper()
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .set("/process/cwd", "/home/user")
        .set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 77, "hard": 88}]))
        .push("/process/env", "FROM=bundle");
    let c = s.start(c);
    let r = &c.exec_probe(&["report"])[0];
    assert_eq!(r["uid"]["real"], 1000);
    assert_eq!(r["cwd"], "/home/user");
    assert_eq!(r["rlimits"]["RLIMIT_CORE"], json!({"soft": 77, "hard": 88}));
    assert_eq!(r["env"]["FROM"], "bundle");
    assert_eq!(r["no_new_privs"], true);
}

#[test]
fn exec_has_the_capabilities_of_init() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let caps = &c.exec_probe(&["report"])[0]["caps"];
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(strings(&caps[set]), CAPS, "{set}");
    }
    assert_eq!(caps["ambient"], json!([]));
    assert_eq!(caps["inheritable"], json!([]));
}

#[test]
fn exec_cap_adds_without_inheritable() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let r = c.exec_with(&["--cap", "CAP_SYS_PTRACE"], &["/probe", "report"]).expect_ok().lines().remove(0);
    for set in ["effective", "permitted", "bounding"] {
        assert!(strings(&r["caps"][set]).contains(&"CAP_SYS_PTRACE".to_owned()), "{set}: {}", r["caps"]);
    }
    // CVE-2022-29162.
    assert_eq!(r["caps"]["inheritable"], json!([]));
}

#[test]
fn exec_no_new_privs_flag() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper().set("/process/noNewPrivileges", false));
    assert_eq!(c.exec_probe(&["report"])[0]["no_new_privs"], false);
    let r = c.exec_with(&["--no-new-privs"], &["/probe", "report"]).expect_ok().lines().remove(0);
    assert_eq!(r["no_new_privs"], true);
}

#[test]
fn exec_process_json_replaces_all() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper().push("/process/env", "FROM=bundle"));
    let process = json!({
        "args": ["/probe", "report"], "cwd": "/tmp", "user": {"uid": 5, "gid": 6, "additionalGids": [7]},
        "env": ["PATH=/bin", "X=y"],
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
            "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 33, "hard": 44}],
    });
    let r = c.exec_process(&[], &process).expect_ok().lines().remove(0);
    assert_eq!(r["uid"]["real"], 5);
    assert_eq!(r["gid"]["real"], 6);
    assert_eq!(r["cwd"], "/tmp");
    assert_eq!(r["env"]["FROM"], json!(null));
    assert_eq!(strings(&r["caps"]["bounding"]), ["CAP_CHOWN", "CAP_KILL"]);
    assert_eq!(strings(&r["caps"]["ambient"]), ["CAP_KILL"]);
    assert_eq!(strings(&r["caps"]["effective"]), ["CAP_KILL"]);
    assert_eq!(r["rlimits"]["RLIMIT_CORE"], json!({"soft": 33, "hard": 44}));
    // What it does not say is the container's; runc lifts no_new_privs here.
    if s.runtime.kind == Kind::Krun {
        assert_eq!(r["no_new_privs"], true);
    }
    let mut process = process;
    process["noNewPrivileges"] = false.into();
    assert_eq!(c.exec_process(&[], &process).expect_ok().lines()[0]["no_new_privs"], false);
}

#[test]
fn exec_process_json_umask_and_oom_score() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let process =
        json!({"args": ["/probe", "report"], "user": {"uid": 5, "gid": 6, "umask": 63}, "oomScoreAdj": 700});
    let r = c.exec_process(&[], &process).expect_ok().lines().remove(0);
    assert_eq!(r["umask"], 63);
    assert_eq!(r["oom_score_adj"], 700);
}

#[test]
fn exec_detached_with_a_pid_file() {
    let s = Sandbox::new();
    let c = s.sleeping();
    let file = s.path("exec.pid");
    c.exec_with(&["--detach", "--pid-file", &file], &["/probe", "exit", "9"]).expect_code(0);
    let pid: i32 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    // The exec'd process is the caller's child, as a shim needs it.
    let (got, status) = raw::waitpid(pid, false).unwrap().unwrap();
    assert_eq!((got, runtime_tests::container::exit_code(status)), (pid, 9));
}

#[test]
fn exec_is_in_the_container_s_cgroup() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let file = s.path("exec.pid");
    c.exec_with(&["--detach", "--pid-file", &file], &["/probe", "ready-sleep"]).expect_ok();
    let pid = std::fs::read_to_string(&file).unwrap();
    let procs = c.cgroup_file("cgroup.procs");
    // Reaped here: until then its pid namespace can't end.
    let n = pid.parse().unwrap();
    let _ = raw::kill(n, 9);
    let _ = raw::waitpid(n, false);
    assert!(procs.lines().any(|l| l == pid), "{pid} isn't in {procs}");
}

#[test]
fn exec_into_a_sub_cgroup() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    std::fs::create_dir(c.cgroup().join("sub")).unwrap();
    let r = c.exec_with(&["--cgroup", "/sub"], &["/probe", "report"]).expect_ok().lines().remove(0);
    assert!(r["cgroup"].as_str().unwrap().lines().any(|l| l == "0::/sub"), "{}", r["cgroup"]);
    c.exec_with(&["--cgroup", "/missing"], &["/probe", "exit", "0"]).expect_code(255);
    c.exec_with(&["--cgroup", "/../.."], &["/probe", "exit", "0"])
        .expect_code(255)
        .expect_error("sub cgroup path");
}

/// What a manager in the container does: it moves to a sub-cgroup `init` and hands controllers
/// down. From then on the top takes no processes (cgroups(7), "no internal processes").
pub(crate) fn divide(cgroup: &Path, init: i32) {
    let (sub, owner) = (cgroup.join("init"), fs::metadata(cgroup).unwrap());
    fs::create_dir(&sub).unwrap();
    for path in [&sub, &sub.join("cgroup.procs")] {
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    fs::write(sub.join("cgroup.procs"), init.to_string()).unwrap();
    fs::write(cgroup.join("cgroup.subtree_control"), "+pids").unwrap();
}

/// Exec'd without a word of cgroups it is where init is.
pub(crate) fn assert_beside_init(out: &Output) {
    let cgroup = &out.lines()[0]["cgroup"];
    assert!(cgroup.as_str().unwrap().lines().any(|l| l == "0::/init"), "{cgroup}");
}

#[test]
fn exec_follows_init_where_the_top_takes_no_process() {
    requires!(RuncLike, Controller("pids"));
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    divide(&c.cgroup(), c.pid());
    assert_beside_init(&c.exec(&["/probe", "report"]).expect_ok());
    // But where it was told to go it goes, or fails.
    c.exec_with(&["--cgroup", "/"], &["/probe", "exit", "0"]).expect_code(255).expect_error("busy");
}

#[test]
fn exec_leaks_no_descriptor() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let stray = std::fs::File::open("/etc/passwd").unwrap();
    let out = c.exec_call(&[], &["/probe", "report"]).fd(stray, 9).run().expect_ok();
    assert_eq!(out.lines()[0]["fds"].as_object().unwrap().keys().collect::<Vec<_>>(), ["0", "1", "2"]);
    let kept = std::fs::File::open("/etc/passwd").unwrap();
    let call = c.exec_call(&["--preserve-fds", "1"], &["/probe", "report"]);
    let out = call.fd(kept, 3).run().expect_ok();
    assert_eq!(out.lines()[0]["fds"].as_object().unwrap().keys().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn exec_users_are_strict_numbers() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    for bad in
        ["1x", "x", "", "1:", "1:x", " 1", "+1", "-1", "1:2:3", "99999999999", "4294967295", "0:4294967295"]
    {
        let out = c.exec_with(&["--user", bad], &["/probe", "report"]);
        let lenient = s.runtime.kind != runtime_tests::runtime::Kind::Krun;
        assert!(out.code == 255 || lenient, "{bad:?} was taken: {}", out.code);
        if out.code == 0 {
            assert_ne!(bad, "1x", "CVE-2026-30892");
        }
    }
}

#[test]
fn exec_of_a_shell_script() {
    requires!(Busybox);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    c.bundle.add("/run.sh", "#!/bin/sh\nexit 12\n", 0o755).unwrap();
    c.exec(&["/run.sh"]).expect_code(12);
}

#[test]
fn ten_execs_at_once() {
    let s = Sandbox::new();
    let c = s.sleeping();
    let running: Vec<_> =
        (0..10).map(|i| c.exec_call(&[], &["/probe", "exit", &i.to_string()]).start()).collect();
    for (i, r) in (0..).zip(running) {
        r.wait().expect_code(i);
    }
}

#[test]
fn exec_gets_the_parent_s_death_signal_cleared() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let r = &c.exec_probe(&["report"])[0];
    assert_eq!(r["pdeathsig"], 0);
    assert_eq!(r["signals"]["blocked"], json!([]));
    assert!(!r["signals"]["ignored"].as_array().unwrap().contains(&json!(libc::SIGPIPE)));
}

/// The helper joins the container's cgroup and makes the process there: however slow its end is (strace(1) makes it
/// so), the program finds its own process and the container's first one, and may enable controllers below them.
#[test]
fn the_helper_is_gone_when_the_program_runs() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    let c = s.sleeping();
    let slow = ["-f", "-q", "-o", "/dev/null", "-e", "inject=exit_group:delay_enter=300000"];
    let call = Invocation::new("strace".as_ref(), s.dir()).args(slow).arg(&s.runtime.path);
    let words = ["exec", &c.id, "/probe", "read", "/sys/fs/cgroup/cgroup.procs"];
    let out = call.arg("--root").arg(s.state_root()).args(words).run().expect_ok();
    let report = out.json();
    assert_eq!(report["data"].as_str().unwrap_or_default().lines().count(), 2, "{report}");
}
