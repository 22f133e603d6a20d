//! The systemd driver, against the systemd that runs the machine: what it says of the
//! unit, and what is felt inside.

use crate::exec::{assert_beside_init, divide};
use runtime_tests::container::eventually;
use runtime_tests::{Config, Container, Need, Output, Sandbox, Value, host, json, raw, requires};
use std::path::{Path, PathBuf};
use std::process::Command;

/// systemd is process 1 (sd_booted(3)).
pub(crate) const BOOTED: Need = Need::Path("/run/systemd/system");

#[track_caller]
pub(crate) fn systemctl(args: &[&str]) -> String {
    let out = Command::new("systemctl").args(args).output().unwrap();
    assert!(out.status.success(), "systemctl {args:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

pub(crate) fn show(unit: &str, property: &str) -> String {
    systemctl(&["show", "--value", "--property", property, "--", unit])
}

/// A bundle in the unit `kt-ID.scope` of `slice`.
fn bundle(s: &Sandbox, slice: &str, config: Config) -> (String, PathBuf) {
    let id = s.new_id();
    let b = s.bundle_for(&id, config.set("/linux/cgroupsPath", format!("{slice}:kt:{id}")));
    (id, b.dir)
}

pub(crate) fn unit(c: &Container<'_>) -> String {
    format!("kt-{}.scope", c.id)
}

/// A running container in a scope of system.slice.
#[track_caller]
pub(crate) fn start(s: &Sandbox, config: Config) -> Container<'_> {
    start_in(s, "system.slice", config)
}

#[track_caller]
fn start_in<'s>(s: &'s Sandbox, slice: &str, config: Config) -> Container<'s> {
    let (id, dir) = bundle(s, slice, config);
    let pid_file = s.path(&format!("{id}.pid"));
    let call = s.call(["--systemd-cgroup", "run", "--detach", "--pid-file", &pid_file, "--bundle"]);
    let running = call.arg(&dir).arg(&id).start();
    let out = running.stdout_file().to_owned();
    running.wait().expect_ok();
    let pid = std::fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    let c = Container::with_pid(s, &id, runtime_tests::bundle::Bundle { dir }, out, pid);
    c.wait_ready();
    c
}

/// `run` in the foreground, which may fail: the unit too.
pub(crate) fn run(s: &Sandbox, config: Config) -> (Output, String) {
    let (id, dir) = bundle(s, "system.slice", config);
    let out = s.call(["--systemd-cgroup", "run", "--bundle"]).arg(&dir).arg(&id).run();
    (out, format!("kt-{id}.scope"))
}

/// The path of a process's cgroup below the mount point.
fn cgroup_of(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().find_map(|l| l.strip_prefix("0::")).unwrap().to_owned()
}

pub(crate) fn file(c: &Container<'_>, name: &str) -> String {
    let path = format!("{}{}/{name}", host::CGROUPS, show(&unit(c), "ControlGroup"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")).trim().to_owned()
}

pub(crate) fn resources(value: Value) -> Config {
    Config::sleeper().set("/linux/resources", value)
}

#[track_caller]
pub(crate) fn assert_gone(unit: &str) {
    assert!(
        eventually(|| show(unit, "LoadState") == "not-found"),
        "{unit} is still {}",
        show(unit, "ActiveState")
    );
    assert_eq!(show(unit, "ControlGroup"), "");
}

#[test]
fn a_scope_in_its_slice_holds_the_container() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let (id, dir) = bundle(&s, "kt-deep.slice", Config::sleeper());
    s.call(["--systemd-cgroup", "create", "--bundle"]).arg(&dir).arg(&id).run().expect_ok();
    let unit = format!("kt-{id}.scope");
    // The job was awaited: the unit is up before anybody can start the container.
    assert_eq!(show(&unit, "ActiveState"), "active");
    assert_eq!(show(&unit, "Job"), "");
    assert_eq!(show(&unit, "Slice"), "kt-deep.slice");
    assert_eq!(show(&unit, "Transient"), "yes");
    assert_eq!(show(&unit, "Delegate"), "yes");
    assert_eq!(show(&unit, "Description"), format!("krun container {id}"));
    let path = format!("/kt.slice/kt-deep.slice/{unit}");
    assert_eq!(show(&unit, "ControlGroup"), path);
    let state = s.call(["state", &id]).run().expect_ok().json();
    assert_eq!(cgroup_of(state["pid"].as_i64().unwrap().try_into().unwrap()), path);
    s.call(["start", &id]).run().expect_ok();
    // A later process joins it without being told of systemd.
    let file = s.path("exec.pid");
    s.call(["exec", "-d", "--pid-file", &file, &id, "/probe", "ready-sleep"]).run().expect_ok();
    let second: i32 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    assert_eq!(cgroup_of(second), path);
    // Its zombie is ours, and would hold up the end of the PID namespace.
    raw::kill(second, libc::SIGKILL).unwrap();
    raw::waitpid(second, false).unwrap();
    s.call(["delete", "--force", &id]).run().expect_ok();
    assert_gone(&unit);
}

#[test]
fn names_that_are_not_given() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let at = |path: Option<&str>| {
        let (id, b) = s.bundle(Config::sleeper());
        let config = Config::sleeper();
        let name = path.map(|p| p.replace("ID", &id));
        b.write(&name.map_or(config.clone(), |p| config.set("/linux/cgroupsPath", p))).unwrap();
        s.call(["--systemd-cgroup", "run", "-d", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
        let pid = s.call(["state", &id]).run().expect_ok().json()["pid"].as_i64().unwrap();
        let path = cgroup_of(pid.try_into().unwrap()).replace(&id, "ID");
        s.call(["delete", "--force", &id]).run().expect_ok();
        path
    };
    assert_eq!(at(None), "/system.slice/krun-ID.scope");
    assert_eq!(at(Some(":docker:ID")), "/system.slice/docker-ID.scope");
    assert_eq!(at(Some("-.slice:docker:ID")), "/docker-ID.scope");
    assert_eq!(at(Some("kt-a-b.slice:cri:ID")), "/kt.slice/kt-a.slice/kt-a-b.slice/cri-ID.scope");
}

#[test]
fn a_job_that_fails_is_named_with_its_result() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let needed = Path::new("/run/systemd/system/kt-fails.service");
    std::fs::write(needed, "[Service]\nType=oneshot\nExecStart=/bin/false\n").unwrap();
    systemctl(&["daemon-reload"]);
    let config = Config::sleeper().set(
        "/annotations",
        json!({"org.systemd.property.Requires": "['kt-fails.service']",
               "org.systemd.property.After": "['kt-fails.service']"}),
    );
    let (out, unit) = run(&s, config);
    std::fs::remove_file(needed).unwrap();
    systemctl(&["daemon-reload"]);
    out.expect_code(1).expect_error(&unit).expect_error("job result").expect_error("dependency");
    assert_gone(&unit);
    assert_eq!(std::fs::read_dir(s.state_root()).unwrap().count(), 0);
}

#[test]
fn the_unit_goes_with_the_container() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let c = start(&s, Config::sleeper());
    c.kill("KILL").expect_ok();
    c.wait_exit();
    c.delete(&[]).expect_ok();
    assert_gone(&unit(&c));
    // One that ended by itself, in the foreground.
    let (out, unit_name) = run(&s, Config::probe(&["exit", "5"]));
    out.expect_code(5);
    assert_gone(&unit_name);
    // An end that systemd made: its unit goes first, and delete doesn't stumble over that.
    let c = start(&s, Config::sleeper());
    systemctl(&["kill", "--signal=KILL", &unit(&c)]);
    c.wait_exit();
    assert_gone(&unit(&c));
    assert_eq!(c.status(), "stopped");
    c.delete(&[]).expect_ok();
}

#[test]
fn a_name_in_use_is_refused_and_a_failed_unit_is_not_in_the_way() {
    requires!(BOOTED, Program("systemd-run"));
    let s = Sandbox::new();
    let c = start(&s, Config::sleeper());
    let (id, b) = s.bundle(Config::sleeper().set("/linux/cgroupsPath", format!("system.slice:kt:{}", c.id)));
    s.call(["--systemd-cgroup", "run", "-b"])
        .arg(&b.dir)
        .arg(&id)
        .run()
        .expect_code(1)
        .expect_error("not empty");
    assert_eq!(c.status(), "running", "and nothing happened to the first");
    let name = s.new_id();
    let scope = format!("kt-{name}.scope");
    let limit = ["--scope", "-p", "RuntimeMaxSec=1", "-p", "CollectMode=inactive", "--unit"];
    let _ = Command::new("systemd-run").args(limit).arg(&scope).args(["sleep", "60"]).output();
    assert!(eventually(|| show(&scope, "ActiveState") == "failed"), "{}", show(&scope, "ActiveState"));
    let config = Config::probe(&["exit", "0"]).set("/linux/cgroupsPath", format!("system.slice:kt:{name}"));
    let b = s.bundle_for(&name, config);
    s.call(["--systemd-cgroup", "run", "-b"]).arg(&b.dir).arg(&name).run().expect_ok();
    assert_gone(&scope);
}

#[test]
fn pause_ps_and_stats_work_in_a_scope() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let c = start(&s, resources(json!({"pids": {"limit": 20}})));
    c.call(["pause"]).run().expect_ok();
    assert_eq!(c.status(), "paused");
    assert!(file(&c, "cgroup.events").contains("frozen 1"));
    c.call(["resume"]).run().expect_ok();
    let pids = s.call(["ps", "--format", "json", &c.id]).run().expect_ok().json();
    assert_eq!(pids, json!([c.pid()]));
    let stats = s.call(["events", "--stats", &c.id]).run().expect_ok().json();
    assert_eq!(stats["data"]["pids"]["limit"], 20);
}

#[test]
fn exec_follows_init_in_a_scope() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let c = start(&s, Config::sleeper());
    divide(Path::new(&format!("{}{}", host::CGROUPS, cgroup_of(c.pid()))), c.pid());
    assert_beside_init(&c.exec(&["/probe", "report"]).expect_ok());
}

#[test]
fn the_container_divides_its_scope() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let options = ["nosuid", "noexec", "nodev", "rw"];
    let config = Config::sleeper().without_mount("/sys/fs/cgroup").mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &options,
    );
    let c = start(&s, config);
    let lines = c.exec_probe(&["mkdir", "/sys/fs/cgroup/sub", "--", "list", "/sys/fs/cgroup/sub"]);
    assert_eq!(lines[0]["ok"], true);
    systemctl(&["daemon-reload"]);
    let sub = format!("{}{}/sub", host::CGROUPS, cgroup_of(c.pid()));
    assert!(Path::new(&sub).exists(), "what is delegated stays");
    c.delete(&["--force"]).expect_ok();
    assert_gone(&unit(&c));
}

#[test]
fn the_bus_is_a_way_too_and_one_without_systemd_is_named() {
    requires!(BOOTED, Path("/run/dbus/system_bus_socket"));
    let s = Sandbox::new();
    let by = |address: &str| {
        let (id, dir) = bundle(&s, "system.slice", Config::probe(&["exit", "6"]));
        let call = s.call(["--systemd-cgroup", "run", "-b"]).arg(&dir).arg(&id);
        (call.env("DBUS_SYSTEM_BUS_ADDRESS", address).run(), format!("kt-{id}.scope"))
    };
    let (out, unit) = by("unix:path=/run/dbus/system_bus_socket");
    out.expect_code(6);
    assert_gone(&unit);
    let (out, unit) = by("unix:path=/nowhere/bus");
    out.expect_code(1).expect_error("/nowhere/bus").expect_error("no such file");
    assert_gone(&unit);
    assert_eq!(std::fs::read_dir(s.state_root()).unwrap().count(), 0);
}
