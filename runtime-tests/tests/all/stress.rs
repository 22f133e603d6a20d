//! Many containers, one after the other and at once: nothing is left.

use runtime_tests::invocation::slow;
use runtime_tests::{Config, Sandbox, json, leftovers, requires};

fn cycle(s: &Sandbox) {
    let (id, b) = s.bundle(Config::sleeper());
    let c = s.create_bundle(&id, &b);
    c.start();
    c.kill("KILL").expect_ok();
    assert_eq!(c.wait_exit(), 137);
    c.delete(&[]).expect_ok();
    std::fs::remove_dir_all(&b.dir).unwrap();
}

#[test]
fn three_hundred_in_a_row() {
    let s = Sandbox::new();
    cycle(&s);
    let before = leftovers::before();
    for _ in 0..if slow() { 40 } else { 300 } {
        cycle(&s);
    }
    leftovers::assert_none(&before, &s);
    assert_eq!(std::fs::read_dir(s.state_root()).unwrap().count(), 0, "the state root is empty");
}

#[test]
fn eight_at_a_time() {
    let s = Sandbox::new();
    cycle(&s);
    let before = leftovers::before();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..if slow() { 3 } else { 12 } {
                    cycle(&s);
                }
            });
        }
    });
    leftovers::assert_none(&before, &s);
}

#[test]
fn two_creates_of_one_id_at_once() {
    requires!(Krun);
    let s = Sandbox::new();
    for _ in 0..5 {
        let (id, b) = s.bundle(Config::sleeper());
        let calls: Vec<_> = (0..4).map(|_| s.call(["create", "-b"]).arg(&b.dir).arg(&id).start()).collect();
        let codes: Vec<i32> = calls.into_iter().map(|c| c.wait().code).collect();
        assert_eq!(codes.iter().filter(|c| **c == 0).count(), 1, "{codes:?}");
        assert_eq!(s.call(["state", &id]).run().expect_ok().json()["status"], "created");
        s.call(["delete", "--force", &id]).run().expect_ok();
    }
}

#[test]
fn a_hundred_execs() {
    let s = Sandbox::new();
    let c = s.sleeping();
    let before = leftovers::before();
    for i in 0..100 {
        c.exec(&["/probe", "exit", &(i % 7).to_string()]).expect_code(i % 7);
    }
    assert_eq!(c.cgroup_file("cgroup.procs").lines().count(), 1);
    let left: Vec<_> = leftovers::since(&before, &s)
        .into_iter()
        .filter(|l| l.contains("descriptors") || l.starts_with("mount"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_list_while_containers_come_and_go() {
    let s = Sandbox::new();
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| (0..10).for_each(|_| cycle(&s)));
        while !busy.is_finished() {
            let list = s.call(["list", "-f", "json"]).run().expect_ok().json();
            assert!(list.is_null() || list.is_array());
        }
    });
}

#[test]
fn a_thousand_mounts_and_a_long_configuration() {
    let s = Sandbox::new();
    let mut c = Config::default();
    for i in 0..200 {
        c = c
            .mount(&format!("/mnt/{i}"), "tmpfs", "tmpfs", &["size=4k"])
            .push("/process/env", format!("VARIABLE_{i}={}", "x".repeat(200)));
        c = c
            .push("/linux/maskedPaths", format!("/nothing/{i}"))
            .set(&format!("/annotations/key{i}"), json!("v".repeat(100)));
    }
    let r = s.report(c);
    assert_eq!(
        r["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|m| m["target"].as_str().unwrap().starts_with("/mnt/"))
            .count(),
        200
    );
    assert_eq!(r["env"]["VARIABLE_199"].as_str().unwrap().len(), 200);
}
