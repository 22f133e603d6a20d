//! Many at once, one that hangs, and what is left over afterwards.

use crate::client::{FAILED_PRECONDITION, NOT_FOUND};
use crate::daemon::{Daemon, exec_request, until};
use crate::wire::Out;
use runtime_tests::{Config, host, json};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const KILL: u64 = 9;

/// Threads, open descriptors and resident kilobytes.
fn footprint(pid: i32) -> (usize, usize, u64) {
    let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    (count("task"), count("fd"), rss.trim().trim_end_matches(" kB").parse().unwrap())
}

/// The children of a shim's first thread, which inherits from all others.
fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// Asks for a container whose hook waits until the returned file is written to.
fn hanging_create(shim: &mut Daemon) -> (String, u32, PathBuf) {
    let gate = shim.dir.join("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", format!("cat {}", gate.display())]});
    let (id, bundle) = shim.bundle(Config::sleeper().hook("createRuntime", hook));
    let request = Out::new().bytes(1, &id).bytes(2, bundle.dir.to_str().unwrap());
    let pending = shim.client.send("Create", request);
    (id, pending, gate)
}

#[test]
fn a_container_that_hangs_holds_up_nobody() {
    let mut shim = Daemon::start();
    let (stuck, pending, gate) = hanging_create(&mut shim);
    let begin = Instant::now();
    for _ in 0..3 {
        let id = shim.run(Config::default().args(&["/bin/true"]));
        shim.call("Wait", &id).unwrap();
        shim.call("Delete", &id).unwrap();
    }
    assert_eq!(shim.call("State", &stuck).unwrap_err().0, NOT_FOUND);
    assert!(begin.elapsed() < Duration::from_secs(20));
    fs::write(gate, "").unwrap();
    shim.client.receive(pending).unwrap();
    assert_eq!(shim.status(&stuck, ""), 1);
}

#[test]
fn state_and_kill_answer_while_a_start_hangs() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let path = shim.dir.join("gate");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // A logging program that is never ready: the exec's start hangs in it.
    let logger = shim.dir.join("logger.sh");
    fs::write(&logger, format!("#!/bin/sh\ncat {}\n", path.display())).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&logger, mode).unwrap();
    let uri = format!("binary://{}", logger.display());
    shim.client.call("Exec", exec_request(&id, "e", &["/bin/true"]).bytes(5, uri)).unwrap();
    let pending = shim.client.send("Start", Out::new().bytes(1, &id).bytes(2, "e"));
    assert_eq!(shim.status(&id, "e"), 1);
    assert_eq!(shim.call_exec("Start", &id, "e").unwrap_err().0, FAILED_PRECONDITION);
    shim.kill(&id, "", KILL).unwrap();
    // Its exit is held back: an exec of it is still being started.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(shim.status(&id, ""), 2);
    fs::write(&path, "").unwrap();
    assert!(shim.client.receive(pending).is_err(), "nothing starts in a dead container");
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 137);
}

#[test]
fn concurrent_execs_kills_and_deletes() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (mut client, id) = (shim.connect(), id.as_str());
            scope.spawn(move || {
                for round in 0..25 {
                    let name = format!("e-{thread}-{round}");
                    let target = || Out::new().bytes(1, id).bytes(2, &name);
                    client.call("Exec", exec_request(id, &name, &["/bin/sleep", "0.02"])).unwrap();
                    client.call("Start", target()).unwrap();
                    let waiting = client.send("Wait", target());
                    if round % 2 == 0 {
                        let _ = client.call("Kill", target().int(3, KILL));
                    }
                    assert!([0, 137].contains(&client.receive(waiting).unwrap().int(1)));
                    client.call("Delete", target()).unwrap();
                }
            });
        }
        let mut client = shim.connect();
        let id = id.as_str();
        scope.spawn(move || {
            for _ in 0..200 {
                assert_eq!(client.call("State", Out::new().bytes(1, id)).unwrap().int(4), 2);
            }
        });
    });
    assert_eq!(shim.call("Pids", &id).unwrap().all(1).len(), 1);
    let topics = shim.topics(2 + 3 * 200);
    assert_eq!(topics.iter().filter(|t| *t == "exit").count(), 200);
}

#[test]
fn containers_come_and_go_and_leave_nothing() {
    let mut shim = Daemon::start();
    let cycle = |shim: &mut Daemon| {
        let ids: Vec<String> = (0..5).map(|_| shim.run(Config::default().args(&["/bin/true"]))).collect();
        for id in ids {
            shim.call("Wait", &id).unwrap();
            shim.call("Delete", &id).unwrap();
        }
    };
    cycle(&mut shim);
    let (_, before, _) = footprint(shim.pid);
    for _ in 0..4 {
        cycle(&mut shim);
    }
    let pid = shim.pid;
    until("one thread and no more descriptors", || {
        let (threads, fds, _) = footprint(pid);
        threads == 1 && fds <= before
    });
    assert!(children(pid).is_empty(), "zombies or orphans");
}

#[test]
fn orphans_are_reaped() {
    let mut shim = Daemon::start();
    let script = "for i in 1 2 3 4 5; do (sleep 0.1 &) ; done; exec sleep 1000";
    let id = shim.run(Config::default().without_namespace("pid").args(&["/bin/sh", "-c", script]));
    let init = i32::try_from(shim.call("State", &id).unwrap().int(3)).unwrap();
    let pid = shim.pid;
    until("only init is left", || children(pid) == [init]);
    assert!(!host::is_dead(init));
}

/// A pool that is never at rest (here one job hangs) lets no zombie stand.
#[test]
fn orphans_are_reaped_while_a_container_hangs() {
    let mut shim = Daemon::start();
    let (_, pending, gate) = hanging_create(&mut shim);
    let id = shim.run(Config::sleeper().without_namespace("pid"));
    let script = "for i in 1 2 3 4 5; do (sleep 0.1 &) ; done";
    shim.exec(&id, "e", &["/bin/sh", "-c", script]).unwrap();
    shim.call_exec("Start", &id, "e").unwrap();
    assert_eq!(shim.call_exec("Wait", &id, "e").unwrap().int(1), 0);
    shim.call_exec("Delete", &id, "e").unwrap();
    until("the orphans have ended", || shim.call("Pids", &id).unwrap().all(1).len() == 1);
    let pid = shim.pid;
    until("none of them is a zombie", || children(pid).into_iter().all(|child| !host::is_dead(child)));
    fs::write(gate, "").unwrap();
    shim.client.receive(pending).unwrap();
}

/// 400 here; the promise is of 10,000: `KRUN_SHIM_EXECS=10000`.
#[test]
fn execs_leave_no_trace_in_memory() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let rounds: u32 = std::env::var("KRUN_SHIM_EXECS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let mut after_warmup = (0, 0, 0);
    for round in 0..rounds {
        shim.exec(&id, "e", &["/bin/true"]).unwrap();
        shim.call_exec("Start", &id, "e").unwrap();
        shim.call_exec("Wait", &id, "e").unwrap();
        shim.call_exec("Delete", &id, "e").unwrap();
        if round == rounds / 4 {
            after_warmup = footprint(shim.pid);
        }
    }
    let (_, fds, rss) = footprint(shim.pid);
    println!("RSS in KiB: {} after {} execs, {rss} after {rounds}", after_warmup.2, rounds / 4 + 1);
    assert!(fds <= after_warmup.1, "descriptors: {fds} after {}", after_warmup.1);
    assert!(rss <= after_warmup.2 + 64, "RSS in KiB: {rss} after {}", after_warmup.2);
}
