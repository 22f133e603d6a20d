//! /dev: default nodes, links, extra devices, what the cgroup lets through.

use runtime_tests::{Config, Sandbox, json, raw, requires};

#[test]
fn the_default_devices() {
    let s = Sandbox::new();
    let dev = &s.report(Config::default())["dev"];
    for (name, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        let d = &dev[name];
        assert_eq!(d["type"], "char", "{name}");
        assert_eq!((&d["major"], &d["minor"]), (&json!(major), &json!(minor)), "{name}");
        assert_eq!(d["mode"], 0o666, "{name}");
        assert_eq!((&d["uid"], &d["gid"]), (&json!(0), &json!(0)), "{name}");
    }
}

#[test]
fn the_links_in_dev() {
    let s = Sandbox::new();
    let dev = &s.report(Config::default())["dev"];
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        assert_eq!(dev[name]["target"], target, "{name}");
    }
}

#[test]
fn nothing_else_is_in_dev() {
    let s = Sandbox::new();
    let dev = s.report(Config::default())["dev"].clone();
    let known = [
        "null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts",
        "shm", "mqueue", "core", "console",
    ];
    for name in dev.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn the_default_devices_work() {
    let s = Sandbox::new();
    let lines = s.probe(Config::probe(&[
        "open-rw",
        "/dev/null",
        "--",
        "read",
        "/dev/zero",
        "16",
        "--",
        "read",
        "/dev/urandom",
        "16",
        "--",
        "write",
        "/dev/full",
        "x",
        "--",
        "open-rw",
        "/dev/ptmx",
    ]));
    assert_eq!(lines[0]["ok"], true);
    assert_eq!(lines[1]["length"], 16);
    assert_eq!(lines[2]["length"], 16);
    assert_eq!(lines[3]["errno"], "ENOSPC");
    assert_eq!(lines[4]["ok"], true, "{}", lines[4]);
}

#[test]
fn an_extra_device_with_mode_and_owner() {
    let s = Sandbox::new();
    let device = json!({"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 1000, "gid": 2000});
    let r = s.report(Config::default().push("/linux/devices", device));
    let d = &r["dev"]["extra"];
    assert_eq!(d["type"], "char");
    assert_eq!((&d["major"], &d["minor"]), (&json!(1), &json!(5)));
    assert_eq!(d["mode"], 0o640);
    assert_eq!((&d["uid"], &d["gid"]), (&json!(1000), &json!(2000)));
}

#[test]
fn an_extra_device_s_mode_ignores_the_umask() {
    let s = Sandbox::new();
    let device = json!({"path": "/dev/sub/extra", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666});
    let (id, b) = s.bundle(Config::probe(&["stat", "/dev/sub/extra"]).push("/linux/devices", device));
    let call = s.call(["run", "-b"]).arg(&b.dir).arg(&id);
    let out = call
        .before_exec(|| {
            raw::umask(0o077);
            Ok(())
        })
        .run()
        .expect_ok();
    assert_eq!(out.lines()[0]["mode"], 0o666);
}

#[test]
fn block_devices_and_fifos() {
    let s = Sandbox::new();
    let c = Config::probe(&["stat", "/dev/blk", "--", "stat", "/dev/pipe"])
        .push("/linux/devices", json!({"path": "/dev/blk", "type": "b", "major": 7, "minor": 200}))
        .push("/linux/devices", json!({"path": "/dev/pipe", "type": "p"}));
    let lines = s.probe(c);
    assert_eq!(lines[0]["type"], "block");
    assert_eq!(lines[0]["major"], 7);
    assert_eq!(lines[1]["type"], "fifo");
}

#[test]
fn the_cgroup_denies_other_devices() {
    let s = Sandbox::new();
    let caps = ["CAP_MKNOD", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"];
    let c = Config::probe(&[
        "mknod",
        "/dev/kmsg",
        "c",
        "1",
        "11",
        "--",
        "open-read",
        "/dev/kmsg",
        "--",
        "mknod",
        "/dev/null2",
        "c",
        "1",
        "3",
        "--",
        "open-rw",
        "/dev/null2",
    ]);
    let lines = s.probe(c.capabilities(&caps));
    assert_eq!(lines[0]["ok"], true, "mknod is allowed by the default rules");
    assert_eq!(lines[1]["errno"], "EPERM");
    assert_eq!(lines[3]["ok"], true);
}

#[test]
fn device_rules_apply_in_order() {
    let s = Sandbox::new();
    let caps = ["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYSLOG", "CAP_SYS_ADMIN"];
    let rules = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"},
        {"allow": true, "type": "c", "major": 10, "minor": 999, "access": "rw"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "w"},
    ]);
    let c = Config::probe(&[
        "mknod",
        "/dev/kmsg",
        "c",
        "1",
        "11",
        "--",
        "open-read",
        "/dev/kmsg",
        "--",
        "open-write",
        "/dev/kmsg",
        "--",
        "mknod",
        "/dev/fuse",
        "c",
        "10",
        "229",
        "--",
        "open-rw",
        "/dev/fuse",
        "--",
        "mknod",
        "/dev/other",
        "c",
        "10",
        "999",
        "--",
        "open-rw",
        "/dev/other",
    ]);
    let lines = s.probe(c.capabilities(&caps).set("/linux/resources/devices", rules));
    assert_eq!(lines[1]["ok"], true, "{}", lines[1]);
    assert_eq!(lines[2]["errno"], "EPERM");
    assert_eq!(lines[4]["errno"], "EPERM", "the later rule wins: {}", lines[4]);
    // Allowed by the cgroup, so the kernel looks for a driver.
    assert!(["ENODEV", "ENXIO"].iter().any(|errno| lines[6]["errno"] == *errno), "{}", lines[6]);
}

#[test]
fn all_devices_allowed() {
    let s = Sandbox::new();
    let c = Config::probe(&["mknod", "/dev/kmsg", "c", "1", "11", "--", "open-write", "/dev/kmsg"]);
    let lines = s.probe(
        c.capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE"])
            .set("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}])),
    );
    assert_eq!(lines[1]["ok"], true);
}

#[test]
fn exec_is_under_the_device_rules() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper().capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE"]));
    let lines = c.exec_probe(&["mknod", "/dev/kmsg", "c", "1", "11", "--", "open-write", "/dev/kmsg"]);
    assert_eq!(lines[1]["errno"], "EPERM");
}

#[test]
fn a_bound_dev_is_left_alone() {
    let s = Sandbox::new();
    let dir = s.path("dev");
    std::fs::create_dir(&dir).unwrap();
    raw::mknod(&format!("{dir}/null"), libc::S_IFCHR | 0o666, 1, 3).unwrap();
    let (id, b) = s.bundle(Config::probe(&["list", "/dev"]));
    let mut c = Config::probe(&["list", "/dev"]).set("/linux/cgroupsPath", format!("/{id}"));
    for t in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        c = c.without_mount(t);
    }
    b.write(&c.mount("/dev", "bind", &dir, &["bind"])).unwrap();
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    let inside = lines[0]["entries"].as_object().unwrap().keys();
    assert_eq!(inside.collect::<Vec<_>>(), ["null"]);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn an_unknown_device_type_is_refused() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let c = Config::default()
        .push("/linux/devices", json!({"path": "/dev/x", "type": "q", "major": 1, "minor": 1}));
    s.run(c).expect_code(1);
}

/// Not a letter of the specification; runc lets it pass, so configurations have it.
#[test]
fn the_letter_a_in_a_denying_rule() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let rules = json!([
        { "allow": true, "access": "rwm" },
        { "allow": false, "type": "c", "major": 1, "minor": 11, "access": "rwa" },
    ]);
    let c = Config::probe(&["mknod", "/dev/kmsg", "c", "1", "11", "--", "open-read", "/dev/kmsg"]);
    let caps = ["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYSLOG"];
    let lines = s.probe(c.capabilities(&caps).set("/linux/resources/devices", rules));
    assert_eq!(lines[0]["ok"], true, "{}", lines[0]);
    assert_eq!(lines[1]["errno"], "EPERM", "{}", lines[1]);
}
