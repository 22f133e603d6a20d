//! Bind mounts: their flags, whole trees, files, mapped ids.

use crate::mounts::volume;
use crate::{has_option, mount_on};
use runtime_tests::{Config, Sandbox, json, raw, requires};
use std::fs;

#[test]
fn a_bind_mount_and_a_read_only_one() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    let actions = [
        "read",
        "/mnt/a/file",
        "--",
        "write",
        "/mnt/a/file",
        "changed",
        "--",
        "open-write",
        "/mnt/b/file",
        "--",
        "report",
    ];
    let c = Config::probe(&actions).mount("/mnt/a", "bind", &v, &["bind"]).mount(
        "/mnt/b",
        "bind",
        &v,
        &["rbind", "ro"],
    );
    let lines = s.probe(c);
    assert_eq!(lines[0]["data"], "content");
    assert_eq!(lines[1]["ok"], true);
    assert_eq!(lines[2]["errno"], "EROFS");
    assert!(has_option(&mount_on(&lines[3], "/mnt/a"), "rw"));
    assert_eq!(fs::read_to_string(format!("{v}/file")).unwrap(), "changed");
}

#[test]
fn bind_mounts_with_each_flag() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    let mut c = Config::default();
    let flags = ["nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "ro"];
    for f in flags {
        c = c.mount(&format!("/mnt/{f}"), "bind", &v, &["bind", f]);
    }
    let r = s.report(c);
    for f in flags {
        assert!(
            has_option(&mount_on(&r, &format!("/mnt/{f}")), f),
            "{f}: {}",
            mount_on(&r, &format!("/mnt/{f}"))
        );
    }
}

#[test]
fn noexec_is_real() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    fs::copy(runtime_tests::runtime::probe_path(), format!("{v}/tool")).unwrap();
    let c = Config::probe(&["spawn", "/mnt/x/tool", "exit", "0", "--", "spawn", "/mnt/y/tool", "exit", "3"]);
    let lines =
        s.probe(c.mount("/mnt/x", "bind", &v, &["bind", "noexec"]).mount("/mnt/y", "bind", &v, &["bind"]));
    assert_eq!(lines[0]["errno"], "EACCES");
    assert_eq!(lines[1]["code"], 3);
}

#[test]
fn options_decide_a_bind_whatever_its_type() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    let lines = s.probe(Config::probe(&["read", "/mnt/file"]).mount("/mnt", "none", &v, &["rbind", "rw"]));
    assert_eq!(lines[0]["data"], "content");
}

#[test]
fn a_file_is_bound_on_a_new_file() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    let c = Config::probe(&["read", "/etc/new/hosts", "--", "stat", "/etc/new/hosts"]);
    let lines = s.probe(c.mount("/etc/new/hosts", "bind", &format!("{v}/file"), &["bind", "ro"]));
    assert_eq!(lines[0]["data"], "content");
    assert_eq!(lines[1]["type"], "file");
}

#[test]
fn a_source_relative_to_the_bundle() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["read", "/mnt/file"]).mount("/mnt", "bind", "vol", &["bind"]));
    fs::create_dir(b.dir.join("vol")).unwrap();
    fs::write(b.dir.join("vol/file"), "relative").unwrap();
    let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).cwd(&b.dir).run().expect_ok();
    assert_eq!(out.lines()[0]["data"], "relative");
}

#[test]
fn rbind_takes_submounts_along_and_bind_does_not() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    fs::create_dir(format!("{v}/sub")).unwrap();
    raw::mount("tmpfs", &format!("{v}/sub"), "tmpfs", 0, "").unwrap();
    fs::write(format!("{v}/sub/deep"), "deep").unwrap();
    let c = Config::probe(&["read", "/mnt/r/sub/deep", "--", "read", "/mnt/b/sub/deep"]);
    let lines = s.probe(c.mount("/mnt/r", "bind", &v, &["rbind"]).mount("/mnt/b", "bind", &v, &["bind"]));
    assert_eq!(lines[0]["data"], "deep");
    assert_eq!(lines[1]["errno"], "ENOENT");
}

#[test]
fn ro_leaves_submounts_and_rro_does_not() {
    requires!(RuncLike, Kernel(5, 12));
    let s = Sandbox::new();
    let v = volume(&s, "v");
    fs::create_dir(format!("{v}/sub")).unwrap();
    raw::mount("tmpfs", &format!("{v}/sub"), "tmpfs", 0, "").unwrap();
    let c = Config::probe(&[
        "create",
        "/mnt/ro/sub/x",
        "--",
        "create",
        "/mnt/rro/sub/y",
        "--",
        "create",
        "/mnt/rro/x",
    ]);
    let lines = s.probe(c.mount("/mnt/ro", "bind", &v, &["rbind", "ro"]).mount(
        "/mnt/rro",
        "bind",
        &v,
        &["rbind", "rro"],
    ));
    assert_eq!(lines[0]["ok"], true);
    assert_eq!(lines[1]["errno"], "EROFS");
    assert_eq!(lines[2]["errno"], "EROFS");
}

#[test]
fn recursive_attributes_reach_submounts() {
    requires!(RuncLike, Kernel(5, 14));
    let s = Sandbox::new();
    let v = volume(&s, "v");
    fs::create_dir(format!("{v}/sub")).unwrap();
    raw::mount("tmpfs", &format!("{v}/sub"), "tmpfs", 0, "").unwrap();
    let mut c = Config::default();
    let pairs = [
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnosymfollow", "nosymfollow"),
    ];
    for (o, _) in pairs {
        c = c.mount(&format!("/mnt/{o}"), "bind", &v, &["rbind", o]);
    }
    let r = s.report(c);
    for (o, flag) in pairs {
        let m = mount_on(&r, &format!("/mnt/{o}/sub"));
        assert!(has_option(&m, flag), "{o}: {m}");
    }
}

#[test]
fn nosymfollow() {
    requires!(RuncLike, Spec(1, 1), Kernel(5, 10));
    let s = Sandbox::new();
    let v = volume(&s, "v");
    std::os::unix::fs::symlink("file", format!("{v}/link")).unwrap();
    let c = Config::probe(&["read", "/mnt/link", "--", "read", "/mnt/file"]);
    let lines = s.probe(c.mount("/mnt", "bind", &v, &["bind", "nosymfollow"]));
    assert_eq!(lines[0]["errno"], "ELOOP");
    assert_eq!(lines[1]["data"], "content");
}

#[test]
fn a_missing_bind_source_is_named() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default().mount("/mnt", "bind", "/no/such/source", &["bind"]));
    s.run_bundle(&id, &b).expect_code(1).expect_error("/no/such/source");
    assert!(!s.state_root().join(&id).exists());
}

#[test]
fn idmapped_bind_mounts() {
    requires!(Spec(1, 1), Kernel(5, 12));
    let s = Sandbox::new();
    let v = volume(&s, "v");
    let map = json!([{"containerID": 0, "hostID": 50_000, "size": 65536}]);
    let mount = json!({"destination": "/mnt", "type": "bind", "source": v, "options": ["bind", "idmap"],
        "uidMappings": map, "gidMappings": map});
    let lines = s.probe(Config::probe(&["stat", "/mnt/file"]).push("/mounts", mount));
    assert_eq!(lines[0]["uid"], 50_000, "{}", lines[0]);
    assert_eq!(lines[0]["gid"], 50_000);
}
