//! start, delete and -info, in every form that a containerd has used.

use crate::daemon::{Daemon, command, until};
use crate::wire::{Message, Out};
use runtime_tests::{Config, host, raw};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[test]
fn a_second_container_of_the_group_finds_the_same_shim() {
    let mut shim = Daemon::start();
    let (id, bundle) = shim.bundle(Config::sleeper());
    let again = command(&shim.dir, &bundle.dir, &id, "start", &[]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), shim.address);
    assert_eq!(std::fs::read_to_string(bundle.dir.join("address")).unwrap(), shim.address);
    let socket = Path::new(shim.address.strip_prefix("unix://").unwrap());
    assert_eq!(socket.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(socket.parent().unwrap().metadata().unwrap().mode() & 0o777, 0o700);
}

#[test]
fn bootstrap_params_are_answered_in_kind() {
    let mut shim = Daemon::start();
    let (id, bundle) = shim.bundle(Config::sleeper());
    let params = Out::new().bytes(1, &id).bytes(2, "test").bytes(6, "/no/containerd.sock").done();
    let out = command(&shim.dir, &bundle.dir, &id, "start", &params);
    let result = Message::parse(&out.stdout);
    assert_eq!((result.int(1), result.text(2), result.text(3)), (3, shim.address.clone(), "ttrpc".into()));
    // Of another container: not parameters but options that look like them.
    let params = Out::new().bytes(1, "someone-else").bytes(2, "test").done();
    let out = command(&shim.dir, &bundle.dir, &id, "start", &params);
    assert!(!out.status.success(), "{out:?}");
}

#[test]
fn the_socket_of_a_killed_shim_is_taken_over() {
    let mut shim = Daemon::start();
    raw::kill(shim.pid, libc::SIGKILL).unwrap();
    let pid = shim.pid;
    until("the shim is dead", || host::is_dead(pid));
    let (id, bundle) = shim.bundle(Config::sleeper());
    let out = command(&shim.dir, &bundle.dir, &id, "start", &[]);
    assert_eq!(String::from_utf8(out.stdout).unwrap(), shim.address);
    shim.client = shim.connect();
    shim.pid = i32::try_from(shim.call("Connect", &id).unwrap().int(1)).unwrap();
    assert_ne!(shim.pid, pid);
}

#[test]
fn delete_cleans_up_after_a_killed_shim() {
    let mut shim = Daemon::start();
    let running = shim.run(Config::sleeper());
    let created = shim.create(Config::sleeper());
    let mut pids = Vec::new();
    for id in [&running, &created] {
        pids.push(i32::try_from(shim.call("State", id).unwrap().int(3)).unwrap());
    }
    raw::kill(shim.pid, libc::SIGKILL).unwrap();
    for (id, pid) in [(&running, pids[0]), (&created, pids[1])] {
        let out = command(&shim.dir, &shim.dir.join(id), id, "delete", &[]);
        assert!(out.status.success(), "{out:?}");
        let response = Message::parse(&out.stdout);
        assert_eq!(response.int(2), 137);
        assert!(response.message(3).int(1) > 0);
        until("the container is dead", || host::is_dead(pid));
        let cgroup = Path::new(host::CGROUPS).join(&shim.group).join(id);
        assert!(!cgroup.exists(), "{}", cgroup.display());
        let state = Path::new("/run/containerd/krun/test").join(id);
        assert!(!state.exists(), "{}", state.display());
    }
    // And once more: nothing is there, which is what was asked for.
    let out = command(&shim.dir, &shim.dir.join(&running), &running, "delete", &[]);
    assert!(out.status.success(), "{out:?}");
}

#[test]
fn the_daemon_lets_go_of_its_caller() {
    let shim = Daemon::start();
    let proc = Path::new("/proc").join(shim.pid.to_string());
    for fd in ["0", "1", "2"] {
        assert_eq!(std::fs::read_link(proc.join("fd").join(fd)).unwrap(), Path::new("/dev/null"));
    }
    let score = std::fs::read_to_string(proc.join("oom_score_adj")).unwrap();
    let ours = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let number = |text: &str| text.trim().parse::<i32>().unwrap();
    assert_eq!(number(&score), (number(&ours) + 1).min(1000));
}

#[test]
fn info_tells_name_and_features() {
    let shim = Daemon::start();
    let out = command(&shim.dir, &shim.dir, "x", "-info", &[]);
    let info = Message::parse(&out.stdout);
    assert_eq!(info.text(1), "io.containerd.krun.v2");
    let features = info.message(4);
    assert!(features.text(1).ends_with("/features/Features"));
    let json: runtime_tests::Value = serde_json::from_slice(&features.raw(2)).unwrap();
    assert!(json["hooks"].is_array(), "{json}");
}
