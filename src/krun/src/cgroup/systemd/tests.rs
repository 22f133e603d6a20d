//! The driver against a real systemd: a user manager and a D-Bus daemon of
//! their own, shut into namespaces and a cgroup made for the test.
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command};
use std::time::Duration;

use super::*;
use crate::cgroup::{Driver, delete, locate, mountpoint};

const INSIDE: &str = "KRUN_TEST_INSIDE_USER_MANAGER";

/// Runs `$1` with a user manager of its own. cgroup.type exists only below the
/// root of the hierarchy: without it systemd would take over the host's.
const SANDBOX: &str = r#"
set -e
mount --make-rprivate /
echo $$ > "$1/cgroup.procs"
exec unshare --cgroup bash -c '
set -e
mount -t cgroup2 krun-test /sys/fs/cgroup
[ -e /sys/fs/cgroup/cgroup.type ]
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
export XDG_RUNTIME_DIR=/run/user/0
unset DBUS_SESSION_BUS_ADDRESS
dbus-daemon --session --address=unix:path=/run/user/0/bus --nopidfile --nofork 2>/dev/null & bus=$!
until [ -e /run/user/0/bus ]; do sleep 0.05; done
systemd --user --unit=basic.target --log-target=null & manager=$!
until busctl --user status org.freedesktop.systemd1 >/dev/null 2>&1; do sleep 0.05; done
set +e
"$0" --exact cgroup::systemd::tests::a_scope_lives_and_dies --ignored --nocapture
code=$?
kill $manager; wait $manager; kill $bus; exit $code
' "$2"
"#;

#[test]
#[ignore = "boots a systemd user manager: needs root and the packages systemd and dbus"]
fn a_scope_lives_and_dies() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let home = crate::cgroup::Location {
        driver: Driver::Cgroupfs,
        path: format!("/krun-test-{}-systemd", std::process::id()),
        mount: mountpoint().unwrap(),
        scope: None,
        optional: false,
    };
    let cgroup = Cgroup::create(home.clone(), None).unwrap();
    let status = Command::new("timeout")
        .args(["60", "unshare", "--mount", "bash", "-c", SANDBOX, "bash"])
        .arg(home.dir())
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    cgroup.kill_all().unwrap();
    cgroup.delete().unwrap();
    assert!(status.success());
}

fn sleeper() -> (Child, u32) {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = child.id();
    (child, pid)
}

fn show(unit: &str, property: &str) -> String {
    let args = ["--user", "show", "--value", "-p", property, unit];
    let out = Command::new("systemctl").args(args).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn inside() {
    let at =
        |id: &str| locate(Some(&format!("krun-test.slice:krun:{id}")), id, Driver::Systemd, true).unwrap();
    let parse = |json| serde_json::from_str::<LinuxResources>(json).unwrap();
    let resources = parse(
        r#"{"cpu":{"quota":5001,"shares":2048,"cpus":"0"},"memory":{"limit":104857600},
        "pids":{"limit":7},"devices":[{"allow":false,"access":"rwm"}]}"#,
    );
    let notes = |key: &str, value: &str| {
        Some(HashMap::from([(format!("org.systemd.property.{key}"), value.to_owned())]))
    };
    let (mut child, pid) = sleeper();
    let timeout = notes("TimeoutStopSec", "uint32 6");
    let cgroup = Cgroup::start_scope(at("c1"), "c1", pid, Some(&resources), timeout.as_ref()).unwrap();
    assert!(cgroup.location().path.ends_with("/krun.slice/krun-test.slice/krun-c1.scope"));
    assert_eq!(cgroup.pids(false).unwrap(), [i32::try_from(pid).unwrap()]);
    for (property, wanted) in [
        ("CPUWeight", "174"),
        ("CPUQuotaPerSecUSec", "60ms"),
        ("AllowedCPUs", "0"),
        ("MemoryMax", "104857600"),
        ("TasksMax", "7"),
        ("Delegate", "yes"),
        ("DevicePolicy", "strict"),
        ("TimeoutStopUSec", "6s"),
        ("Description", "krun container c1"),
    ] {
        assert_eq!(show("krun-c1.scope", property), wanted, "{property}");
    }
    cgroup.set_devices(&resources).unwrap();

    let scope = cgroup.location().scope.clone().unwrap();
    let (mut guest, guest_pid) = sleeper();
    let guest_pid = i32::try_from(guest_pid).unwrap();
    attach(&scope, "", guest_pid).unwrap();
    assert!(cgroup.pids(false).unwrap().contains(&guest_pid));
    guest.kill().unwrap();
    guest.wait().unwrap();

    update(&scope, &parse(r#"{"pids":{"limit":-1},"unified":{"memory.high":"4096"}}"#)).unwrap();
    assert_eq!(show("krun-c1.scope", "TasksMax"), "infinity");
    assert_eq!(show("krun-c1.scope", "MemoryHigh"), "4096");

    // The same name again: its cgroup is in use.
    let (mut other, other_pid) = sleeper();
    let text = Cgroup::start_scope(at("c1"), "c1", other_pid, None, None).unwrap_err().to_string();
    assert!(text.starts_with("container's cgroup is not empty: 1 process(es)"), "{text}");
    // systemd's own words for a property it doesn't know.
    let wrong = notes("NoSuchProperty", "true");
    let text = Cgroup::start_scope(at("c2"), "c2", other_pid, None, wrong.as_ref()).unwrap_err().to_string();
    assert!(text.starts_with("systemd unit \"krun-c2.scope\": StartTransientUnit: "), "{text}");
    assert!(text.contains("NoSuchProperty"), "{text}");

    cgroup.kill_all().unwrap();
    cgroup.wait_empty(Duration::from_secs(5)).unwrap();
    child.wait().unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
    let location = cgroup.location().clone();
    cgroup.delete().unwrap();
    assert!(!location.dir().exists());
    delete(&location).unwrap();
}
