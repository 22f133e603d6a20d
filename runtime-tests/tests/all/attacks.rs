//! More attacks that a runtime has met: on the terminal, /dev, cgroups and state of others.

use runtime_tests::user::own_id;
use runtime_tests::{Config, Sandbox, User, json, raw, requires};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// The container's /dev/pts is a volume that someone filled: no terminal comes from there.
#[test]
fn cve_2025_52565_a_false_devpts() {
    requires!(Krun);
    let s = Sandbox::new();
    let victim = s.path("victim");
    fs::write(&victim, "untouched").unwrap();
    for kind in ["file", "link", "fifo", "null"] {
        let pts = s.path(&format!("pts-{kind}"));
        fs::create_dir(&pts).unwrap();
        let ptmx = format!("{pts}/ptmx");
        match kind {
            "file" => fs::write(&ptmx, "x").unwrap(),
            "link" => symlink(&victim, &ptmx).unwrap(),
            "fifo" => raw::mknod(&ptmx, libc::S_IFIFO | 0o666, 0, 0).unwrap(),
            _ => raw::mknod(&ptmx, libc::S_IFCHR | 0o666, 1, 3).unwrap(),
        }
        symlink(&victim, format!("{pts}/0")).unwrap();
        let config = Config::probe(&["echo", "on-the-terminal"]).set("/process/terminal", true);
        let config = config.without_mount("/dev/pts").mount("/dev/pts", "bind", &pts, &["bind"]);
        let (id, b) = s.bundle(config);
        let out = s.run_bundle(&id, &b);
        assert_eq!(out.code, 1, "{kind}: {out:?}");
        assert!(!s.state_root().join(&id).exists());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched", "{kind}");
        assert_eq!(fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o644, "{kind}");
    }
}

/// /dev/console of the image is a link: what is mounted there lands on it, not behind it.
#[test]
fn cve_2025_52565_the_console_is_a_link() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    let mut config = Config::probe(&["read", "/etc/victim"]).set("/process/terminal", true);
    for target in ["/dev/shm", "/dev/mqueue", "/dev"] {
        config = config.without_mount(target);
    }
    b.write(&config.set("/linux/cgroupsPath", format!("/{id}"))).unwrap();
    b.add("/etc/victim", "untouched", 0o644).unwrap();
    symlink("/etc/victim", b.inside("/dev/console")).unwrap();
    let out = s.run_bundle(&id, &b);
    assert!(out.code != 0 || out.stdout.contains("untouched"), "{out:?}");
}

/// No tmpfs covers the image's /dev, which is a link out of it: nodes, links and the terminal.
#[test]
fn cve_2026_47766_an_uncovered_dev_is_a_link() {
    let s = Sandbox::new();
    for target in ["/../../../../../../..", ""] {
        let outside = s.dir().join("outside");
        let _ = fs::remove_dir_all(&outside);
        fs::create_dir(&outside).unwrap();
        let (id, b) = s.bundle(Config::default());
        let mut config = Config::probe(&["exit", "0"]).set("/linux/cgroupsPath", format!("/{id}"));
        for mount in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
            config = config.without_mount(mount);
        }
        b.write(&config).unwrap();
        fs::remove_dir(b.inside("/dev")).unwrap();
        symlink(format!("{target}{}", outside.display()), b.inside("/dev")).unwrap();
        let _ = s.run_bundle(&id, &b);
        let made: Vec<_> = fs::read_dir(&outside).unwrap().flatten().map(|e| e.path()).collect();
        assert!(made.is_empty(), "made on the host: {made:?}");
    }
}

/// Without a cgroup namespace the host's tree is in the container: nothing of it may be written.
#[test]
fn cve_2023_25809_a_rootless_container_cannot_write_the_host_s_cgroup() {
    requires!(RuncLike, UserNamespace);
    let s = Sandbox::new();
    let user = User::delegated(&s);
    let config = own_id(Config::default()).without_namespace("cgroup").without_mount("/sys/fs/cgroup").mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "rw"],
    );
    let group = user.cgroup("").display().to_string();
    let config = config.args(&[
        "/probe",
        "mkdir",
        &format!("{group}/owned"),
        "--",
        "open-write",
        "/sys/fs/cgroup/cgroup.procs",
        "--",
        "mkdir",
        "/sys/fs/cgroup/owned",
    ]);
    let out = user.run(&config);
    for line in out.lines() {
        assert_ne!(line["ok"], true, "{line}");
    }
    assert!(out.code != 0 || out.lines().len() == 3, "{out:?}");
    assert!(!user.cgroup("owned").exists());
}

#[test]
fn the_state_of_another_user_is_refused() {
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let dir = s.state_root().join(&c.id);
    raw::chown(&dir, 1000, 1000).unwrap();
    for args in [&["state"][..], &["kill"], &["delete", "--force"], &["exec"], &["pause"]] {
        let out = s.call(args).arg(&c.id).arg(if args == ["exec"] { "/probe" } else { "" }).run();
        assert_ne!(out.code, 0, "{args:?}: {out:?}");
    }
    assert!(!runtime_tests::host::is_dead(c.pid()));
    raw::chown(&dir, 0, 0).unwrap();
    assert_eq!(c.status(), "running");
    // The directory itself must be there, not a link to one elsewhere.
    let moved = s.dir().join("elsewhere");
    fs::rename(&dir, &moved).unwrap();
    symlink(&moved, &dir).unwrap();
    s.call(["state", &c.id]).run().expect_code(1).expect_error("does not exist");
    fs::remove_file(&dir).unwrap();
    fs::rename(&moved, &dir).unwrap();
}

#[test]
fn a_state_root_that_is_a_link_of_another_user_is_refused() {
    requires!(Krun);
    let s = Sandbox::new();
    let (real, link) = (s.dir().join("real"), s.path("link"));
    fs::create_dir(&real).unwrap();
    raw::chown(&real, 1000, 1000).unwrap();
    symlink(&real, &link).unwrap();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    let out = s.bare_call().args(["--root", &link, "run", "-b"]).arg(&b.dir).arg(&id).run();
    assert_eq!(out.code, 1, "{out:?}");
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
}

/// exec applies all that init has: filter, capabilities, limits, groups, no_new_privs.
#[test]
fn an_exec_d_process_is_no_freer_than_init() {
    let s = Sandbox::new();
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]});
    let c = s.start(Config::sleeper().set("/linux/seccomp", profile));
    c.wait_ready();
    let r = c.exec_probe(&["report", "--", "mkdir", "/tmp/x"]);
    let init = fs::read_to_string(format!("/proc/{}/status", c.pid())).unwrap();
    let of_init = |key: &str| {
        init.lines().find_map(|l| l.strip_prefix(&format!("{key}:"))).unwrap_or_default().trim().to_owned()
    };
    for key in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Groups"] {
        assert_eq!(r[0]["status"][key].as_str().unwrap_or_default(), of_init(key), "{key}");
    }
    assert_eq!(r[1]["errno"], "EIO", "{}", r[1]);
}

#[test]
fn another_user_s_container_is_out_of_reach() {
    requires!(Krun, UserNamespace);
    let s = Sandbox::new();
    let user = User::new(&s);
    let c = s.start(Config::sleeper());
    let root = s.state_root().display().to_string();
    for args in [&["state"][..], &["kill"], &["delete", "--force"]] {
        let out = user.call(["--root", &root]).args(args).arg(&c.id).run();
        assert_eq!(out.code, 1, "{out:?}");
    }
    assert_eq!(c.status(), "running");
}

/// A container divides its cgroup as deep as it likes, under names of its choice.
#[test]
fn a_cgroup_deeper_than_there_are_descriptors_goes_with_its_container() {
    use std::os::unix::ffi::OsStrExt;
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let mut deepest = c.cgroup().join(std::ffi::OsStr::from_bytes(b"not\xfftext"));
    deepest.extend((0..500).map(|_| "d"));
    fs::create_dir_all(&deepest).unwrap();
    fs::write(deepest.join("cgroup.procs"), c.pid().to_string()).unwrap();
    let few = || raw::setrlimit(7, 48, 48).map_err(std::io::Error::from_raw_os_error);
    let ps = s.call(["ps", "--format", "json", &c.id]).before_exec(few).run().expect_ok();
    assert_eq!(ps.json(), json!([c.pid()]));
    s.call(["delete", "--force", &c.id]).before_exec(few).run().expect_ok();
    assert!(!c.cgroup().exists());
}
