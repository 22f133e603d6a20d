//! The five capability sets, and that they count.

use crate::strings;
use runtime_tests::config::CAPS;
use runtime_tests::{Config, Sandbox, json, requires};

const SETS: [&str; 5] = ["bounding", "effective", "permitted", "inheritable", "ambient"];

#[test]
fn the_default_three() {
    let s = Sandbox::new();
    let caps = s.report(Config::default())["caps"].clone();
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(strings(&caps[set]), CAPS, "{set}");
    }
    assert_eq!(caps["inheritable"], json!([]));
    assert_eq!(caps["ambient"], json!([]));
}

/// A process that names no capabilities has none: what krun has is not the container's.
#[test]
fn without_capabilities_there_are_none() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let caps = s.report(Config::default().remove("/process/capabilities"))["caps"].clone();
    for set in SETS {
        assert_eq!(caps[set], json!([]), "{set}");
    }
    let empty = s.report(Config::default().set("/process/capabilities", json!({})))["caps"].clone();
    assert_eq!(empty, caps);
}

#[test]
fn each_set_is_its_own() {
    let s = Sandbox::new();
    let c = Config::default()
        .set(
            "/process/capabilities",
            json!({
                "bounding": ["CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_SETUID"],
                "permitted": ["CAP_CHOWN", "CAP_FOWNER", "CAP_KILL"],
                "effective": ["CAP_CHOWN", "CAP_KILL"],
                "inheritable": ["CAP_KILL"],
                "ambient": ["CAP_KILL"],
            }),
        )
        .set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let caps = s.report(c)["caps"].clone();
    assert_eq!(strings(&caps["bounding"]), ["CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_SETUID"]);
    // The probe's execve keeps of a user's sets what is ambient.
    assert_eq!(strings(&caps["permitted"]), ["CAP_KILL"]);
    assert_eq!(strings(&caps["effective"]), ["CAP_KILL"]);
    assert_eq!(strings(&caps["inheritable"]), ["CAP_KILL"]);
    assert_eq!(strings(&caps["ambient"]), ["CAP_KILL"]);
}

#[test]
fn no_capabilities_at_all() {
    let s = Sandbox::new();
    for c in [
        Config::default().set("/process/capabilities", json!({})),
        Config::default()
            .set("/process/capabilities", json!({"bounding": [], "effective": [], "permitted": []})),
    ] {
        let caps = s.report(c)["caps"].clone();
        for set in SETS {
            assert_eq!(caps[set], json!([]), "{set}");
        }
    }
}

#[test]
fn a_user_has_none_without_ambient() {
    let s = Sandbox::new();
    let caps =
        s.report(Config::default().set("/process/user", json!({"uid": 1000, "gid": 1000})))["caps"].clone();
    assert_eq!(caps["effective"], json!([]));
    assert_eq!(caps["permitted"], json!([]));
    assert_eq!(strings(&caps["bounding"]), CAPS);
}

#[test]
fn ambient_capabilities_reach_a_user() {
    let s = Sandbox::new();
    let all = ["CAP_NET_BIND_SERVICE"];
    let c = Config::probe(&["report", "--", "listen", "127.0.0.1:80"])
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .set(
            "/process/capabilities",
            json!({"bounding": all, "effective": all, "permitted": all, "inheritable": all, "ambient": all}),
        );
    let lines = s.probe(c);
    assert_eq!(strings(&lines[0]["caps"]["effective"]), all);
    assert_eq!(lines[1]["ok"], true);
}

#[test]
fn ambient_without_inheritable_is_refused_or_warned() {
    requires!(RuncLike, Spec(1, 2));
    let s = Sandbox::new();
    let c = Config::default().set("/process/capabilities", json!({
        "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]}));
    let out = s.run(c);
    if out.code != 0 {
        out.expect_error("can't raise ambient capability CAP_KILL");
    } else {
        assert_eq!(out.lines()[0]["caps"]["ambient"], json!([]));
    }
}

#[test]
fn what_is_not_there_is_really_denied() {
    let s = Sandbox::new();
    let lines = s.probe(Config::probe(&[
        "chown",
        "/etc/passwd",
        "1000",
        "1000",
        "--",
        "mknod",
        "/dev/x",
        "c",
        "1",
        "3",
        "--",
        "mount",
        "tmpfs",
        "/mnt",
        "tmpfs",
        "0",
        "--",
        "syscall",
        "sethostname",
        "str:x",
        "1",
        "--",
        "syscall",
        "chroot",
        "str:/tmp",
    ]));
    for l in &lines {
        assert_eq!(l["errno"], "EPERM", "{l}");
    }
    let lines =
        s.probe(Config::probe(&["chown", "/etc/passwd", "1000", "1000"]).capabilities(&["CAP_CHOWN"]));
    assert_eq!(lines[0]["ok"], true);
}

#[test]
fn all_capabilities_we_have() {
    let s = Sandbox::new();
    let ours = runtime_tests::raw::capget().unwrap()[1];
    let names = [
        "CAP_SYS_ADMIN",
        "CAP_NET_ADMIN",
        "CAP_SYS_PTRACE",
        "CAP_MKNOD",
        "CAP_SETUID",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
    ];
    let caps = s.report(Config::default().capabilities(&names))["caps"].clone();
    assert_eq!(strings(&caps["effective"]).len(), names.len(), "{ours:x}: {caps}");
}
