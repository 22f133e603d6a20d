//! The attacks of the field's history, tried for real.

use runtime_tests::invocation::Invocation;
use runtime_tests::runtime::Kind;
use runtime_tests::{Config, Sandbox, json, leftovers, raw, requires};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// A copy of the runtime to be attacked, and its bytes.
fn victim(s: &Sandbox) -> (PathBuf, Vec<u8>) {
    let copy = s.dir().join(s.runtime.path.file_name().unwrap());
    fs::copy(&s.runtime.path, &copy).unwrap();
    (copy.clone(), fs::read(copy).unwrap())
}

/// Joins the container while its hunter hunts, which it does for 2.5 s: twenty
/// times, or as often as a slow machine manages.
fn while_hunted(mut join: impl FnMut()) {
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        join();
        if begun.elapsed().as_millis() > 1200 {
            break;
        }
    }
}

fn call(s: &Sandbox, program: &std::path::Path, args: &[&str]) -> Invocation {
    Invocation::new(program, s.dir()).arg("--root").arg(s.state_root()).args(args)
}

#[test]
fn cve_2019_5736_a_joining_runtime_cannot_be_overwritten() {
    let s = Sandbox::new();
    let (copy, bytes) = victim(&s);
    let (id, b) = s.bundle(Config::probe(&["hunt-exe", "2500"]).capabilities(&[
        "CAP_SYS_PTRACE",
        "CAP_DAC_OVERRIDE",
        "CAP_SYS_ADMIN",
    ]));
    let bundle = b.dir.display().to_string();
    let run = call(&s, &copy, &["run", "-b", &bundle, &id]).start();
    assert!(runtime_tests::container::eventually(|| run.stdout().contains("ready")), "{}", run.stderr());
    while_hunted(|| {
        call(&s, &copy, &["exec", &id, "/probe", "exit", "0"]).run().expect_ok();
    });
    let report = run.wait().expect_ok().lines().pop().unwrap();
    assert_eq!(report["written"], json!([]), "{report}");
    assert!(report["rounds"].as_i64().unwrap() > 10);
    assert!(fs::read(&copy).unwrap() == bytes, "the runtime was overwritten");
}

#[test]
fn cve_2019_5736_the_entry_point_is_proc_self_exe() {
    let s = Sandbox::new();
    let (copy, bytes) = victim(&s);
    for way in 0..3 {
        let (id, b) = s.bundle(Config::default().args(&[["/proc/self/exe", "/entry", "/script"][way]]));
        symlink("/proc/self/exe", b.inside("/entry")).unwrap();
        b.add("/script", "#!/proc/self/exe\n", 0o755).unwrap();
        let bundle = b.dir.display().to_string();
        let out = call(&s, &copy, &["run", "-b", &bundle, &id]).run();
        if s.runtime.kind == Kind::Krun {
            assert_ne!(out.code, 0, "krun-init runs for nobody else: {out:?}");
        }
        assert!(fs::read(&copy).unwrap() == bytes, "the runtime was overwritten");
    }
}

#[test]
fn a_created_container_shows_nothing_of_the_host_s_runtime() {
    let s = Sandbox::new();
    let stray = fs::File::open("/etc/passwd").unwrap();
    let (id, b) = s.bundle(Config::sleeper());
    let file = s.path("pid");
    s.call(["create", "--pid-file", &file, "-b"]).arg(&b.dir).arg(&id).fd(stray, 19).run().expect_ok();
    let pid = fs::read_to_string(&file).unwrap();
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap().display().to_string();
    let inode = |p: &std::path::Path| fs::metadata(p).map(|m| (m.dev(), m.ino())).ok();
    let root = inode(format!("/proc/{pid}/root").as_ref());
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    // Its own root may be held until the start.
    let fds = fds.filter(|e| inode(&e.path()) != root);
    let targets: Vec<String> = fds.map(|e| fs::read_link(e.path()).unwrap().display().to_string()).collect();
    s.call(["delete", "--force", &id]).run().expect_ok();
    assert_ne!(exe, s.runtime.path.display().to_string());
    assert!(!targets.iter().any(|t| t == "/etc/passwd"), "{targets:?}");
    assert!(
        !targets.iter().any(|t| t.ends_with("state.json") || t == "/" || t.starts_with("/sys/fs/cgroup")),
        "{targets:?}"
    );
}

#[test]
fn joining_processes_show_nothing_of_the_host() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let secret = s.path("secret");
    fs::write(&secret, "TOP-SECRET").unwrap();
    let c = s.start(Config::probe(&["hunt-root", &secret, "2500"]).capabilities(&[
        "CAP_SYS_PTRACE",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_SYS_ADMIN",
    ]));
    c.wait_ready();
    while_hunted(|| {
        c.exec(&["/probe", "exit", "0"]).expect_ok();
    });
    let report = c.wait_line("stolen");
    assert_eq!(report["stolen"], json!([]), "a file of the host was read");
}

#[test]
fn joining_processes_show_no_descriptor_of_the_host() {
    requires!(Krun);
    let s = Sandbox::new();
    let c =
        s.start(Config::probe(&["hunt-fds", "2500"]).capabilities(&["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]));
    c.wait_ready();
    let stray = s.path("stray-of-the-host");
    while_hunted(|| {
        fs::write(&stray, "x").unwrap();
        c.exec_call(&[], &["/probe", "sleep", "20"])
            .fd(fs::File::open(&stray).unwrap(), 21)
            .run()
            .expect_ok();
    });
    let seen = c.wait_line("seen")["seen"].to_string();
    assert!(!seen.contains("stray-of-the-host") && !seen.contains("state.json"), "{seen}");
}

#[test]
fn cve_2019_16884_a_volume_over_proc_is_refused() {
    let s = Sandbox::new();
    let fake = s.path("fake");
    fs::create_dir_all(format!("{fake}/self/attr")).unwrap();
    fs::create_dir_all(format!("{fake}/sys/kernel")).unwrap();
    for target in ["/proc", "/proc/self", "/proc/sys/kernel"] {
        let (id, b) = s.bundle(Config::default().mount(target, "bind", &fake, &["bind"]));
        s.run_bundle(&id, &b).expect_code(1);
        assert!(!s.state_root().join(&id).exists());
    }
}

#[test]
fn cve_2019_19921_a_fake_proc_does_not_take_the_sysctls() {
    let s = Sandbox::new();
    // /proc is a tmpfs that the image filled: nothing may be written there and believed.
    let (id, b) = s.bundle(Config::default());
    let c = Config::default()
        .without_mount("/proc")
        .mount("/proc", "tmpfs", "tmpfs", &[])
        .set("/linux/sysctl", json!({"kernel.shmmax": "4096"}))
        .set("/linux/cgroupsPath", format!("/{id}"));
    b.write(&c).unwrap();
    s.run_bundle(&id, &b).expect_code(1);
}

/// While `body` runs, `path` is now a directory and now a link to `evil`.
fn while_swapping(path: &std::path::Path, evil: &str, body: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let (dir, link) = (path.with_extension("dir"), path.with_extension("link"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            fs::create_dir_all(&dir).unwrap();
            symlink(evil, &link).unwrap();
            while !stop.load(Ordering::Relaxed) {
                // Never a moment without either: rename over an empty directory or a link.
                let _ = fs::remove_file(path);
                let _ = fs::rename(&dir, path);
                let _ = fs::rename(path, &dir);
                let _ = fs::rename(&link, path);
                let _ = fs::rename(path, &link);
            }
        });
        body();
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn cve_2021_30465_and_2024_45310_swapped_mount_targets() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let outside = s.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    let volume = s.path("volume");
    fs::create_dir(&volume).unwrap();
    let evil = format!("/../../../../../../../..{}", outside.display());
    let (id, b) = s.bundle(Config::default());
    let c = Config::probe(&["exit", "0"])
        .set("/linux/cgroupsPath", format!("/{id}"))
        .mount("/var/swap/sub/deep", "bind", &volume, &["bind"])
        .mount("/var/swap/tmp", "tmpfs", "tmpfs", &[]);
    b.write(&c).unwrap();
    while_swapping(&b.inside("/var/swap"), &evil, || {
        for _ in 0..25 {
            let _ = s.run_bundle(&id, &b);
            let _ = s.call(["delete", "--force", &id]).run();
        }
    });
    let made: Vec<_> = fs::read_dir(&outside).unwrap().flatten().map(|e| e.path()).collect();
    assert!(made.is_empty(), "made on the host: {made:?}");
}

#[test]
fn cve_2024_21626_a_descriptor_as_the_working_directory() {
    let s = Sandbox::new();
    let secret = s.path("secret");
    fs::write(&secret, "TOP-SECRET").unwrap();
    let up = format!("../../../../../../../..{secret}");
    for n in 3..16 {
        for cwd in [format!("/proc/self/fd/{n}"), "/cwd".to_owned()] {
            let (id, b) = s.bundle(Config::probe(&["read", &up]).set("/process/cwd", cwd.clone()));
            symlink(format!("/proc/self/fd/{n}"), b.inside("/cwd")).unwrap();
            let out = s.run_bundle(&id, &b);
            assert!(!out.stdout.contains("TOP-SECRET"), "{cwd} by {n}: {out:?}");
        }
    }
    let c = s.start(Config::sleeper());
    for n in 3..16 {
        let out = c.exec_with(&["--cwd", &format!("/proc/self/fd/{n}")], &["/probe", "read", &up]);
        assert!(!out.stdout.contains("TOP-SECRET"), "exec {n}: {out:?}");
    }
}

#[test]
fn cve_2025_31133_a_false_dev_null_under_masked_paths() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let dev = s.path("dev");
    fs::create_dir(&dev).unwrap();
    for fake in 0..2 {
        let (id, b) = s.bundle(Config::default());
        let null = format!("{dev}/null");
        let _ = fs::remove_file(&null);
        if fake == 0 {
            symlink("/etc/payload", &null).unwrap();
        } else {
            fs::write(&null, "PAYLOAD").unwrap();
        }
        b.add("/etc/payload", "PAYLOAD", 0o666).unwrap();
        b.add("/etc/secret", "SECRET", 0o644).unwrap();
        let mut c = Config::probe(&["read", "/etc/secret"]).set("/linux/cgroupsPath", format!("/{id}"));
        for t in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
            c = c.without_mount(t);
        }
        b.write(&c.mount("/dev", "bind", &dev, &["bind"]).push("/linux/maskedPaths", "/etc/secret")).unwrap();
        let out = s.run_bundle(&id, &b);
        assert!(!out.stdout.contains("PAYLOAD") && !out.stdout.contains("SECRET"), "{out:?}");
    }
}

#[test]
fn cve_2026_41579_dev_of_the_image_is_a_symlink() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let outside = s.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    fs::remove_dir(b.inside("/dev")).unwrap();
    symlink(format!("/../../../../../../..{}", outside.display()), b.inside("/dev")).unwrap();
    let _ = s.run_bundle(&id, &b);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn devices_are_not_made_through_a_link_of_the_image() {
    let s = Sandbox::new();
    let outside = s.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    let (id, b) = s.bundle(Config::default());
    symlink(outside.display().to_string(), b.inside("/away")).unwrap();
    let mut c = Config::probe(&["exit", "0"]).set("/linux/cgroupsPath", format!("/{id}"));
    c = c.push("/linux/devices", json!({"path": "/away/node", "type": "c", "major": 1, "minor": 3}));
    b.write(&c).unwrap();
    let _ = s.run_bundle(&id, &b);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn no_new_privs_and_a_set_user_id_program() {
    let s = Sandbox::new();
    for (flag, uid) in [(true, 1000), (false, 0)] {
        let c = Config::probe(&["spawn", "/suid", "report"])
            .set("/process/user", json!({"uid": 1000, "gid": 1000}))
            .set("/process/noNewPrivileges", flag);
        let (id, b) = s.bundle(c);
        b.add("/suid", fs::read(b.inside("/probe")).unwrap(), 0o4755).unwrap();
        let lines = s.run_bundle(&id, &b).expect_ok().lines();
        let inner: serde_json::Value = serde_json::from_str(lines[0]["stdout"].as_str().unwrap()).unwrap();
        assert_eq!(inner["uid"]["effective"], uid, "noNewPrivileges {flag}");
    }
}

#[test]
fn the_host_s_files_cannot_be_reached() {
    let s = Sandbox::new();
    let secret = s.path("secret");
    fs::write(&secret, "TOP-SECRET").unwrap();
    let up = format!("/../../../../../..{secret}");
    let caps = ["CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"];
    let c = Config::probe(&[
        "read",
        &secret,
        "--",
        "read",
        &up,
        "--",
        "mkdir",
        "/tmp/jail",
        "--",
        "syscall",
        "chroot",
        "str:/tmp/jail",
        "--",
        "read",
        &up,
    ]);
    let lines = s.probe(c.capabilities(&caps));
    for i in [0, 1, 4] {
        assert_eq!(lines[i]["errno"], "ENOENT", "{}", lines[i]);
    }
}

#[test]
fn the_state_root_of_another_user_is_refused() {
    requires!(Krun);
    let s = Sandbox::new();
    let root = s.dir().join("foreign");
    fs::create_dir(&root).unwrap();
    raw::chown(&root, 1000, 1000).unwrap();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    let out = s.bare_call().arg("--root").arg(&root).args(["run", "-b"]).arg(&b.dir).arg(&id).run();
    assert_eq!(out.code, 1, "{out:?}");
}

#[test]
fn a_killed_create_leaves_what_delete_can_clean() {
    requires!(Krun);
    let s = Sandbox::new();
    let before = leftovers::before();
    // The whole of a create is swept in steps finer than its phases.
    for i in 0..60u64 {
        let (id, b) = s.bundle(Config::sleeper());
        let run = s.call(["create", "-b"]).arg(&b.dir).arg(&id).start();
        std::thread::sleep(std::time::Duration::from_micros(i * 250));
        let _ = raw::kill(run.pid(), libc::SIGKILL);
        run.end();
        s.call(["delete", "--force", &id]).run().expect_ok();
    }
    leftovers::assert_none(&before, &s);
}

#[test]
fn a_killed_start_exec_or_delete_leaves_what_delete_can_clean() {
    requires!(Krun);
    let s = Sandbox::new();
    let before = leftovers::before();
    for i in 0..24u64 {
        let (id, b) = s.bundle(Config::sleeper());
        let file = s.path("pid");
        s.call(["create", "--pid-file", &file, "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
        for args in
            [&["start", &id][..], &["exec", "-d", &id, "/probe", "exit", "0"], &["delete", "--force", &id]]
        {
            let run = s.call(args).start();
            std::thread::sleep(std::time::Duration::from_micros(i * 200));
            let _ = raw::kill(run.pid(), libc::SIGKILL);
            run.end();
        }
        // An exec'd process is ours to reap; until then its namespace lives.
        std::thread::sleep(std::time::Duration::from_millis(5));
        leftovers::reap(&s);
        s.call(["delete", "--force", &id]).run().expect_ok();
    }
    leftovers::assert_none(&before, &s);
}

#[test]
fn few_descriptors_are_an_error_or_enough() {
    requires!(Krun);
    let s = Sandbox::new();
    let before = leftovers::before();
    for n in 3..24 {
        let (id, b) = s.bundle(Config::probe(&["exit", "0"]).remove("/process/rlimits"));
        let low = move || raw::setrlimit(7, n, n).map_err(std::io::Error::from_raw_os_error);
        let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).before_exec(low).run();
        assert!(out.code == 0 || out.code == 1 || out.code == 134, "{n}: {out:?}");
        s.call(["delete", "--force", &id]).run().expect_ok();
    }
    leftovers::assert_none(&before, &s);
}
