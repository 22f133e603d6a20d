//! Ways out of a container: descriptors of the host, links of procfs, what covers it, and what is left on the host.

use runtime_tests::{Config, Sandbox, elf, host, json, leftovers, raw, requires};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::Instant;

/// Descriptors of a process that stands at the gate, beside the standard streams: what each is.
fn open_at_gate(pid: i32) -> Vec<String> {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let beyond = all.filter(|e| e.file_name().to_string_lossy().parse::<i32>().unwrap() > 2);
    beyond.map(|e| fs::read_link(e.path()).unwrap().display().to_string()).collect()
}

/// Of the descriptors at the gate, those that must not be there: one socket and the gate may be.
fn too_many(open: &[String]) -> Vec<&String> {
    let mut sockets = 0;
    let extra = open.iter().filter(|target| {
        sockets += i32::from(target.starts_with("socket:"));
        !target.ends_with("/exec.fifo") && (!target.starts_with("socket:") || sockets > 1)
    });
    extra.collect()
}

/// Every way in which a container is built: a name, its configuration, flags of create.
fn ways(s: &Sandbox) -> Vec<(String, Config, Vec<&'static str>)> {
    let mut ways = Vec::new();
    let plain = || Config::sleeper();
    let source = s.path("source");
    fs::create_dir_all(&source).unwrap();
    ways.push(("the default".to_owned(), plain(), vec![]));
    for p in ["shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"] {
        ways.push((p.to_owned(), plain().set("/linux/rootfsPropagation", p), vec![]));
    }
    let hook = json!({"path": "/bin/true"});
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let inside = if kind == "startContainer" {
            json!({"path": "/probe", "args": ["/probe", "exit", "0"]})
        } else {
            hook.clone()
        };
        ways.push((kind.to_owned(), plain().hook(kind, inside), vec![]));
    }
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let tree = json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind"],
        "uidMappings": map, "gidMappings": map});
    let binds = plain()
        .mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"])
        .mount("/mnt", "bind", &source, &["rbind", "ro"])
        .mount("/var/a/b", "bind", &source, &["bind"]);
    ways.push(("tmpcopyup and binds".to_owned(), binds, vec![]));
    ways.push(("an id-mapped mount".to_owned(), plain().push("/mounts", tree), vec![]));
    let offsets = json!({"monotonic": {"secs": 100}});
    ways.push(("time".to_owned(), plain().with_namespace("time").set("/linux/timeOffsets", offsets), vec![]));
    ways.push((
        "a sysctl".to_owned(),
        plain().set("/linux/sysctl", json!({"kernel.shmmax": "4096"})),
        vec![],
    ));
    ways.push(("no pivot".to_owned(), plain(), vec!["--no-pivot"]));
    ways.push((
        "a joined network".to_owned(),
        plain().join_namespace("network", "/proc/self/ns/net"),
        vec![],
    ));
    ways.push(("a joined ipc".to_owned(), plain().join_namespace("ipc", "/proc/self/ns/ipc"), vec![]));
    ways.push(("a user namespace".to_owned(), plain().user_namespace(), vec![]));
    let both = plain().user_namespace().set("/linux/rootfsPropagation", "shared");
    ways.push(("a user namespace, shared".to_owned(), both, vec![]));
    ways.push(("no mount namespace".to_owned(), without_mounts(), vec![]));
    ways
}

/// Without a mount namespace, and thus without mounts.
fn without_mounts() -> Config {
    let config = Config::sleeper().without_namespace("mount").set("/mounts", json!([]));
    config.remove("/linux/maskedPaths").remove("/linux/readonlyPaths")
}

#[test]
fn nothing_of_the_host_is_open_at_the_gate_or_in_the_program() {
    requires!(Krun, UserNamespace);
    let s = Sandbox::new();
    let ways = ways(&s);
    assert!(ways.len() >= 15);
    let mut wrong = Vec::new();
    for (name, config, flags) in ways {
        let (id, b) = s.bundle(config.args(&["/probe", "report", "--", "ready-sleep"]));
        let file = s.path(&format!("{id}.pid"));
        let call =
            s.call(["create", "--pid-file", &file]).args(&flags).arg("-b").arg(&b.dir).arg(&id).start();
        let out = call.stdout_file().to_owned();
        call.wait().expect_ok();
        let c = runtime_tests::Container::with_pid(
            &s,
            &id,
            b,
            out,
            fs::read_to_string(&file).unwrap().parse().unwrap(),
        );
        let open = open_at_gate(c.pid());
        let extra = too_many(&open);
        if !extra.is_empty() || !open.iter().any(|target| target.ends_with("exec.fifo")) {
            wrong.push(format!("{name}, at the gate: {open:?}"));
        }
        c.start();
        let fds = c.wait_line("fds")["fds"].clone();
        let inside = fds.as_object().unwrap().keys().filter(|n| n.parse::<i32>().unwrap() > 2).count();
        if inside != 0 {
            wrong.push(format!("{name}, in the program: {fds}"));
        }
        // Without mounts there is no terminal.
        let flags: &[&[&str]] = if name == "no mount namespace" { &[&[]] } else { &[&[], &["--tty"]] };
        for flags in flags {
            let fds = c.exec_with(flags, &["/probe", "report"]).expect_ok().lines()[0]["fds"].clone();
            if fds.as_object().unwrap().keys().any(|n| n.parse::<i32>().unwrap() > 2) {
                wrong.push(format!("{name}, exec {flags:?}: {fds}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The listener of a filter is the agent's alone.
#[test]
fn a_seccomp_listener_is_not_left_open() {
    requires!(Krun);
    let s = Sandbox::new();
    let path = s.path("agent");
    let _agent = UnixListener::bind(&path).unwrap();
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]});
    let c = s.create(Config::sleeper().set("/linux/seccomp", profile));
    let open = open_at_gate(c.pid());
    assert!(too_many(&open).is_empty(), "{open:?}");
}

/// A program of the host's by a descriptor that was left open: the escape that an audit found.
#[test]
fn a_descriptor_is_no_way_to_a_program_of_the_host() {
    let s = Sandbox::new();
    let tool = s.dir().join("tool");
    let (_, b) = s.bundle(Config::default());
    fs::copy(b.inside("/probe"), &tool).unwrap();
    for propagation in ["shared", "rshared", "slave", "private"] {
        for n in 3..13 {
            let program = format!("/proc/self/fd/{n}{}", tool.display());
            let config = Config::default().args(&[&program, "echo", "ESCAPED"]);
            let out = s.run(config.set("/linux/rootfsPropagation", propagation));
            assert!(out.code != 0 && !out.stdout.contains("ESCAPED"), "{propagation} {program}: {out:?}");
        }
    }
    let c = s.sleeping();
    for n in 3..13 {
        let out = c.exec(&[&format!("/proc/self/fd/{n}{}", tool.display()), "echo", "ESCAPED"]);
        assert!(out.code != 0 && !out.stdout.contains("ESCAPED"), "exec by {n}: {out:?}");
    }
}

/// Links of procfs lead out of the container's file tree: no program is reached through one, whether the
/// specification names it, a link of the image, a script or an ELF file.
#[test]
fn magic_links_are_no_way_to_a_program() {
    requires!(Krun);
    let s = Sandbox::new();
    for link in [
        "/proc/self/exe",
        "/proc/self/fd/0",
        "/proc/self/fd/9",
        "/proc/self/root/probe",
        "/proc/1/root/probe",
    ] {
        for way in ["argument", "link", "script", "elf"] {
            let program = if way == "argument" { link } else { "/entry" };
            let (id, b) = s.bundle(Config::default().args(&[program, "echo", "STARTED"]));
            match way {
                "link" => symlink(link, b.inside("/entry")).unwrap(),
                "script" => b.add("/entry", format!("#!{link}\n"), 0o755).unwrap(),
                "elf" => b.add("/entry", elf::executable(elf::native(), Some(link)), 0o755).unwrap(),
                _ => {}
            }
            // What descriptor 0 is of is a program: the caller's to hand out, but not to be run.
            let input = fs::File::open(b.inside("/probe")).unwrap();
            let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).stdin(input).run();
            assert_ne!(out.code, 0, "{way} {link}: {out:?}");
            assert!(!out.stdout.contains("STARTED"), "{way} {link}: {out:?}");
        }
    }
    s.run(Config::default().args(&["/proc/self/exe"])).expect_error("link of procfs");
    s.run(Config::default().args(&["/proc/1/root/probe"])).expect_error("link of procfs");
}

/// krun-init and its plan lie in one file: nobody in the container can execute or open it again.
#[test]
fn the_file_of_krun_init_can_be_had_by_nobody() {
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    let exe = format!("/proc/{}/exe", c.pid());
    assert_eq!(fs::metadata(&exe).unwrap().mode() & 0o777, 0, "its permissions");
    let started = std::process::Command::new(&exe).status();
    assert_eq!(started.unwrap_err().raw_os_error(), Some(libc::EACCES));
}

/// An image's link leads a volume onto /proc: the masks would have nothing to hide any more.
#[test]
fn a_volume_does_not_cover_procfs_through_a_link() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/self/attr")).unwrap();
    for (link, target) in [("/proc", "/data"), ("/proc/sys", "/data"), ("/", "/data/proc")] {
        for (kind, source) in [("bind", volume.as_str()), ("tmpfs", "tmpfs")] {
            let options: &[&str] = if kind == "bind" { &["bind"] } else { &[] };
            let (id, b) = s.bundle(Config::probe(&["report"]).mount(target, kind, source, options));
            symlink(link, b.inside("/data")).unwrap();
            let out = s.run_bundle(&id, &b);
            assert_ne!(out.code, 0, "{link} {kind}: {out:?}");
            assert!(out.stderr.contains("/proc"), "{out:?}");
        }
    }
    // One procfs may cover another.
    s.run(Config::probe(&["exit", "0"]).mount("/proc", "proc", "proc", &[])).expect_ok();
}

/// exec enters the container's root, and nothing of it stays mounted on the host.
#[test]
fn a_container_without_a_mount_namespace() {
    requires!(Krun);
    let s = Sandbox::new();
    let before = leftovers::before();
    let (id, b) = s.bundle(without_mounts());
    b.add("/only-inside", "inside", 0o644).unwrap();
    let rootfs = b.rootfs().display().to_string();
    let mounted = || host::mount_table().iter().filter(|line| line.contains(&rootfs)).count();
    let c = s.start_bundle(&id, &b);
    let out = c.exec(&["/probe", "read", "/only-inside", "--", "read", &s.path("state")]).expect_ok();
    assert_eq!(out.lines()[0]["ok"], true, "{out:?}");
    assert_eq!(out.lines()[1]["errno"], "ENOENT", "{out:?}");
    c.delete(&["--force"]).expect_ok();
    assert_eq!(mounted(), 0, "left on the host");
    // A creation that fails leaves nothing either, and what the engine has mounted stays.
    raw::mount(&rootfs, &rootfs, "", libc::MS_BIND, "").unwrap();
    b.write(&without_mounts().args(&["/missing"]).set("/linux/cgroupsPath", format!("/{id}"))).unwrap();
    s.run_bundle(&id, &b).expect_error("no such file");
    assert_eq!(mounted(), 1);
    raw::umount(&rootfs, libc::MNT_DETACH).unwrap();
    leftovers::assert_none(&before, &s);
}

/// What tmpcopyup copies becomes a FIFO between the look and the open, by a neighbour of the volume: nobody waits.
#[test]
fn a_file_that_becomes_a_fifo_holds_nobody_up() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    let config = Config::probe(&["exit", "0"]).mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"]);
    b.write(&config.set("/linux/cgroupsPath", format!("/{id}"))).unwrap();
    let victim = b.inside("/etc/swapped");
    let fifo = b.inside("/var/fifo").display().to_string();
    let file = b.inside("/var/file");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(relaxed) {
                let _ = raw::mknod(&fifo, libc::S_IFIFO | 0o600, 0, 0);
                let _ = fs::write(&file, "x");
                let _ = fs::rename(&file, &victim);
                let _ = fs::rename(&fifo, &victim);
            }
        });
        let mut slow = 0;
        for _ in 0..60 {
            let out =
                s.call(["run", "-b"]).arg(&b.dir).arg(&id).timeout(std::time::Duration::from_secs(10)).run();
            slow += i32::from(out.took.as_secs() >= 8);
            let _ = s.call(["delete", "--force", &id]).run();
        }
        stop.store(true, relaxed);
        assert_eq!(slow, 0, "runs that waited for a writer");
    });
}

/// A process that was to join a container is in its cgroup, which the container has frozen: it goes with the container.
#[test]
fn a_frozen_cgroup_is_removed_with_who_was_to_join() {
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.sleeping();
    let mut joining = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
    fs::write(c.cgroup().join("cgroup.procs"), joining.id().to_string()).unwrap();
    fs::write(c.cgroup().join("cgroup.freeze"), "1").unwrap();
    let begun = Instant::now();
    c.delete(&["--force"]).expect_ok();
    assert!(begun.elapsed().as_secs() < 8, "it waited in vain first");
    assert!(!c.cgroup().exists());
    assert!(joining.try_wait().unwrap().is_some(), "it is frozen for ever");
}

/// A hook may be the image's program: what it writes is not read without limit.
#[test]
fn the_output_of_a_hook_is_shown_in_part() {
    requires!(Krun);
    let s = Sandbox::new();
    for kind in ["createRuntime", "createContainer"] {
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "head -c 3000000 /dev/zero; exit 1"]});
        let out = s.run(Config::default().hook(kind, hook));
        assert_eq!(out.code, 1);
        assert!(out.stderr.len() < 300_000, "{kind}: {} bytes", out.stderr.len());
    }
}
