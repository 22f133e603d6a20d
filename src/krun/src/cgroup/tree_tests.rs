//! Making, using and removing cgroups on the real kernel.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Child, Command};

use super::*;
use crate::cgroup::mountpoint;

fn at(name: &str) -> Location {
    Location {
        driver: Driver::Cgroupfs,
        path: format!("/krun-test-{}-{name}", std::process::id()),
        mount: mountpoint().unwrap(),
        scope: None,
        optional: false,
    }
}

fn below(name: &str, rest: &str) -> Location {
    let mut location = at(name);
    location.path.push_str(rest);
    location
}

fn sleeper(cgroup: &Cgroup) -> Child {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    cgroup.add_pid(None, pid).unwrap();
    child
}

fn error(location: Location) -> String {
    Cgroup::create(location, None).unwrap_err().to_string()
}

#[test]
fn a_chain_is_made_and_discarded() {
    let location = below("chain", "/a/b");
    let root = at("chain").dir();
    let cgroup = Cgroup::create(location.clone(), None).unwrap();
    assert!(cgroup.is_empty().unwrap() && location.dir().is_dir());
    cgroup.discard();
    assert!(!root.exists());

    // A parent that was there before stays.
    std::fs::create_dir(&root).unwrap();
    Cgroup::create(location, None).unwrap().discard();
    assert!(root.is_dir() && !root.join("a").exists());
    std::fs::remove_dir(root).unwrap();
}

#[test]
fn a_cgroup_in_use_or_frozen_is_refused() {
    let cgroup = Cgroup::create(at("used"), None).unwrap();
    let mut child = sleeper(&cgroup);
    let text = error(at("used"));
    assert!(text.starts_with("container's cgroup is not empty: 1 process(es) found"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
    Cgroup::create(at("used"), None).unwrap();

    cgroup.freeze().unwrap();
    assert!(error(at("used")).starts_with("container's cgroup unexpectedly frozen"));
    assert!(error(below("used", "/x")).starts_with("container's cgroup unexpectedly frozen"));
    assert!(!at("used").dir().join("x").exists());
    cgroup.delete().unwrap();
}

#[test]
fn freeze_kill_and_delete_with_children() {
    let cgroup = Cgroup::create(at("kill"), None).unwrap();
    let inner = Cgroup::create(below("kill", "/in/ner"), None).unwrap();
    let mut children = [sleeper(&cgroup), sleeper(&inner)];
    let mut pids: Vec<i32> = children.iter().map(|c| i32::try_from(c.id()).unwrap()).collect();
    pids.sort_unstable();
    let mut seen = cgroup.pids(true).unwrap();
    seen.sort_unstable();
    assert_eq!(seen, pids);
    assert_eq!(cgroup.pids(false).unwrap().len(), 1);

    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap() && inner.events().unwrap().frozen);
    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    cgroup.freeze().unwrap();

    cgroup.kill_all().unwrap();
    cgroup.wait_empty(Duration::from_secs(5)).unwrap();
    for child in &mut children {
        child.wait().unwrap();
    }
    let dir = cgroup.location().dir();
    cgroup.delete().unwrap();
    assert!(!dir.exists());
    delete(&at("kill")).unwrap();
}

#[test]
fn processes_go_into_sub_cgroups_but_not_out() {
    let cgroup = Cgroup::create(at("sub"), None).unwrap();
    std::fs::create_dir(cgroup.location().dir().join("in")).unwrap();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    for bad in ["..", "in/../..", "/../x"] {
        let text = cgroup.add_pid(Some(bad), pid).unwrap_err().to_string();
        assert!(text.starts_with("bad sub cgroup path"), "{text}");
    }
    cgroup.add_pid(Some("/in"), pid).unwrap();
    let inner = Cgroup::open(below("sub", "/in")).unwrap();
    assert_eq!(inner.pids(false).unwrap(), [pid]);
    cgroup.signal_frozen(nix::sys::signal::Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    cgroup.delete().unwrap();
}

#[test]
fn numbers_are_read() {
    let cgroup = Cgroup::create(at("stats"), None).unwrap();
    let mut child = sleeper(&cgroup);
    let metrics = cgroup.metrics().unwrap();
    assert_eq!(metrics.pids_current, 1);
    assert!(metrics.cpu.contains_key("usage_usec") && metrics.cpu_psi.is_some());
    assert_eq!(cgroup.stats().unwrap().pids.current, 1);
    assert_eq!(cgroup.oom_kills().unwrap(), 0);
    cgroup.kill_all().unwrap();
    child.wait().unwrap();
    cgroup.delete().unwrap();
}

#[test]
fn the_owner_of_a_user_namespace_gets_the_delegated_files() {
    use std::os::unix::fs::MetadataExt;
    let cgroup = Cgroup::create(at("chown"), None).unwrap();
    cgroup.chown(54321, None).unwrap();
    let owner = |file: &str| cgroup.location().dir().join(file).metadata().unwrap().uid();
    assert_eq!(owner("."), 54321);
    assert_eq!(owner("cgroup.procs"), 54321);
    assert_eq!(owner("cgroup.freeze"), 0);
    cgroup.delete().unwrap();
}

#[test]
fn a_limit_without_its_controller_says_so() {
    let mount: PathBuf = mountpoint().unwrap();
    let controllers = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap();
    let json = r#"{"memory":{"limit":1048576},"unified":{"bogus.max":"1"}}"#;
    let resources: LinuxResources = serde_json::from_str(json).unwrap();
    let cgroup = Cgroup::create(at("limit"), Some(&resources)).unwrap();
    let text = cgroup.apply(&resources).unwrap_err().to_string();
    let dir = cgroup.location().dir();
    let dir = dir.display();
    let wanted = match controller::lists(&controllers, "memory") {
        true => format!(
            "linux.resources.unified[\"bogus.max\"]: cannot set bogus.max in {dir}: \
             the bogus controller is not available in this kernel's cgroup v2"
        ),
        false => format!(
            "linux.resources.memory.limit: cannot set memory.max in {dir}: the memory controller \
             is not available in cgroup v2 on this host (it is mounted as cgroup v1)"
        ),
    };
    assert_eq!(text, wanted);
    cgroup.delete().unwrap();
}
