//! What the host hands over to a container: its cgroup, network interfaces, ids by mount.

use runtime_tests::{Config, Sandbox, json, requires};
use std::os::unix::fs::MetadataExt;

/// The cgroup file system mounted so that the container may write to it.
fn writable_cgroup(config: Config) -> Config {
    config.without_mount("/sys/fs/cgroup").mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "rw"],
    )
}

#[test]
fn a_user_namespace_that_can_write_to_its_cgroup_owns_it() {
    requires!(UserNamespace, RuncLike);
    let s = Sandbox::new();
    let c = s.start(writable_cgroup(Config::sleeper().user_namespace()));
    let owner = |name: &str| std::fs::metadata(c.cgroup().join(name)).unwrap().uid();
    assert_eq!(owner(""), 100_000);
    assert_eq!(owner("cgroup.procs"), 100_000);
    assert_eq!(owner("cgroup.subtree_control"), 100_000);
    assert_eq!(owner("cgroup.freeze"), 0, "what is not for delegation stays root's");
}

#[test]
fn a_read_only_cgroup_or_the_host_s_namespace_stays_root_s() {
    requires!(UserNamespace, RuncLike);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper().user_namespace());
    assert_eq!(std::fs::metadata(c.cgroup()).unwrap().uid(), 0);
    let c = s.start(writable_cgroup(Config::sleeper()));
    assert_eq!(std::fs::metadata(c.cgroup()).unwrap().uid(), 0, "no user namespace, nobody to own it");
    let shared = writable_cgroup(Config::sleeper().user_namespace()).without_namespace("cgroup");
    let c = s.start(shared);
    assert_eq!(std::fs::metadata(c.cgroup()).unwrap().uid(), 0);
}

#[test]
fn the_cgroup_belongs_to_the_process_s_user() {
    requires!(UserNamespace, RuncLike);
    let s = Sandbox::new();
    let user = json!({"uid": 7, "gid": 0});
    let c = s.start(writable_cgroup(Config::sleeper().user_namespace().set("/process/user", user)));
    assert_eq!(std::fs::metadata(c.cgroup()).unwrap().uid(), 100_007);
}

/// A network namespace of this test, with a dummy interface in it: `ip` as this thread runs it.
#[track_caller]
fn ip(args: &[&str]) -> String {
    let out = std::process::Command::new("ip").args(args).output().unwrap();
    assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Whether the kernel has the dummy driver, and `ip` is not a small one that lacks half of its words.
fn can_make_interfaces() -> bool {
    let version = std::process::Command::new("ip").arg("-V").output();
    if !version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("iproute2")) {
        return false;
    }
    let made = std::process::Command::new("ip").args(["link", "add", "kt-probe", "type", "dummy"]).status();
    let _ = std::process::Command::new("ip").args(["link", "del", "kt-probe"]).status();
    made.is_ok_and(|status| status.success())
}

#[test]
fn an_interface_moves_with_its_addresses_and_under_a_new_name() {
    requires!(RuncLike, Spec(1, 3), Program("ip"), Program("nsenter"));
    let s = Sandbox::new();
    // The interface is made in a namespace of this thread's own; the runtime is its child.
    runtime_tests::raw::unshare(libc::CLONE_NEWNET).unwrap();
    let kind = if can_make_interfaces() { "dummy" } else { "none" };
    if kind == "none" {
        // Without the dummy driver: the loopback interface cannot be moved, and the runtime says so.
        let config = Config::default().set("/linux/netDevices", json!({"lo": {"name": "other"}}));
        s.run(config)
            .expect_code(1)
            .expect_error("linux.netDevices.lo")
            .expect_error("fail to move network device lo to network namespace");
        return;
    }
    ip(&["link", "add", "ktdummy", "type", "dummy"]);
    ip(&["link", "set", "ktdummy", "mtu", "1789", "address", "00:11:22:33:44:55"]);
    ip(&["address", "add", "169.254.169.77/32", "dev", "ktdummy"]);
    ip(&["address", "add", "fd00:1::5/64", "dev", "ktdummy", "nodad"]);
    ip(&["address", "add", "127.0.0.33/8", "dev", "ktdummy", "scope", "host"]);
    let devices = json!({"ktdummy": {"name": "inside0"}});
    let c = s.start(Config::sleeper().set("/linux/netDevices", devices));
    let target = c.pid().to_string();
    let seen = std::process::Command::new("nsenter")
        .args(["-t", &target, "-n", "ip", "address", "show", "dev", "inside0"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&seen.stdout);
    for wanted in ["mtu 1789", "00:11:22:33:44:55", "169.254.169.77/32", "fd00:1::5/64", ",UP"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("127.0.0.33"), "only addresses of global scope move: {text}");
    assert!(!ip(&["link"]).contains("ktdummy"), "it is gone from the host");
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
    s.run(with(json!({"eth9": {}})).without_namespace("network"))
        .expect_code(1)
        .expect_error("unable to move network devices without a NET namespace");
}

#[test]
fn resctrl_that_the_kernel_lacks_is_an_error() {
    requires!(RuncLike);
    if std::path::Path::new("/sys/fs/resctrl/info").exists() {
        return;
    }
    let s = Sandbox::new();
    let config = Config::default().set("/linux/intelRdt", json!({"closID": "x", "schemata": ["MB:0=50"]}));
    s.run(config)
        .expect_code(1)
        .expect_error("intelRdt is specified in config, but Intel RDT is not enabled");
}

#[test]
fn a_mount_s_source_may_be_an_earlier_mount_of_the_container() {
    requires!(RuncLike, Busybox, UserNamespace);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    let source = s.dir().join("src");
    std::fs::create_dir_all(source.join("x")).unwrap();
    std::fs::write(source.join("x/file"), "through two mounts\n").unwrap();
    let root = b.rootfs().display().to_string();
    let config = Config::default()
        .args(&["/bin/cat", "/final/x/file"])
        .mount("/mnt/first", "bind", &source.display().to_string(), &["bind"])
        .mount(&format!("{root}/final"), "bind", &format!("{root}/mnt/first"), &["rbind"])
        .set("/linux/cgroupsPath", format!("/{id}"));
    b.write(&config).unwrap();
    let out = s.run_bundle(&id, &b).expect_ok();
    assert_eq!(out.stdout, "through two mounts\n");
    // The same for a container that could not open the source itself.
    b.write(&config.clone().user_namespace()).unwrap();
    chown(&b.rootfs());
    let out = s.run_bundle(&id, &b).expect_ok();
    assert_eq!(out.stdout, "through two mounts\n");
}

/// To the ids of the container's user namespace.
fn chown(tree: &std::path::Path) {
    let done = std::process::Command::new("chown").args(["-R", "100000:100000"]).arg(tree).status();
    assert!(done.is_ok_and(|status| status.success()));
}

#[test]
fn without_pivot_root_no_whole_procfs_is_left_behind() {
    requires!(RuncLike, Busybox, UserNamespace);
    let s = Sandbox::new();
    // A user namespace within the container may mount procfs only if it sees a whole one already.
    let caps = json!(["CAP_SETFCAP"]);
    let mount = "mount -t proc none /proc && echo mounted";
    let config = Config::default()
        .set("/process/capabilities", json!({"bounding": caps, "permitted": caps}))
        .args(&["/bin/busybox", "unshare", "-mrpf", "/bin/sh", "-c", mount]);
    let (id, b) = s.bundle(config);
    let out = s.call(["run", "--no-pivot", "-b"]).arg(&b.dir).arg(&id).run();
    assert!(!out.stdout.contains("mounted") && out.code != 0, "{out:#?}");
    assert!(out.stderr.contains("mount: permission denied"), "{out:#?}");
}

#[test]
fn timing_tells_microseconds_per_phase() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    let out = s.call(["run", "--timing", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    for phase in ["load", "cgroup", "plan", "spawn", "total"] {
        let line = out.stderr.lines().find(|line| line.starts_with(&format!("timing: {phase} ")));
        let line = line.unwrap_or_else(|| panic!("no {phase}: {}", out.stderr));
        let took: u64 = line.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(took < 30_000_000 && line.ends_with(" us"), "{line}");
    }
}
