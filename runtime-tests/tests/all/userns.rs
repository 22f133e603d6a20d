//! User namespaces.

use crate::{has_option, mount_on};
use runtime_tests::host::mount_table;
use runtime_tests::{Config, Sandbox, json, raw, requires};

/// A root filesystem that the mapped root owns.
pub(crate) fn mapped(s: &Sandbox, c: Config) -> (String, runtime_tests::bundle::Bundle) {
    let (id, b) = s.bundle(c.user_namespace());
    let shifted = |p: &std::path::Path| {
        let st = std::fs::symlink_metadata(p).unwrap();
        use std::os::unix::fs::MetadataExt;
        raw::chown(p, st.uid() + 100_000, st.gid() + 100_000).unwrap();
    };
    walk(&b.rootfs(), &shifted);
    // Every directory above must let the mapped root through.
    for d in [s.dir().to_path_buf(), b.dir.clone()] {
        std::fs::set_permissions(d, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    (id, b)
}

fn walk(p: &std::path::Path, f: &dyn Fn(&std::path::Path)) {
    f(p);
    if p.is_dir() && !p.is_symlink() {
        for e in std::fs::read_dir(p).unwrap().flatten() {
            walk(&e.path(), f);
        }
    }
}

#[test]
fn ids_are_mapped() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let (id, b) = mapped(&s, Config::default());
    let r = s.run_bundle(&id, &b).expect_ok().lines().remove(0);
    assert_eq!(r["uid"]["effective"], 0);
    assert_eq!(
        r["uid_map"].as_str().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["0", "100000", "65536"]
    );
    assert_eq!(
        r["gid_map"].as_str().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["0", "100000", "65536"]
    );
    assert_ne!(r["ns"]["user"], std::fs::read_link("/proc/self/ns/user").unwrap().display().to_string());
    assert_eq!(r["no_new_privs"], true);
}

#[test]
fn the_host_sees_the_mapped_id() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let (id, b) = mapped(
        &s,
        Config::sleeper().set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [7]})),
    );
    let c = s.start_bundle(&id, &b);
    c.wait_ready();
    let status = std::fs::read_to_string(format!("/proc/{}/status", c.pid())).unwrap();
    assert!(status.contains("Uid:\t101000\t101000\t101000\t101000"), "{status}");
    assert!(status.lines().any(|l| l.starts_with("Groups:") && l.contains("100007")), "{status}");
}

#[test]
fn devices_are_bound_in() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let (id, b) = mapped(
        &s,
        Config::probe(&[
            "open-rw",
            "/dev/null",
            "--",
            "read",
            "/dev/zero",
            "4",
            "--",
            "stat",
            "/dev/full",
            "--",
            "open-rw",
            "/dev/ptmx",
        ]),
    );
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!(lines[0]["ok"], true);
    assert_eq!(lines[1]["length"], 4);
    assert_eq!(lines[2]["minor"], 7);
    assert_eq!(lines[3]["ok"], true);
}

#[test]
fn exec_joins_the_user_namespace() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let (id, b) = mapped(&s, Config::sleeper());
    let c = s.start_bundle(&id, &b);
    c.wait_ready();
    let r = c.exec_probe(&["report"]).remove(0);
    let there = std::fs::read_link(format!("/proc/{}/ns/user", c.pid())).unwrap().display().to_string();
    assert_eq!(r["ns"]["user"], there);
    assert_eq!(r["uid"]["effective"], 0);
    assert_eq!(r["caps"]["effective"].as_array().unwrap().len(), 3);
    let r = c.exec_with(&["--user", "1000:1000"], &["/probe", "report"]).expect_ok().lines().remove(0);
    assert_eq!(r["uid"]["real"], 1000);
}

#[test]
fn masks_and_read_only_paths_hold() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let (id, b) = mapped(
        &s,
        Config::probe(&[
            "stat",
            "/proc/keys",
            "--",
            "open-write",
            "/proc/sys/kernel/hostname",
            "--",
            "report",
        ]),
    );
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!((&lines[0]["major"], &lines[0]["minor"]), (&json!(1), &json!(3)));
    assert_ne!(lines[1]["ok"], true);
    assert_eq!(mount_on(&lines[2], "/sys")["fstype"], "sysfs");
}

#[test]
fn capabilities_count_inside_only() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let caps = ["CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_MKNOD"];
    let (id, b) = mapped(
        &s,
        Config::probe(&[
            "syscall",
            "sethostname",
            "str:x",
            "1",
            "--",
            "mknod",
            "/dev/x",
            "c",
            "1",
            "3",
            "--",
            "chown",
            "/etc/passwd",
            "1000",
            "1000",
        ])
        .capabilities(&caps),
    );
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!(lines[0]["ok"], true);
    assert_eq!(lines[1]["errno"], "EPERM");
    assert_eq!(lines[2]["ok"], true);
}

#[test]
fn an_id_outside_the_map_is_an_error() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let (id, b) = mapped(&s, Config::default().set("/process/user", json!({"uid": 70_000, "gid": 0})));
    s.run_bundle(&id, &b).expect_code(1);
    assert!(!s.state_root().join(&id).exists());
}

#[test]
fn a_user_namespace_without_maps_is_refused() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let out = s.run(Config::default().with_namespace("user"));
    out.expect_code(1);
}

#[test]
fn maps_without_a_user_namespace_are_refused() {
    requires!(RuncLike, Spec(1, 1));
    let s = Sandbox::new();
    let c = Config::default().set("/linux/uidMappings", json!([{"containerID": 0, "hostID": 1, "size": 1}]));
    s.run(c).expect_code(1);
}

#[test]
fn a_joined_user_namespace() {
    requires!(UserNamespace, Spec(1, 1));
    let s = Sandbox::new();
    let (id, b) = mapped(&s, Config::sleeper());
    let first = s.start_bundle(&id, &b);
    first.wait_ready();
    let path = format!("/proc/{}/ns/user", first.pid());
    let there = std::fs::read_link(&path).unwrap().display().to_string();
    let (id, b) = mapped(&s, Config::default());
    let config = Config::default()
        .set("/linux/cgroupsPath", format!("/{id}"))
        .push("/linux/namespaces", json!({"type": "user", "path": path}));
    b.write(&config).unwrap();
    let r = s.run_bundle(&id, &b).expect_ok().lines().remove(0);
    assert_eq!(r["ns"]["user"], there);
    assert_eq!(r["uid"]["effective"], 0);
}

#[test]
fn sub_ids_in_several_ranges() {
    requires!(UserNamespace);
    let s = Sandbox::new();
    let (id, b) = mapped(&s, Config::default());
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1}, {"containerID": 1, "hostID": 200_001, "size": 10}, {"containerID": 1000, "hostID": 101_000, "size": 1}]);
    let c = Config::default()
        .with_namespace("user")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .set("/linux/cgroupsPath", format!("/{id}"));
    // devpts' gid=5 has to be mapped too: it is.
    b.write(&c).unwrap();
    let r = s.run_bundle(&id, &b).expect_ok().lines().remove(0);
    assert_eq!(r["uid_map"].as_str().unwrap().lines().count(), 3);
}

/// The source of a bind is opened by krun, outside of the container's mount
/// namespace, where it may be shared with the host: nothing that is mounted on
/// it in the container may reach the host.
#[test]
fn mounts_on_a_bind_stay_in_the_container() {
    const MS_SHARED: u64 = 1 << 20;
    requires!(UserNamespace);
    let s = Sandbox::new();
    let source = s.dir().join("shared");
    std::fs::create_dir_all(&source).unwrap();
    let path = source.to_str().unwrap();
    raw::mount("none", path, "tmpfs", 0, "mode=777").unwrap();
    raw::mount("", path, "", MS_SHARED, "").unwrap();
    std::fs::create_dir(source.join("inner")).unwrap();
    let c = Config::default().mount("/bound", "bind", path, &["rbind"]).mount(
        "/bound/inner",
        "tmpfs",
        "tmpfs",
        &["ro"],
    );
    let (id, b) = mapped(&s, c);
    let report = s.run_bundle(&id, &b).expect_ok().lines().remove(0);
    assert_eq!(mount_on(&report, "/bound/inner")["fstype"], "tmpfs");
    let inner = format!("{path}/inner");
    assert!(!mount_table().iter().any(|line| line.contains(&inner)), "a mount reached the host");
    std::fs::write(source.join("inner/x"), "").unwrap();
}

/// Flags of the source that nobody names stay; one that is cleared by name must not stay in silence.
#[test]
fn a_flag_of_the_source_stays_unless_it_is_cleared_by_name() {
    const MS_RDONLY_REMOUNT_BIND: u64 = 1 | 32 | 4096;
    requires!(UserNamespace, Krun);
    let s = Sandbox::new();
    let source = s.dir().join("read-only");
    std::fs::create_dir_all(&source).unwrap();
    let path = source.to_str().unwrap();
    raw::mount("none", path, "tmpfs", 0, "mode=777").unwrap();
    raw::mount("", path, "", MS_RDONLY_REMOUNT_BIND, "").unwrap();
    for (options, wanted) in [(["bind", "nosuid"].as_slice(), "ro"), (&["bind", "rw", "nosuid"], "rw")] {
        let (id, b) = mapped(&s, Config::default().mount("/bound", "bind", path, options));
        let report = s.run_bundle(&id, &b).expect_ok().lines().remove(0);
        let bound = mount_on(&report, "/bound");
        assert!(has_option(&bound, wanted) && has_option(&bound, "nosuid"), "{options:?}: {bound}");
    }
}

#[test]
fn maps_beside_a_path_have_to_be_the_namespace_s() {
    requires!(UserNamespace, RuncLike);
    let s = Sandbox::new();
    let (id, b) = mapped(&s, Config::sleeper());
    let first = s.start_bundle(&id, &b);
    let user = format!("/proc/{}/ns/user", first.pid());
    let there = std::fs::read_link(&user).unwrap().display().to_string();
    let join = |change: &dyn Fn(Config) -> Config| {
        let (id, b) = mapped(&s, Config::default());
        let config = Config::default().user_namespace().join_namespace("user", &user);
        let config = change(config.set("/linux/cgroupsPath", format!("/{id}")));
        b.write_text(&config.value().to_string()).unwrap();
        s.run_bundle(&id, &b)
    };
    assert_eq!(join(&|config| config).expect_ok().lines()[0]["ns"]["user"], there);
    for field in ["/linux/uidMappings/0/hostID", "/linux/gidMappings/0/size"] {
        join(&|config| config.set(field, 1000)).expect_code(1).expect_error("non-matching mapping");
    }
}
