//! New and joined namespaces, seen from inside.

use runtime_tests::{Config, Sandbox, json, raw, requires};

fn ours(kind: &str) -> String {
    std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap().display().to_string()
}

#[test]
fn every_listed_namespace_is_new() {
    let s = Sandbox::new();
    let r = s.report(Config::default());
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
        assert_ne!(r["ns"][kind], ours(kind), "{kind}");
    }
    assert_eq!(r["ns"]["user"], ours("user"));
    assert_eq!(r["pid"], 1);
    assert_eq!(r["pids"], json!([1]));
}

#[test]
fn an_unlisted_namespace_is_the_host_s() {
    let s = Sandbox::new();
    for (kind, link) in [("network", "net"), ("ipc", "ipc"), ("cgroup", "cgroup"), ("pid", "pid")] {
        let mut c = Config::default().without_namespace(kind);
        if kind == "ipc" {
            c = c.without_mount("/dev/mqueue");
        }
        let r = s.report(c);
        assert_eq!(r["ns"][link], ours(link), "{kind}");
        assert_ne!(r["ns"]["mnt"], ours("mnt"), "{kind}");
    }
}

#[test]
fn the_host_s_uts_namespace_keeps_its_name() {
    let s = Sandbox::new();
    let [_, name, ..] = raw::uname();
    let r = s.report(Config::default().without_namespace("uts").remove("/hostname"));
    assert_eq!(r["ns"]["uts"], ours("uts"));
    assert_eq!(r["hostname"], name);
}

#[test]
fn hostname_and_domainname() {
    let s = Sandbox::new();
    let r = s.report(Config::default().set("/hostname", "a-name"));
    assert_eq!(r["hostname"], "a-name");
    assert_ne!(raw::uname()[1], "a-name");
}

#[test]
fn domainname() {
    requires!(Spec(1, 1));
    let s = Sandbox::new();
    let r = s.report(Config::default().set("/domainname", "a.domain"));
    assert_eq!(r["domainname"], "a.domain");
}

#[test]
fn hostname_without_a_uts_namespace_is_an_error() {
    let s = Sandbox::new();
    let out = s.run(Config::default().without_namespace("uts"));
    out.expect_code(1).expect_error("uts");
}

#[test]
fn namespaces_joined_by_path() {
    let s = Sandbox::new();
    let first = s.start(Config::sleeper());
    for (kind, link) in
        [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("cgroup", "cgroup")]
    {
        let path = format!("/proc/{}/ns/{link}", first.pid());
        let there = std::fs::read_link(&path).unwrap().display().to_string();
        let r = s.report(Config::default().join_namespace(kind, &path).remove("/hostname"));
        assert_eq!(r["ns"][link], there, "{kind}");
        if kind == "pid" {
            assert_eq!(r["pids"].as_array().unwrap().len(), 2, "{}", r["pids"]);
        }
    }
}

#[test]
fn a_joined_mount_namespace_has_what_it_has() {
    requires!(Krun);
    let s = Sandbox::new();
    let first = s.start(Config::sleeper());
    let ns = |name: &str| format!("/proc/{}/ns/{name}", first.pid());
    let there = std::fs::read_link(ns("mnt")).unwrap().display().to_string();
    let device = json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3});
    let mut config = Config::default().push("/linux/devices", device);
    // The procfs that it shows is that of its processes.
    config = config.join_namespace("mount", &ns("mnt")).join_namespace("pid", &ns("pid"));
    // One after the other goes: each would be missing in silence.
    for field in ["mounts", "linux.devices", "linux.maskedPaths", "linux.readonlyPaths"] {
        s.run(config.clone()).expect_code(1).expect_error(&format!("config.json: {field}: "));
        config = config.remove(&format!("/{}", field.replace('.', "/")));
    }
    assert_eq!(s.report(config)["ns"]["mnt"], there);
}

#[test]
fn a_pod_shares_network_ipc_and_uts() {
    let s = Sandbox::new();
    let sandbox = s.start(Config::sleeper().set("/hostname", "pod"));
    let ns = |k: &str| format!("/proc/{}/ns/{k}", sandbox.pid());
    let c = Config::default()
        .remove("/hostname")
        .join_namespace("network", &ns("net"))
        .join_namespace("ipc", &ns("ipc"))
        .join_namespace("uts", &ns("uts"));
    let r = s.report(c);
    assert_eq!(r["hostname"], "pod");
    let there = sandbox.exec_probe(&["report"]);
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(r["ns"][kind], there[0]["ns"][kind]);
    }
    assert_ne!(r["ns"]["mnt"], there[0]["ns"]["mnt"]);
}

#[test]
fn a_path_of_another_kind_is_refused() {
    let s = Sandbox::new();
    for path in ["/proc/self/ns/mnt", "/nowhere", "/etc/passwd", "/proc/self/ns/uts"] {
        let (id, b) = s.bundle(Config::default().join_namespace("network", path));
        s.run_bundle(&id, &b).expect_code(1);
        assert!(!s.state_root().join(&id).exists(), "{path}");
    }
}

#[test]
fn a_namespace_listed_twice_is_refused() {
    let s = Sandbox::new();
    let out = s.run(Config::default().with_namespace("uts"));
    out.expect_code(1).expect_error("uts");
}

#[test]
fn loopback_is_up_in_a_new_network() {
    let s = Sandbox::new();
    let lines = s.probe(Config::probe(&["report", "--", "listen", "127.0.0.1:8080"]));
    assert_eq!(lines[0]["interfaces"], json!(["lo"]));
    assert_eq!(lines[1]["ok"], true);
}

#[test]
fn time_namespace_offsets() {
    requires!(Spec(1, 1), Path("/proc/self/ns/time"));
    let s = Sandbox::new();
    let offsets = json!({"monotonic": {"secs": 5_000_000, "nanosecs": 0}, "boottime": {"secs": 7_000_000, "nanosecs": 0}});
    let c =
        Config::probe(&["report", "--", "clocks"]).with_namespace("time").set("/linux/timeOffsets", offsets);
    let lines = s.probe(c);
    assert_ne!(lines[0]["ns"]["time"], ours("time"));
    assert!(lines[1]["monotonic"].as_i64().unwrap() >= 5_000_000);
    assert!(lines[1]["boottime"].as_i64().unwrap() >= 7_000_000);
}

#[test]
fn time_offsets_to_the_nanosecond_and_back_in_time() {
    requires!(Spec(1, 1), Path("/proc/self/ns/time"));
    let s = Sandbox::new();
    let offsets = json!({"monotonic": {"secs": -2, "nanosecs": 123_456_789}, "boottime": {"secs": 86_400, "nanosecs": 1}});
    let c = s.start(Config::sleeper().with_namespace("time").set("/linux/timeOffsets", offsets));
    c.wait_ready();
    let r = c.exec_probe(&["report"]).remove(0);
    let words: Vec<&str> = r["timens_offsets"].as_str().unwrap().split_whitespace().collect();
    assert_eq!(words, ["monotonic", "-2", "123456789", "boottime", "86400", "1"]);
    assert_ne!(r["ns"]["time"], ours("time"), "exec is in it too");
}

#[test]
fn time_offsets_without_the_namespace_are_refused() {
    requires!(Spec(1, 1));
    let s = Sandbox::new();
    let c = Config::default().set("/linux/timeOffsets", json!({"monotonic": {"secs": 5, "nanosecs": 0}}));
    s.run(c).expect_code(1).expect_error("time");
}

#[test]
fn exec_joins_every_namespace() {
    let s = Sandbox::new();
    let c = s.sleeping();
    let r = &c.exec_probe(&["report"])[0];
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
        let theirs = std::fs::read_link(format!("/proc/{}/ns/{kind}", c.pid())).unwrap();
        assert_eq!(r["ns"][kind], theirs.display().to_string(), "{kind}");
    }
    assert_ne!(r["pid"], 1);
    assert!(r["pids"].as_array().unwrap().contains(&json!(1)));
}

/// Linux 7.0 makes a mount namespace of the root file system alone. Whether krun took it shows in the flags of
/// its clone3, and nothing else may differ.
#[test]
fn a_namespace_of_the_root_alone_where_the_host_is_not_needed() {
    requires!(Krun, Kernel(7, 0));
    let s = Sandbox::new();
    let host = s.path("host");
    std::fs::create_dir(&host).unwrap();
    std::fs::write(format!("{host}/file"), "from the host").unwrap();
    let plain = || {
        Config::probe(&["read", "/mnt/file", "--", "read", "/proc/self/mountinfo"]).mount(
            "/mnt",
            "bind",
            &host,
            &["bind", "ro"],
        )
    };
    let hook = json!({"path": "/bin/true"});
    let cases = [
        (plain(), false),
        // A hook of the host looks at the container before its root changes.
        (plain().hook("createRuntime", hook), true),
        (plain().set("/linux/rootfsPropagation", "shared"), true),
    ];
    let mut seen = Vec::new();
    for (config, copies_the_host_s) in cases {
        let (id, bundle) = s.bundle(config);
        let log = s.path("log");
        let call = s.bare_call().args(["--debug", "--log", &log, "--root"]).arg(s.state_root());
        let out = call.args(["run", "-b"]).arg(&bundle.dir).arg(&id).run().expect_ok();
        let text = std::fs::read_to_string(&log).unwrap();
        let flags = text.split("clone3 flags 0x").nth(1).and_then(|rest| rest.get(..8)).unwrap_or_default();
        let flags =
            u64::from_str_radix(flags.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap(), 16).unwrap();
        assert_eq!(flags & 0x2_0000 != 0, copies_the_host_s, "{text}");
        std::fs::remove_file(&log).unwrap();
        assert!(out.stdout.contains("from the host"), "{}", out.stdout);
        seen.push(out.stdout.matches(" - ").count());
    }
    assert_eq!(seen[0], seen[1], "the same mounts either way");
}
