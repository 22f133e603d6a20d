//! Ways out of a container: descriptors of the host, links of procfs, device nodes of the host, and what a process
//! of exec might have beyond the container's own.

use runtime_tests::runtime::Kind;
use runtime_tests::{Config, Sandbox, Value, elf, host, json, leftovers, raw, requires};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
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

/// A /dev of this test's own: "the host's", on a mount that propagates.
fn own_dev() {
    host::enter_private_mounts();
    raw::mount("tmpfs", "/dev", "tmpfs", 0, "mode=755").unwrap();
    raw::mount("", "/dev", "", libc::MS_SHARED, "").unwrap();
    for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
        raw::mknod(&format!("/dev/{name}"), libc::S_IFCHR | 0o666, 1, minor).unwrap();
    }
    raw::mknod("/dev/tty", libc::S_IFCHR | 0o666, 5, 0).unwrap();
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        fs::set_permissions(format!("/dev/{name}"), std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
    }
}

/// Mode, owner and modification time of a node of the host's.
fn look(path: &str) -> (u32, u32, i64, i64) {
    let m = fs::metadata(path).unwrap();
    assert!(m.file_type().is_char_device());
    (m.mode(), m.uid(), m.mtime(), m.mtime_nsec())
}

/// Tries to change a node by its path.
fn tamper(path: &str) -> Vec<String> {
    let path = format!("str:{path}");
    let all: [&[&str]; 3] = [
        &["syscall", "fchmodat", "-100", &path, "384"],
        &["syscall", "fchownat", "-100", &path, "1000", "1000", "0"],
        &["syscall", "utimensat", "-100", &path, "0", "0"],
    ];
    let words = all.iter().flat_map(|call| call.iter().copied().chain(["--"]));
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.pop();
    words
}

const OWNERS: [&str; 4] = ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"];

#[test]
fn a_mask_is_not_the_host_s_null() {
    requires!(Krun);
    let s = Sandbox::new();
    own_dev();
    let before = look("/dev/null");
    let actions = tamper("/proc/uptime");
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    for propagation in ["rprivate", "shared"] {
        let config = Config::probe(&actions).capabilities(&OWNERS).push("/linux/maskedPaths", "/proc/uptime");
        let lines = s.probe(config.set("/linux/rootfsPropagation", propagation));
        assert!(lines.len() == 3 && lines.iter().all(|line| line["errno"] == "EROFS"), "{lines:?}");
        assert_eq!(look("/dev/null"), before);
        // What is mounted on the mask is mounted there only.
        let bind = libc::MS_BIND.to_string();
        let config =
            Config::probe(&["syscall", "mount", "str:/etc/passwd", "str:/proc/uptime", "0", &bind, "0"]);
        let config = config.capabilities(&OWNERS).push("/linux/maskedPaths", "/proc/uptime");
        let lines = s.probe(config.set("/linux/rootfsPropagation", propagation));
        assert_eq!(lines[0]["ok"], true, "{lines:?}");
        let on_null = host::mount_table().iter().filter(|line| line.contains(" /dev/null ")).count();
        assert_eq!(on_null, 0, "{propagation}: mounted on the host's null");
        assert_eq!(look("/dev/null"), before);
    }
}

#[test]
fn a_standard_stream_is_not_the_host_s_null() {
    requires!(Krun);
    let s = Sandbox::new();
    own_dev();
    let before = look("/dev/null");
    let null = || fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    let tamper = ["/probe", "syscall", "fchmod", "0", "384", "--", "syscall", "fchown", "0", "1000", "1000"];
    let c = s.start(Config::sleeper().capabilities(&OWNERS));
    c.wait_ready();
    for there in [true, false] {
        if !there {
            c.exec(&["/probe", "syscall", "unlinkat", "-100", "str:/dev/null", "0"]).expect_ok();
        }
        let out = c.exec_call(&[], &tamper).stdin(null()).run().expect_ok();
        assert!(out.lines().iter().all(|line| line["ok"] == true), "it works on another node: {out:?}");
        assert_eq!(look("/dev/null"), before, "container's null: {there}");
    }
    // A container that is made without one.
    let mut config = Config::default().args(&tamper).capabilities(&OWNERS);
    for mount in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
        config = config.without_mount(mount);
    }
    let (id, b) = s.bundle(config);
    s.call(["run", "-b"]).arg(&b.dir).arg(&id).stdin(null()).run().expect_ok();
    assert_eq!(look("/dev/null"), before);
}

/// The container's null is a link of procfs to the host's, in a pid namespace in which the container sees the host:
/// exec does not follow it with the privileges that it has.
#[test]
fn the_container_s_null_is_no_link_to_the_host_s() {
    requires!(Krun);
    let s = Sandbox::new();
    own_dev();
    let before = look("/dev/null");
    // Somebody of the host, to whose root the link leads: this test's, not the machine's.
    let mut other = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
    let link = format!("str:/proc/{}/root/dev/null", other.id());
    let c = s.start(Config::sleeper().without_namespace("pid").capabilities(&OWNERS));
    c.wait_ready();
    let swap =
        ["/probe", "syscall", "unlinkat", "-100", "str:/dev/null", "0", "--", "syscall", "symlinkat", &link];
    let swap: Vec<&str> = swap.into_iter().chain(["-100", "str:/dev/null"]).collect();
    c.exec(&swap).expect_ok();
    let null = fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    let tamper = ["/probe", "syscall", "fchmod", "0", "384"];
    let out = c.exec_call(&[], &tamper).stdin(null).run().expect_ok();
    assert_eq!(out.lines()[0]["ok"], true, "it works on another node: {out:?}");
    let after = look("/dev/null");
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(after, before);
}

/// Root of the host is root of the container's user namespace, and owns the nodes that are bound there.
#[test]
fn a_bound_device_is_the_host_s() {
    requires!(Krun, UserNamespace);
    let s = Sandbox::new();
    own_dev();
    let before = look("/dev/null");
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    let actions = tamper("/dev/null");
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    let config = Config::probe(&actions).with_namespace("user").capabilities(&OWNERS);
    let config = config.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let lines = s.probe(config);
    assert!(lines.len() == 3 && lines.iter().all(|line| line["errno"] == "EROFS"), "{lines:?}");
    assert_eq!(look("/dev/null"), before);
}

/// A device that the caller hands down as a stream does not change its owner.
#[test]
fn a_device_of_the_host_gets_no_new_owner() {
    requires!(Krun);
    let s = Sandbox::new();
    own_dev();
    let before = look("/dev/zero");
    let zero = fs::File::open("/dev/zero").unwrap();
    let user = json!({"uid": 1000, "gid": 1000});
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]).set("/process/user", user));
    s.call(["run", "-b"]).arg(&b.dir).arg(&id).stdin(zero).run().expect_ok();
    assert_eq!(look("/dev/zero"), before);
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

/// What a process description leaves out comes from the container's own process.
#[test]
fn a_process_that_says_less_does_not_get_more() {
    requires!(Krun);
    let s = Sandbox::new();
    let user = json!({"uid": 0, "gid": 0, "umask": 0o027});
    let c = Config::sleeper()
        .set("/process/oomScoreAdj", 500)
        .set("/process/user", user)
        .set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 7, "hard": 8}]))
        .set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 5}))
        .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}));
    let c = s.start(c.args(&["/probe", "report", "--", "ready-sleep"]));
    let own = c.wait_line("fds");
    let bare = json!({"args": ["/probe", "report"]});
    let said = c.exec_process(&[], &bare).expect_ok().lines().remove(0);
    let same =
        ["caps", "no_new_privs", "oom_score_adj", "rlimits", "scheduler", "ioprio", "umask", "seccomp"];
    for member in same {
        assert_eq!(said[member], own[member], "{member}");
    }
    // What it does say is what it gets, also without a capability.
    let none = json!({"args": ["/probe", "report"], "capabilities": {}, "oomScoreAdj": 600});
    let said = c.exec_process(&[], &none).expect_ok().lines().remove(0);
    assert_eq!((&said["caps"]["effective"], &said["oom_score_adj"]), (&json!([]), &json!(600)));
}

/// The bits of capabilities by number.
fn bits(caps: &[u32]) -> u64 {
    caps.iter().fold(0, |bits, cap| bits | 1 << cap)
}

fn hunted(report: &Value) -> u64 {
    assert!(report["looks"].as_u64().unwrap() > 0, "it saw nobody: {report}");
    u64::from_str_radix(report["caps"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

const PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const KILL: u32 = 5;

/// A container with CAP_SYS_PTRACE spies on whoever comes in: what it could take over never has more than it has.
#[test]
fn a_process_of_exec_is_never_seen_with_more() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let caps = ["CAP_SYS_PTRACE", "CAP_KILL"];
    let allow = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]});
    for (no_new_privs, filter, more) in
        [(true, true, 0), (false, false, 0), (false, true, bits(&[SYS_ADMIN]))]
    {
        let mut config = Config::probe(&["hunt-caps", "2000", "--", "ready-sleep"]).capabilities(&caps);
        config = config.set("/process/noNewPrivileges", no_new_privs);
        if filter {
            config = config.set("/linux/seccomp", allow.clone());
        }
        let c = s.start(config);
        c.wait_ready();
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 1200 {
            c.exec(&["/probe", "exit", "0"]).expect_ok();
        }
        let beyond = hunted(&c.wait_line("caps")) & !bits(&[PTRACE, KILL]);
        if s.runtime.kind == Kind::Krun {
            // Loading a filter without no_new_privs takes CAP_SYS_ADMIN, in the process itself (seccomp(2)).
            assert_eq!(beyond & !more, 0, "no_new_privs {no_new_privs}, filter {filter}: {beyond:#x}");
        } else {
            println!("seen beyond the container's: {beyond:#x}");
        }
    }
}

/// A container is built in the pid namespace of another, which spies: what building does not take is gone by then.
#[test]
fn a_container_in_a_shared_pid_namespace_is_built_with_less() {
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.start(
        Config::probe(&["hunt-caps", "2500", "--", "ready-sleep"])
            .capabilities(&["CAP_SYS_PTRACE", "CAP_KILL"]),
    );
    c.wait_ready();
    let begun = Instant::now();
    while begun.elapsed().as_millis() < 1500 {
        let config = Config::probe(&["exit", "0"]);
        s.run(config.join_namespace("pid", &format!("/proc/{}/ns/pid", c.pid()))).expect_ok();
    }
    let seen = hunted(&c.wait_line("caps"));
    // CAP_SYS_MODULE, RAWIO, BOOT, TIME, SYSLOG, PERFMON, BPF, AUDIT_CONTROL.
    assert_eq!(seen & bits(&[16, 17, 22, 25, 34, 38, 39, 30]), 0, "{seen:#x}");
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

/// A device that the caller hands down works, but its node can't be changed: a terminal would be open to every user.
#[test]
fn a_stream_s_device_can_be_used_but_not_changed() {
    requires!(Krun);
    let s = Sandbox::new();
    let (_master, slave) = raw::openpty().unwrap();
    let slave = fs::File::from(slave);
    let before = slave.metadata().unwrap();
    let tamper = ["/probe", "syscall", "fchmod", "0", "438", "--", "syscall", "fchown", "0", "1000", "1000"];
    let c = s.start(Config::sleeper().capabilities(&OWNERS));
    c.wait_ready();
    let (id, b) = s.bundle(Config::default().args(&tamper).capabilities(&OWNERS));
    let run = s.call(["run", "-b"]).arg(&b.dir).arg(&id).stdin(slave.try_clone().unwrap()).run();
    let exec = c.exec_call(&[], &tamper).stdin(slave.try_clone().unwrap()).run();
    for out in [run, exec] {
        let lines = out.expect_ok().lines();
        assert!(lines.len() == 2 && lines.iter().all(|line| line["errno"] == "EROFS"), "{lines:?}");
    }
    let after = slave.metadata().unwrap();
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
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
