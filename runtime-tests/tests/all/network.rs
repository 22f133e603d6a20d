//! `linux.netDevices`: interfaces of the host that become the container's.

use runtime_tests::{Config, Sandbox, json, raw, requires};
use std::process::Command;

/// `ip` as this thread runs it, in the network namespace that it made.
#[track_caller]
fn ip(args: &[&str]) -> String {
    let out = Command::new("ip").args(args).output().unwrap();
    assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The same in the network namespace of a process.
#[track_caller]
fn ip_of(pid: i32, args: &[&str]) -> String {
    let target = pid.to_string();
    let out = Command::new("nsenter").args(["-t", &target, "-n", "ip"]).args(args).output().unwrap();
    assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The interfaces that a test makes are in a namespace of its thread's own; the runtime is its child.
fn own_namespace() {
    raw::unshare(libc::CLONE_NEWNET).unwrap();
}

#[test]
fn an_interface_moves_with_its_addresses_and_under_a_new_name() {
    requires!(RuncLike, Spec(1, 3), Interface("dummy"), Program("nsenter"));
    let s = Sandbox::new();
    own_namespace();
    ip(&["link", "add", "ktdummy", "type", "dummy"]);
    ip(&["link", "set", "ktdummy", "mtu", "1789", "address", "00:11:22:33:44:55"]);
    ip(&["address", "add", "169.254.169.77/32", "dev", "ktdummy"]);
    ip(&["address", "add", "10.9.8.7/24", "broadcast", "10.9.8.200", "dev", "ktdummy"]);
    ip(&["address", "add", "fd00:1::5/64", "dev", "ktdummy", "nodad"]);
    ip(&["address", "add", "127.0.0.33/8", "dev", "ktdummy", "scope", "host"]);
    let devices = json!({"ktdummy": {"name": "inside0"}});
    let c = s.start(Config::sleeper().set("/linux/netDevices", devices));
    let text = ip_of(c.pid(), &["address", "show", "dev", "inside0"]);
    for wanted in [
        "mtu 1789",
        "00:11:22:33:44:55",
        "169.254.169.77/32",
        "10.9.8.7/24 brd 10.9.8.200",
        "fd00:1::5/64",
        ",UP",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("127.0.0.33"), "only addresses of global scope move: {text}");
    assert!(!ip(&["link"]).contains("ktdummy"), "it is gone from the host");
}

#[test]
fn several_interfaces_keep_their_names_and_carry_traffic() {
    requires!(RuncLike, Spec(1, 3), Interface("veth"), Program("nsenter"));
    let s = Sandbox::new();
    own_namespace();
    for (name, peer, ours, theirs) in
        [("kta", "ktb", "10.7.0.1/30", "10.7.0.2/30"), ("ktc", "ktd", "10.7.1.1/30", "10.7.1.2/30")]
    {
        ip(&["link", "add", name, "type", "veth", "peer", "name", peer]);
        ip(&["address", "add", ours, "dev", name]);
        ip(&["link", "set", name, "up"]);
        ip(&["address", "add", theirs, "dev", peer]);
    }
    let config = Config::probe(&["report", "--", "listen", "10.7.1.2:8080", "--", "ready-sleep"])
        .set("/linux/netDevices", json!({"ktb": {}, "ktd": {}}));
    let c = s.start(config);
    c.wait_ready();
    let lines = c.lines();
    assert_eq!(crate::strings(&lines[0]["interfaces"]), ["ktb", "ktd", "lo"]);
    assert_eq!(lines[1]["ok"], true, "it has the address: {}", lines[1]);
    // Nobody listens any more, but someone is there to say so: "refused", not "no route".
    let answer = std::net::TcpStream::connect("10.7.0.2:9").unwrap_err();
    assert_eq!(answer.kind(), std::io::ErrorKind::ConnectionRefused, "{answer}");
}

#[test]
fn a_name_that_is_taken_inside_is_an_error_and_the_interface_survives() {
    requires!(RuncLike, Spec(1, 3), Interface("veth"));
    let s = Sandbox::new();
    own_namespace();
    ip(&["link", "add", "ktdummy", "type", "veth", "peer", "name", "ktpeer"]);
    let (id, b) = s.bundle(Config::default().set("/linux/netDevices", json!({"ktdummy": {"name": "lo"}})));
    s.run_bundle(&id, &b).expect_code(1).expect_error("linux.netDevices.ktdummy").expect_error("file exists");
    assert!(!s.state_root().join(&id).exists());
    assert!(ip(&["link"]).contains("ktdummy"), "it is still the host's");
}

#[test]
fn the_loopback_interface_cannot_be_moved() {
    requires!(RuncLike, Spec(1, 3));
    let s = Sandbox::new();
    own_namespace();
    let config = Config::default().set("/linux/netDevices", json!({"lo": {"name": "other"}}));
    s.run(config)
        .expect_code(1)
        .expect_error("linux.netDevices.lo")
        .expect_error("fail to move network device lo to network namespace");
}

#[test]
fn network_devices_that_are_missing_or_impossible_are_named() {
    requires!(RuncLike, Spec(1, 3));
    let s = Sandbox::new();
    let with = |devices| Config::default().set("/linux/netDevices", devices);
    s.run(with(json!({"no-such-dev0": {}})))
        .expect_code(1)
        .expect_error("link not found for interface no-such-dev0 on runtime namespace");
    s.run(with(json!({"a/b": {}}))).expect_code(1).expect_error("invalid network device name");
    s.run(with(json!({"eth9": {"name": "a:b"}}))).expect_code(1).expect_error("invalid network device name");
    s.run(with(json!({"eth9": {}})).without_namespace("network"))
        .expect_code(1)
        .expect_error("unable to move network devices without a NET namespace");
}
