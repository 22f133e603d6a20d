//! The root filesystem, masked and read-only paths.

use crate::{has_option, mount_on};
use runtime_tests::config::{MASKED, READONLY};
use runtime_tests::{Config, Sandbox, json};
use std::fs;

#[test]
fn a_read_only_root() {
    let s = Sandbox::new();
    let c = Config::probe(&["report", "--", "create", "/new", "--", "create", "/dev/shm/new"]);
    let lines = s.probe(c.set("/root/readonly", true));
    assert!(has_option(&mount_on(&lines[0], "/"), "ro"));
    assert_eq!(lines[1]["errno"], "EROFS");
    assert_eq!(lines[2]["ok"], true);
    let lines = s.probe(Config::probe(&["report", "--", "create", "/new"]));
    assert!(has_option(&mount_on(&lines[0], "/"), "rw"));
    assert_eq!(lines[1]["ok"], true);
}

#[test]
fn no_pivot_still_shows_only_the_root() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["list", "/", "--", "read", "/etc/passwd"]));
    let out = s.call(["run", "--no-pivot", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    let lines = out.lines();
    assert!(lines[0]["entries"]["probe"].is_object());
    assert!(lines[1]["data"].as_str().unwrap().contains("/home/user"));
}

#[test]
fn masked_files_and_directories() {
    let s = Sandbox::new();
    let actions =
        ["read", "/etc/secret", "--", "list", "/secrets", "--", "create", "/secrets/x", "--", "report"];
    let c = Config::probe(&actions)
        .push("/linux/maskedPaths", "/etc/secret")
        .push("/linux/maskedPaths", "/secrets");
    let c = c.push("/linux/maskedPaths", "/not/there");
    let (id, b) = s.bundle(c);
    b.add("/etc/secret", "password", 0o644).unwrap();
    b.add("/secrets/key", "key", 0o644).unwrap();
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!(lines[0]["data"], "");
    assert_eq!(lines[1]["entries"], json!({}));
    assert_eq!(lines[2]["errno"], "EROFS");
    assert!(has_option(&mount_on(&lines[3], "/secrets"), "ro"));
}

#[test]
fn each_default_masked_path_is_masked() {
    let s = Sandbox::new();
    let actions: Vec<&str> =
        MASKED.iter().flat_map(|p| ["stat", p, "--", "read", p, "--", "list", p, "--"]).collect();
    let lines = s.probe(Config::probe(&actions));
    let mut seen = 0;
    for (path, l) in MASKED.iter().zip(lines.chunks(3)) {
        if l[0]["errno"] == "ENOENT" {
            continue;
        }
        seen += 1;
        match l[0]["type"].as_str().unwrap() {
            "dir" => assert_eq!(l[2]["entries"], json!({}), "{path}"),
            kind => {
                assert_eq!(
                    (kind, l[0]["major"].as_i64(), l[0]["minor"].as_i64()),
                    ("char", Some(1), Some(3)),
                    "{path}"
                );
            }
        }
    }
    assert!(seen >= 2, "hardly any masked path exists: {lines:?}");
}

#[test]
fn each_default_read_only_path_is_read_only() {
    let s = Sandbox::new();
    let r = s.report(Config::default());
    for path in READONLY {
        let m = mount_on(&r, path);
        if std::path::Path::new(path).exists() {
            assert!(has_option(&m, "ro"), "{path}: {m}");
        }
    }
    let lines = s.probe(Config::probe(&[
        "open-write",
        "/proc/sys/kernel/hostname",
        "--",
        "open-write",
        "/proc/sysrq-trigger",
    ]));
    assert_eq!(lines[0]["errno"], "EROFS");
    // This kernel may have no sysrq at all.
    assert!(["EROFS", "ENOENT"].contains(&lines[1]["errno"].as_str().unwrap()), "{}", lines[1]);
}

#[test]
fn read_only_paths_of_the_image() {
    let s = Sandbox::new();
    let c = Config::probe(&["open-write", "/etc/conf", "--", "create", "/opt/x"]);
    let (id, b) = s.bundle(c.push("/linux/readonlyPaths", "/etc/conf").push("/linux/readonlyPaths", "/opt"));
    b.add("/etc/conf", "", 0o666).unwrap();
    fs::create_dir_all(b.inside("/opt")).unwrap();
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!(lines[0]["errno"], "EROFS");
    assert_eq!(lines[1]["errno"], "EROFS");
}

#[test]
fn the_root_as_a_read_only_path() {
    let s = Sandbox::new();
    let config = Config::probe(&["create", "/new", "--", "create", "/dev/shm/new"]);
    let lines = s.probe(config.set("/linux/readonlyPaths", json!(["/"])));
    assert_eq!(lines[0]["errno"], "EROFS");
    assert_eq!(lines[1]["ok"], true);
}

#[test]
fn exec_sees_the_masks_too() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let lines = c.exec_probe(&["stat", "/proc/keys", "--", "open-write", "/proc/sys/kernel/hostname"]);
    assert_eq!(lines[0]["minor"], 3);
    assert_eq!(lines[1]["errno"], "EROFS");
}

#[test]
fn rootfs_propagation() {
    let s = Sandbox::new();
    for (mode, want) in
        [("private", "[]"), ("rprivate", "[]"), ("shared", "shared:"), ("unbindable", "unbindable")]
    {
        // runc only got these two right with version 1.2.
        if s.runtime.spec < (1, 1) && ["shared", "unbindable"].contains(&mode) {
            continue;
        }
        let r = s.report(Config::default().set("/linux/rootfsPropagation", mode));
        let p = mount_on(&r, "/")["propagation"].to_string();
        assert!(p.contains(want) || p == want, "{mode}: {p}");
    }
    s.run(Config::default().set("/linux/rootfsPropagation", "nonsense")).expect_code(1);
}
