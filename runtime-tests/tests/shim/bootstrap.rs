//! start, delete and -info, in every form that a containerd has used.

use crate::client::Client;
use crate::daemon::{Daemon, command, command_of, spawn, until};
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
fn containerd_from_1_7_on_is_answered_in_json() {
    let mut shim = Daemon::start();
    let (id, bundle) = shim.bundle(Config::sleeper());
    for (asked, answered) in [("2", 2), ("3", 3), ("99", 3)] {
        let out = command_of(Some(asked), &shim.dir, &bundle.dir, &id, "start", &[]);
        let json: runtime_tests::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(json["version"], answered, "{json}");
        assert_eq!((&json["address"], &json["protocol"]), (&shim.address.as_str().into(), &"ttrpc".into()));
    }
}

/// What containerd 2.3 sends and older ones never did: where sockets are to be,
/// where events go, and options as an extension.
#[test]
fn bootstrap_params_place_the_socket() {
    let mut shim = Daemon::start();
    let (id, bundle) = shim.bundle(Config::sleeper());
    let sockets = shim.dir.join("s");
    let options = options_any(&shim.dir.join("state"));
    let params = Out::new()
        .bytes(1, &id)
        .bytes(2, "test")
        .bytes(4, "2.3.4")
        .bytes(5, shim.dir.join("events.sock").to_str().unwrap())
        .bytes(6, "/no/containerd.sock")
        .bytes(8, Out::new().bytes(1, options.clone()).done())
        .bytes(9, sockets.to_str().unwrap());
    // Version 2 in the environment, as containerd 2.3 still has it.
    let out = command_of(Some("2"), &shim.dir, &bundle.dir, &id, "start", &params.done());
    let address = Message::parse(&out.stdout).text(2);
    assert!(address.starts_with(&format!("unix://{}/", sockets.display())), "{out:?}");
    let mut client = Client::connect(address.strip_prefix("unix://").unwrap());
    let pid = client.call("Connect", Out::new().bytes(1, "")).unwrap().int(1);
    assert_ne!(i32::try_from(pid).unwrap(), shim.pid, "another place is another shim");
    let request = Out::new().bytes(1, &id).bytes(2, bundle.dir.to_str().unwrap()).bytes(10, options);
    client.call("Create", request).unwrap();
    assert_eq!(shim.event().0, "create");
    client.call("Kill", Out::new().bytes(1, &id).int(3, 9)).unwrap();
    client.call("Wait", Out::new().bytes(1, &id)).unwrap();
    client.call("Delete", Out::new().bytes(1, &id)).unwrap();
    client.call("Shutdown", Out::new().bytes(1, &id)).unwrap();
    until("the other shim has ended", || host::is_dead(i32::try_from(pid).unwrap()));
    assert_eq!(std::fs::read_dir(&sockets).unwrap().count(), 0, "its socket is left");
}

/// runc's options with a root for the containers' state.
fn options_any(root: &Path) -> Vec<u8> {
    let options = Out::new().bytes(7, root.to_str().unwrap());
    Out::new().bytes(1, "containerd.runc.v1.Options").bytes(2, options.done()).done()
}

#[test]
fn options_in_both_forms_reach_create_and_delete() {
    let mut shim = Daemon::start();
    let root = shim.dir.join("state");
    let toml = format!("Root = \"{}\"\n", root.display());
    let generic = Out::new().bytes(3, toml).done();
    let generic = Out::new().bytes(1, "runtimeoptions.v1.Options").bytes(2, generic).done();
    let mut ids = Vec::new();
    for options in [options_any(&root), generic] {
        let (id, _) = shim.create_with(Config::sleeper(), |request| request.bytes(10, options)).unwrap();
        assert!(root.join("test").join(&id).join("state.json").exists(), "{id}");
        ids.push(id);
    }
    let unknown = Out::new().bytes(1, "kata.Options").bytes(2, [8, 1]).done();
    let refused = shim.create_with(Config::sleeper(), |request| request.bytes(10, unknown)).unwrap_err();
    assert!(refused.1.contains("kata.Options"), "{refused:?}");
    // `delete` is told none of it.
    raw::kill(shim.pid, libc::SIGKILL).unwrap();
    for id in ids {
        command(&shim.dir, &shim.dir.join(&id), &id, "delete", &[]);
        assert!(!root.join("test").join(&id).exists(), "{id}");
    }
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

/// The processes of a group's shims.
fn shims_of(group: &str) -> Vec<i32> {
    let is_shim = |pid: &i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains(group) && line.ends_with("start\0") && !host::is_dead(*pid)
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_shim).collect()
}

#[test]
fn many_starts_over_a_dead_socket_agree_on_one_shim() {
    let mut shim = Daemon::start();
    for round in 0..8 {
        raw::kill(shim.pid, libc::SIGKILL).unwrap();
        let pid = shim.pid;
        until("the shim is dead", || host::is_dead(pid));
        // Each waits for the end of its input: they go on together.
        let spawn = |_| spawn(None, &shim.dir, &shim.dir.join(&shim.group), &shim.group, "start");
        let mut starts: Vec<_> = (0..24).map(spawn).collect();
        starts.iter_mut().for_each(|start| drop(start.stdin.take()));
        let served = starts.into_iter().map(|start| {
            let out = start.wait_with_output().unwrap();
            assert!(out.status.success(), "{out:?}");
            assert_eq!(String::from_utf8(out.stdout).unwrap(), shim.address);
            shim.connect().call("Connect", Out::new().bytes(1, "")).unwrap().int(1)
        });
        let served: Vec<u64> = served.collect();
        shim.pid = i32::try_from(served[0]).unwrap();
        let alive = shims_of(&shim.group);
        // Those that nobody finds are ended here: they are ours.
        for pid in alive.iter().filter(|pid| **pid != shim.pid) {
            let _ = raw::kill(*pid, libc::SIGKILL);
        }
        assert_eq!(alive, [shim.pid], "round {round}: {served:?}");
        assert!(served.iter().all(|pid| *pid == served[0]), "round {round}: {served:?}");
    }
}
