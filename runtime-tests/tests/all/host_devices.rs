//! Device nodes of the host: no container changes their mode, owner or times.

use runtime_tests::{Config, Sandbox, host, json, raw, requires};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

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
