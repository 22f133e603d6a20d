//! Making, using and removing cgroups on the real kernel.
#![allow(clippy::unwrap_used)]

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::cgroup::{Freezers, mountpoint};

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
fn cgroups_of_one_parent_and_of_others_are_told_apart() {
    let frozen = Cgroup::create(below("freezers", "/a"), None).unwrap();
    let other = Cgroup::create(below("freezers", "/b"), None).unwrap();
    let elsewhere = Cgroup::create(at("freezers-too"), None).unwrap();
    frozen.freeze().unwrap();
    let (mut freezers, mut spent) = (Freezers::default(), krun_sys::spent::Spent::default());
    let mut ask = |location: &Location| freezers.is_frozen(location, &mut spent).unwrap();
    for _ in 0..2 {
        assert!(ask(frozen.location()));
        assert!(!ask(other.location()) && !ask(elsewhere.location()));
        assert!(!ask(&below("freezers", "/gone")) && !ask(&below("nowhere", "/gone")));
        assert!(ask(frozen.location()));
    }
    frozen.thaw().unwrap();
    assert!(!ask(frozen.location()));
    for cgroup in [frozen, other, elsewhere, Cgroup::open(at("freezers")).unwrap()] {
        cgroup.delete().unwrap();
    }
}

#[test]
fn freeze_kill_and_delete_with_children() {
    let cgroup = Cgroup::create(at("kill"), None).unwrap();
    std::fs::create_dir_all(below("kill", "/in/ner").dir()).unwrap();
    let inner = Cgroup::open(below("kill", "/in/ner")).unwrap();
    let mut children = [sleeper(&cgroup), sleeper(&inner)];
    let mut pids: Vec<i32> = children.iter().map(|c| i32::try_from(c.id()).unwrap()).collect();
    pids.sort_unstable();
    let mut seen = cgroup.pids(true).unwrap();
    seen.sort_unstable();
    assert_eq!(seen, pids);
    assert_eq!(cgroup.pids(false).unwrap().len(), 1);

    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    // A process that has just been migrated may wake once more.
    let soon = Instant::now() + Duration::from_secs(5);
    assert!(events::wait(inner.dir(), soon, |e| e.frozen).unwrap());
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
    assert_eq!(cgroup.of_process(pid).unwrap().location(), inner.location());
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(cgroup.of_process(own).is_err());
    cgroup.signal_frozen(nix::libc::SIGKILL).unwrap();
    child.wait().unwrap();
    cgroup.delete().unwrap();
}

#[test]
fn numbers_are_read() {
    let cgroup = Cgroup::create(at("stats"), None).unwrap();
    let mut child = sleeper(&cgroup);
    let metrics = cgroup.metrics().unwrap();
    assert_eq!(metrics.pids_current, 1);
    assert!(metrics.cpu.contains_key("usage_usec"));
    let pressure = cgroup.location().dir().join("cpu.pressure");
    assert_eq!(metrics.cpu_psi.is_some(), pressure.exists());
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

/// Each limit either reaches its file or is refused for want of its controller.
#[test]
fn limits_reach_their_files_or_name_the_controller() {
    let mount = mountpoint().unwrap();
    let controllers = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap();
    let cgroup = Cgroup::create(below("limits", "/in/ner"), None).unwrap();
    for (controller, json, file, wanted) in [
        ("pids", r#"{"pids":{"limit":7}}"#, "pids.max", "7"),
        ("pids", r#"{"pids":{"limit":-1}}"#, "pids.max", "max"),
        ("memory", r#"{"memory":{"limit":10485760}}"#, "memory.max", "10485760"),
        ("memory", r#"{"memory":{"reservation":4096}}"#, "memory.low", "4096"),
        ("memory", r#"{"unified":{"memory.high":"8192"}}"#, "memory.high", "8192"),
        ("cpu", r#"{"cpu":{"shares":2048}}"#, "cpu.weight", "174"),
        ("cpu", r#"{"cpu":{"quota":5000,"period":20000}}"#, "cpu.max", "5000 20000"),
        ("cpu", r#"{"cpu":{"period":50000}}"#, "cpu.max", "max 50000"),
        ("cpu", r#"{"cpu":{"quota":6000,"burst":3000}}"#, "cpu.max.burst", "3000"),
        ("cpu", r#"{"cpu":{"idle":1}}"#, "cpu.idle", "1"),
        ("cpuset", r#"{"cpu":{"cpus":"0","mems":"0"}}"#, "cpuset.cpus", "0"),
        (
            "hugetlb",
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#,
            "hugetlb.2MB.max",
            "4194304",
        ),
    ] {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        cgroup.enable_controllers(Some(&resources));
        let result = cgroup.update(&resources);
        if controller::lists(&controllers, controller) {
            result.unwrap();
            let text = std::fs::read_to_string(cgroup.location().dir().join(file)).unwrap();
            assert_eq!(text.trim_end(), wanted, "{json}");
        } else {
            let error = result.unwrap_err();
            let wanted = format!("the {controller} controller is not available");
            assert!(
                matches!(error, CgroupError::NoController { .. }) && error.to_string().contains(&wanted),
                "{json}: {error}"
            );
        }
    }
    let controllers = cgroup.metrics().unwrap();
    assert_eq!(controllers.pids_current, 0);
    cgroup.discard();
    assert!(!at("limits").dir().exists());
}

#[test]
fn the_oom_killer_is_counted() {
    let json = r#"{"memory":{"limit":8388608,"swap":8388608}}"#;
    let resources: LinuxResources = serde_json::from_str(json).unwrap();
    let cgroup = Cgroup::create(at("oom"), Some(&resources)).unwrap();
    let refused = cgroup.apply(&resources).is_err();
    let controllers = std::fs::read_to_string(mountpoint().unwrap().join("cgroup.controllers")).unwrap();
    assert_eq!(refused, !controller::lists(&controllers, "memory"));
    if !refused {
        let enter = format!("echo $$ > {}/cgroup.procs", cgroup.location().dir().display());
        let script = format!("{enter} && x=$(head -c 100000000 /dev/zero | tr '\\0' x)");
        assert!(!Command::new("sh").args(["-c", &script]).status().unwrap().success());
        assert!(cgroup.oom_kills().unwrap() >= 1);
        let mut check = resources.memory().unwrap();
        check.set_check_before_update(Some(true)).set_limit(Some(1)).set_swap(None);
        let mut smaller = resources.clone();
        smaller.set_memory(Some(check));
        // The dead process's pages may go at any time: someone who lives has some.
        let script = format!("{enter} && echo ready && exec sleep 60");
        let mut sleeper = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        sleeper.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
        let error = cgroup.update(&smaller).unwrap_err().to_string();
        assert!(error.contains("rejecting memory limit 1 <= usage"), "{error}");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
    cgroup.delete().unwrap();
}
