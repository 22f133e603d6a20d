//! The fields of `process`, and what a fresh process should look like.

use crate::strings;
use runtime_tests::invocation::Invocation;
use runtime_tests::{Config, Sandbox, json, raw, requires};

#[test]
fn user_group_and_additional_groups() {
    let s = Sandbox::new();
    let user = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 2000]});
    let r = s.report(Config::default().set("/process/user", user));
    assert_eq!(r["uid"], json!({"real": 1000, "effective": 1000, "saved": 1000}));
    assert_eq!(r["gid"], json!({"real": 1001, "effective": 1001, "saved": 1001}));
    let mut groups: Vec<u64> = r["groups"].as_array().unwrap().iter().map(|g| g.as_u64().unwrap()).collect();
    groups.sort_unstable();
    groups.retain(|g| *g != 1001);
    assert_eq!(groups, [5, 2000]);
}

#[test]
fn no_additional_groups_means_none() {
    let s = Sandbox::new();
    let r = s.report(Config::default().set("/process/user", json!({"uid": 1000, "gid": 1000})));
    let extra = r["groups"].as_array().unwrap().iter().filter(|g| **g != 1000).count();
    assert_eq!(extra, 0, "{}", r["groups"]);
}

#[test]
fn umask_is_0022_or_as_told() {
    let s = Sandbox::new();
    let before = raw::umask(0o007);
    let r = s.report(Config::default());
    raw::umask(before);
    assert_eq!(r["umask"], 0o022);
    let r = s.report(Config::default().set("/process/user/umask", 0o077));
    assert_eq!(r["umask"], 0o077);
    let r = s.report(Config::default().set("/process/user/umask", 0));
    assert_eq!(r["umask"], 0);
}

#[test]
fn environment_is_the_configured_one() {
    let s = Sandbox::new();
    let env = json!(["PATH=/bin:/", "A=1", "B=two words", "EMPTY=", "A=3"]);
    let (id, b) = s.bundle(Config::default().set("/process/env", env));
    let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).env("SECRET_OF_HOST", "x").run().expect_ok();
    let r = &out.lines()[0];
    assert_eq!(r["env"]["B"], "two words");
    assert_eq!(r["env"]["EMPTY"], "");
    assert_eq!(r["env"]["SECRET_OF_HOST"], json!(null));
    assert_eq!(r["env"]["HOME"], "/root", "HOME comes from /etc/passwd");
}

#[test]
fn the_last_duplicate_of_a_variable_wins() {
    requires!(RuncLike, Spec(1, 2));
    let s = Sandbox::new();
    let r = s.report(Config::default().set("/process/env", json!(["PATH=/bin", "A=1", "A=2", "A=3"])));
    let all = strings(&r["environ"]);
    assert_eq!(all.iter().filter(|v| v.starts_with("A=")).collect::<Vec<_>>(), ["A=3"]);
}

#[test]
fn home_is_looked_up_for_the_user() {
    let s = Sandbox::new();
    let user = json!({"uid": 1000, "gid": 1000});
    let r = s.report(Config::default().set("/process/user", user.clone()));
    assert_eq!(r["env"]["HOME"], "/home/user");
    let r = s.report(Config::default().set("/process/user", json!({"uid": 4242, "gid": 1})));
    assert_eq!(r["env"]["HOME"], "/");
    let env = json!(["PATH=/bin", "HOME=/elsewhere"]);
    let r = s.report(Config::default().set("/process/user", user).set("/process/env", env));
    assert_eq!(r["env"]["HOME"], "/elsewhere");
}

#[test]
fn an_empty_home_is_replaced() {
    requires!(RuncLike, Spec(1, 2));
    let s = Sandbox::new();
    let r = s.report(Config::default().set("/process/env", json!(["PATH=/bin", "HOME="])));
    assert_eq!(r["env"]["HOME"], "/root");
}

#[test]
fn path_lookup_uses_the_container_s_path() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(
        Config::default().args(&["tool", "exit", "9"]).set("/process/env", json!(["PATH=/opt/a:/opt/b"])),
    );
    let probe = std::fs::read(b.inside("/probe")).unwrap();
    b.add("/opt/a/tool", "not executable", 0o644).unwrap();
    b.add("/opt/b/tool", probe, 0o755).unwrap();
    s.run_bundle(&id, &b).expect_code(9);
}

#[test]
fn argv_is_passed_whole() {
    let s = Sandbox::new();
    let args = ["/probe", "report", "", "two words", "tab\tnewline\n", "ünïcode"];
    let lines = s.probe(Config::default().args(&args));
    assert_eq!(lines[0]["argv"], json!(args));
}

#[test]
fn cwd_is_entered_and_made() {
    let s = Sandbox::new();
    let r = s.report(Config::default().set("/process/cwd", "/home/user"));
    assert_eq!(r["cwd"], "/home/user");
    let r = s.report(Config::default().set("/process/cwd", "/made/on/the/way"));
    assert_eq!(r["cwd"], "/made/on/the/way");
}

#[test]
fn cwd_that_only_the_user_may_enter() {
    let s = Sandbox::new();
    let user = json!({"uid": 1000, "gid": 1000});
    let (id, b) =
        s.bundle(Config::probe(&["report"]).set("/process/user", user).set("/process/cwd", "/home/user"));
    std::fs::set_permissions(b.inside("/home/user"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    let out = s.run_bundle(&id, &b).expect_ok();
    assert_eq!(out.lines()[0]["cwd"], "/home/user");
}

#[test]
fn a_relative_cwd_is_refused() {
    let s = Sandbox::new();
    s.run(Config::default().set("/process/cwd", "tmp")).expect_code(1).expect_error("cwd");
}

#[test]
fn rlimits_are_set() {
    let s = Sandbox::new();
    let limits = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_FSIZE", "soft": 1_000_000, "hard": 2_000_000},
        {"type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 4_194_304},
    ]);
    let r = s.report(Config::default().set("/process/rlimits", limits));
    assert_eq!(r["rlimits"]["RLIMIT_NOFILE"], json!({"soft": 100, "hard": 200}));
    assert_eq!(r["rlimits"]["RLIMIT_CORE"], json!({"soft": 0, "hard": 0}));
    assert_eq!(r["rlimits"]["RLIMIT_FSIZE"], json!({"soft": 1_000_000, "hard": 2_000_000}));
    assert_eq!(r["rlimits"]["RLIMIT_STACK"], json!({"soft": 1_048_576, "hard": 4_194_304}));
}

/// Each of them: soft below hard, and both below what a test's root has.
#[test]
fn every_rlimit() {
    requires!(Capability("SYS_RESOURCE", 24));
    let s = Sandbox::new();
    let names = [
        "AS",
        "CORE",
        "CPU",
        "DATA",
        "FSIZE",
        "LOCKS",
        "MEMLOCK",
        "MSGQUEUE",
        "NICE",
        "NOFILE",
        "NPROC",
        "RSS",
        "RTPRIO",
        "RTTIME",
        "SIGPENDING",
        "STACK",
    ];
    let value = |name: &str| match name {
        // What the probe itself needs.
        "AS" | "DATA" | "STACK" | "FSIZE" | "RTTIME" => (1_u64 << 30, 1_u64 << 32),
        "NICE" | "RTPRIO" => (3, 7),
        _ => (512, 640),
    };
    let limit = |name: &&str| {
        let (soft, hard) = value(name);
        json!({"type": format!("RLIMIT_{name}"), "soft": soft, "hard": hard})
    };
    let limits: runtime_tests::Value = names.iter().map(limit).collect();
    let r = s.report(Config::default().set("/process/rlimits", limits));
    for name in names {
        let (soft, hard) = value(name);
        let key = format!("RLIMIT_{name}");
        assert_eq!(r["rlimits"][&key], json!({"soft": soft, "hard": hard}), "{key}");
    }
    let unlimited = json!([{"type": "RLIMIT_CORE", "soft": u64::MAX, "hard": u64::MAX}]);
    let r = s.report(Config::default().set("/process/rlimits", unlimited));
    assert_eq!(r["rlimits"]["RLIMIT_CORE"], json!({"soft": u64::MAX, "hard": u64::MAX}));
}

#[test]
fn rlimits_above_ours_with_the_right_to() {
    requires!(Capability("SYS_RESOURCE", 24));
    let s = Sandbox::new();
    let limit = json!([{"type": "RLIMIT_NOFILE", "soft": 100_000, "hard": 200_000}]);
    let (id, b) = s.bundle(Config::default().set("/process/rlimits", limit));
    let lower = || raw::setrlimit(7, 1024, 4096).map_err(std::io::Error::from_raw_os_error);
    let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).before_exec(lower).run().expect_ok();
    assert_eq!(out.lines()[0]["rlimits"]["RLIMIT_NOFILE"], json!({"soft": 100_000, "hard": 200_000}));
}

#[test]
fn a_bad_rlimit_is_refused() {
    let s = Sandbox::new();
    for limit in [
        json!([{"type": "RLIMIT_BOGUS", "soft": 1, "hard": 1}]),
        json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}, {"type": "RLIMIT_NOFILE", "soft": 2, "hard": 2}]),
    ] {
        s.run(Config::default().set("/process/rlimits", limit)).expect_code(1).expect_error("rlimit");
    }
}

#[test]
fn no_new_privs_on_and_off() {
    let s = Sandbox::new();
    assert_eq!(s.report(Config::default())["no_new_privs"], true);
    assert_eq!(s.report(Config::default().set("/process/noNewPrivileges", false))["no_new_privs"], false);
    assert_eq!(s.report(Config::default().remove("/process/noNewPrivileges"))["no_new_privs"], false);
}

#[test]
fn oom_score_adj() {
    let s = Sandbox::new();
    let r = s.report(Config::default().set("/process/oomScoreAdj", 555));
    assert_eq!(r["oom_score_adj"], 555);
    let c = s.start(Config::sleeper().set("/process/oomScoreAdj", 321));
    let own = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", c.pid())).unwrap();
    assert_eq!(own.trim(), "321");
}

#[test]
fn only_stdio_is_open() {
    let s = Sandbox::new();
    // A stray descriptor of the caller must not get in.
    let stray = std::fs::File::open("/etc/passwd").unwrap();
    let (id, b) = s.bundle(Config::default());
    let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).fd(stray, 17).run().expect_ok();
    let fds = out.lines()[0]["fds"].clone();
    assert_eq!(fds.as_object().unwrap().keys().collect::<Vec<_>>(), ["0", "1", "2"], "{fds}");
}

#[test]
fn preserved_fds_are_there_and_no_more() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["report", "--", "fd-read", "4"]));
    std::fs::write(s.path("three"), "3").unwrap();
    std::fs::write(s.path("four"), "fourth").unwrap();
    let open = |n: &str| std::fs::File::open(s.path(n)).unwrap();
    let call = s.call(["run", "--preserve-fds", "2", "-b"]).arg(&b.dir).arg(&id);
    let out = call.fd(open("three"), 3).fd(open("four"), 4).fd(open("four"), 5).run().expect_ok();
    let lines = out.lines();
    assert_eq!(lines[0]["fds"].as_object().unwrap().keys().collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    assert_eq!(lines[1]["data"], "fourth");
}

#[test]
fn a_preserved_fd_that_is_not_open_is_an_error() {
    requires!(RuncLike, Spec(1, 2));
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    s.call(["run", "--preserve-fds", "3", "-b"]).arg(&b.dir).arg(&id).run().expect_code(1);
}

#[test]
fn listen_fds_are_passed_on() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    let sock = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // LISTEN_PID has to name the runtime's own process: a shell sets it and becomes it.
    let call = Invocation::new("/bin/sh".as_ref(), s.dir()).args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"]);
    let call = call.arg(&s.runtime.path).arg("--root").arg(s.state_root()).args(["run", "-b"]);
    let out = call.arg(&b.dir).arg(&id).env("LISTEN_FDS", "1").fd(sock, 3).run().expect_ok();
    let r = &out.lines()[0];
    assert_eq!(r["env"]["LISTEN_FDS"], "1");
    assert_eq!(r["env"]["LISTEN_PID"], "1");
    assert!(r["fds"]["3"].as_str().unwrap().starts_with("socket:"), "{}", r["fds"]);
}

#[test]
fn listen_fds_of_another_process_are_not_passed_on() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    let sock = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let call = s.call(["run", "-b"]).arg(&b.dir).arg(&id).env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let r = call.fd(sock, 3).run().expect_ok().lines().remove(0);
    assert_eq!(r["env"]["LISTEN_FDS"], json!(null));
    assert_eq!(r["fds"]["3"], json!(null));
}

#[test]
fn signals_are_as_for_a_fresh_process() {
    let s = Sandbox::new();
    let r = s.report(Config::default());
    assert_eq!(r["signals"]["blocked"], json!([]));
    assert_eq!(r["signals"]["handled"], json!([]));
    // SIGPIPE, which Rust's programs ignore, isn't handed down; what the caller
    // of the tests ignores (SIGHUP under nohup) is, as with every runtime.
    let inherited: Vec<i32> =
        (1..=64).filter(|n| *n != libc::SIGPIPE && raw::disposition(*n) == Some(1)).collect();
    assert_eq!(r["signals"]["ignored"], json!(inherited));
    assert_eq!(r["pdeathsig"], 0);
    assert_eq!(r["securebits"], 0);
    assert_eq!(r["thp_disable"], 0);
}

#[test]
fn init_leads_a_session_of_its_own() {
    let s = Sandbox::new();
    let r = s.report(Config::default());
    assert_eq!(r["sid"], 1);
    assert_eq!(r["pgid"], 1);
}

#[test]
fn a_session_keyring_unless_told_not_to() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    let r = s.run_bundle(&id, &b).expect_ok().lines();
    if r[0]["keyring"]["errno"].is_null() {
        assert!(
            r[0]["keyring"]["description"].as_str().unwrap().contains(&format!("_ses.{id}")),
            "{}",
            r[0]["keyring"]
        );
    }
    let (id, b) = s.bundle(Config::default());
    let out = s.call(["run", "--no-new-keyring", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    let name = out.lines()[0]["keyring"]["description"].as_str().unwrap_or_default().to_owned();
    assert!(!name.contains("_ses.kt-"), "{name}");
}

#[test]
fn exec_is_in_the_session_keyring_of_the_container() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["report", "--", "ready-sleep"]));
    c.wait_ready();
    let (init, exec) = (c.lines().remove(0), c.exec_probe(&["report"]).remove(0));
    assert!(init["keyring"]["description"].as_str().unwrap().contains(&format!("_ses.{}", c.id)));
    let host = raw::session_keyring().map(|(id, _)| id).unwrap_or_default();
    assert_ne!(exec["keyring"]["id"], json!(host), "not the caller's");
    assert!(exec["keyring"]["description"].as_str().unwrap().contains(&format!("_ses.{}", c.id)));
}

#[test]
fn stdio_belongs_to_the_user() {
    let s = Sandbox::new();
    let user = json!({"uid": 1000, "gid": 1000});
    let c = Config::probe(&["open-write", "/proc/self/fd/1"]).set("/process/user", user);
    let (id, b) = s.bundle(c);
    let (reader, writer) = std::io::pipe().unwrap();
    s.call(["run", "-b"]).arg(&b.dir).arg(&id).stdout(writer).run().expect_ok();
    let text = std::io::read_to_string(reader).unwrap();
    assert!(text.contains("\"ok\":true"), "{text}");
}

#[test]
fn dev_null_on_stdin_is_the_container_s_own() {
    let s = Sandbox::new();
    let c =
        s.start(Config::probe(&["report", "--", "stat", "/proc/self/fd/0/", "--", "open-rw", "/dev/stdin"]));
    assert_eq!(c.wait_line("fds")["fds"]["0"], "/dev/null");
    assert_eq!(c.wait_exit(), 0);
    assert_eq!(c.lines().last().unwrap()["ok"], true);
}

#[test]
fn affinity_is_what_the_host_allows() {
    requires!(Cpus(2), Spec(1, 2));
    let s = Sandbox::new();
    let all = raw::affinity();
    let (id, b) = s.bundle(Config::default());
    // A tuned parent, pinned to one CPU, must not hand that down.
    let pin = || {
        let mask = [1u64; 1];
        raw::set_affinity(&mask).map_err(std::io::Error::from_raw_os_error)
    };
    let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).before_exec(pin).run().expect_ok();
    assert_eq!(out.lines()[0]["affinity"], json!(all));
}
