//! Mounts, propagation, the root filesystem, masked and read-only paths.

use crate::{has_option, mount_on};
use runtime_tests::{Config, Sandbox, Value, host, json, raw, requires};
use std::fs;

/// A directory of the sandbox with a file in it.
pub(crate) fn volume(s: &Sandbox, name: &str) -> String {
    let dir = s.path(name);
    fs::create_dir(&dir).unwrap();
    fs::write(format!("{dir}/file"), "content").unwrap();
    dir
}

#[test]
fn the_default_mounts_have_their_types_and_flags() {
    let s = Sandbox::new();
    let r = s.report(Config::default());
    for (target, fstype, options) in [
        ("/proc", "proc", &["rw"][..]),
        ("/dev", "tmpfs", &["rw", "nosuid"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec"]),
        ("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ("/sys", "sysfs", &["ro", "nosuid", "noexec", "nodev"]),
        ("/sys/fs/cgroup", "cgroup2", &["ro", "nosuid", "noexec", "nodev"]),
    ] {
        let m = mount_on(&r, target);
        assert_eq!(m["fstype"], fstype, "{target}: {m}");
        for o in options {
            assert!(has_option(&m, o), "{target} lacks {o}: {m}");
        }
    }
    let dev = mount_on(&r, "/dev");
    assert!(
        dev["super"].to_string().contains("size=65536k") && dev["super"].to_string().contains("mode=755"),
        "{dev}"
    );
    let pts = mount_on(&r, "/dev/pts");
    assert!(
        pts["super"].to_string().contains("ptmxmode=666") && pts["super"].to_string().contains("gid=5"),
        "{pts}"
    );
}

#[test]
fn nothing_of_the_host_s_mount_table_is_left() {
    let s = Sandbox::new();
    let r = s.report(Config::default());
    let mounts = r["mounts"].as_array().unwrap();
    let known = ["/", "/proc", "/dev", "/sys"];
    for m in mounts {
        let t = m["target"].as_str().unwrap();
        assert!(known.iter().any(|k| t == *k || (*k != "/" && t.starts_with(&format!("{k}/")))), "{m}");
    }
    assert_eq!(mounts.iter().filter(|m| m["target"] == "/").count(), 1);
}

#[test]
fn tmpfs_with_size_and_mode() {
    let s = Sandbox::new();
    let c = Config::probe(&["report", "--", "stat", "/mnt/t"]);
    let lines = s.probe(c.mount("/mnt/t", "tmpfs", "tmpfs", &["size=1m", "mode=750", "noexec"]));
    let m = mount_on(&lines[0], "/mnt/t");
    assert_eq!(m["fstype"], "tmpfs");
    assert!(m["super"].to_string().contains("size=1024k"), "{m}");
    assert_eq!(lines[1]["mode"], 0o750);
}

#[test]
fn tmpfs_inherits_the_mode_of_its_mount_point() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["stat", "/scratch"]).mount("/scratch", "tmpfs", "tmpfs", &[]));
    fs::create_dir(b.inside("/scratch")).unwrap();
    fs::set_permissions(b.inside("/scratch"), std::os::unix::fs::PermissionsExt::from_mode(0o1711)).unwrap();
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!(lines[0]["mode"], 0o1711);
}

#[test]
fn tmpcopyup_brings_the_image_s_files() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let (id, b) = s.bundle(
        Config::probe(&["read", "/data/a/b", "--", "touch", "/data/new", "--", "readlink", "/data/link"])
            .mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]),
    );
    b.add("/data/a/b", "from the image", 0o640).unwrap();
    std::os::unix::fs::symlink("a/b", b.inside("/data/link")).unwrap();
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!(lines[0]["data"], "from the image");
    assert_eq!(lines[1]["ok"], true);
    assert_eq!(lines[2]["target"], "a/b");
    assert!(!b.inside("/data/new").exists());
}

#[test]
fn later_mounts_lie_on_earlier_ones() {
    let s = Sandbox::new();
    let (a, b) = (volume(&s, "a"), volume(&s, "b"));
    fs::write(format!("{b}/file"), "second").unwrap();
    let c = Config::probe(&["read", "/mnt/file", "--", "read", "/mnt/sub/file"]);
    let c = c.mount("/mnt", "bind", &a, &["bind"]).mount("/mnt/sub", "bind", &b, &["bind"]);
    let lines = s.probe(c);
    assert_eq!(lines[0]["data"], "content");
    assert_eq!(lines[1]["data"], "second");
}

#[test]
fn a_symlink_in_the_image_stays_inside_it() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    let (id, b) =
        s.bundle(Config::probe(&["read", "/real/vol/file"]).mount("/link/vol", "bind", &v, &["bind"]));
    // Absolute, and with too many `..`: both mean the container's own root.
    std::os::unix::fs::symlink("/../../../../real", b.inside("/link")).unwrap();
    fs::create_dir(b.inside("/real")).unwrap();
    assert_eq!(s.run_bundle(&id, &b).expect_ok().lines()[0]["data"], "content");
}

#[test]
fn propagation_of_single_mounts() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    raw::mount(&v, &v, "", libc::MS_BIND, "").unwrap();
    raw::mount("", &v, "", libc::MS_SHARED, "").unwrap();
    let c = Config::default()
        .set("/linux/rootfsPropagation", "shared")
        .mount("/mnt/private", "bind", &v, &["bind", "private"])
        .mount("/mnt/slave", "bind", &v, &["bind", "slave"])
        .mount("/mnt/shared", "bind", &v, &["bind", "shared"])
        .mount("/mnt/unbindable", "bind", &v, &["bind", "unbindable"]);
    let r = s.report(c);
    let p = |t: &str| mount_on(&r, t)["propagation"].to_string();
    assert_eq!(p("/mnt/private"), "[]");
    assert!(p("/mnt/slave").contains("master:"), "{}", p("/mnt/slave"));
    assert!(p("/mnt/shared").contains("shared:"), "{}", p("/mnt/shared"));
    assert!(p("/mnt/unbindable").contains("unbindable"), "{}", p("/mnt/unbindable"));
}

#[test]
fn a_slave_volume_sees_the_host_s_new_mounts() {
    let s = Sandbox::new();
    let v = volume(&s, "v");
    raw::mount(&v, &v, "", libc::MS_BIND, "").unwrap();
    raw::mount("", &v, "", libc::MS_SHARED, "").unwrap();
    fs::create_dir(format!("{v}/late")).unwrap();
    let c = s.start(Config::sleeper().set("/linux/rootfsPropagation", "rslave").mount(
        "/mnt",
        "bind",
        &v,
        &["rbind", "rslave"],
    ));
    c.wait_ready();
    raw::mount("tmpfs", &format!("{v}/late"), "tmpfs", 0, "").unwrap();
    fs::write(format!("{v}/late/news"), "arrived").unwrap();
    assert_eq!(c.exec_probe(&["read", "/mnt/late/news"])[0]["data"], "arrived");
}

#[test]
fn by_default_no_mount_propagates() {
    let s = Sandbox::new();
    let r = s.report(Config::default());
    for m in r["mounts"].as_array().unwrap() {
        assert!(!m["propagation"].to_string().contains("shared:"), "{m}");
    }
}

#[test]
fn the_host_s_mounts_stay_as_they_are() {
    let s = Sandbox::new();
    let before = host::mount_table();
    let v = volume(&s, "v");
    let c = s.start(Config::sleeper().mount("/mnt", "bind", &v, &["bind", "ro"]));
    assert_eq!(host::mount_table(), before);
    drop(c);
    assert_eq!(host::mount_table(), before);
}

#[test]
fn an_unknown_filesystem_is_named() {
    let s = Sandbox::new();
    s.run(Config::default().mount("/mnt", "nosuchfs", "x", &[]))
        .expect_code(1)
        .expect_error_of(&["nosuchfs", "no such device"]);
}

#[test]
fn the_cgroup_mount_shows_the_container_s_own_group() {
    let s = Sandbox::new();
    let lines = s.probe(Config::probe(&[
        "read",
        "/sys/fs/cgroup/cgroup.procs",
        "--",
        "open-write",
        "/sys/fs/cgroup/cgroup.procs",
    ]));
    assert_eq!(lines[0]["data"], "1\n");
    assert_eq!(lines[1]["errno"], "EROFS");
}

#[test]
fn without_a_cgroup_namespace_the_mount_is_still_read_only() {
    let s = Sandbox::new();
    let c = Config::probe(&["open-write", "/sys/fs/cgroup/cgroup.procs", "--", "report"]);
    let lines = s.probe(c.without_namespace("cgroup"));
    assert_eq!(lines[0]["errno"], "EROFS");
    assert_eq!(mount_on(&lines[1], "/sys/fs/cgroup")["fstype"], "cgroup2");
}

#[test]
fn proc_options() {
    requires!(Kernel(5, 8));
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["report"]).without_mount("/proc").without_mount("/dev/pts"));
    let mut c: Value = serde_json::from_str(&fs::read_to_string(b.dir.join("config.json")).unwrap()).unwrap();
    let mounts = c["mounts"].as_array_mut().unwrap();
    mounts.insert(0, json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "nodev", "noexec", "hidepid=2"]}));
    b.write_text(&c.to_string()).unwrap();
    let r = s.run_bundle(&id, &b).expect_ok().lines().remove(0);
    let m = mount_on(&r, "/proc");
    assert!(has_option(&m, "noexec") && m["super"].to_string().contains("hidepid="), "{m}");
}

#[test]
fn proc_or_sys_only_on_an_ordinary_directory() {
    let s = Sandbox::new();
    for dir in ["proc", "sys"] {
        let (id, b) = s.bundle(Config::default());
        fs::remove_dir(b.inside(dir)).unwrap();
        std::os::unix::fs::symlink("/tmp", b.inside(dir)).unwrap();
        let out = s.run_bundle(&id, &b);
        out.expect_code(1).expect_error("must be mounted on ordinary directory");
    }
}
