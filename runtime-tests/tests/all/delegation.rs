//! What the host hands over to a container: its cgroup, ids by mount.

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
