//! One example of each thing that is refused, in the words it is refused with.
use std::path::PathBuf;

use super::*;

const CALLER: Caller = Caller { rootless: false, no_pivot: false };

/// A specification that is fine, with `patch` merged into it.
fn bundle(patch: &str) -> Bundle {
    let mut value: serde_json::Value = serde_json::from_str(
        r#"{"ociVersion":"1.3.0","root":{"path":"/"},
            "process":{"cwd":"/","args":["sh"],"user":{"uid":0,"gid":0},"env":["A=b"]},
            "linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"uts"},{"type":"ipc"},{"type":"network"}]}}"#,
    )
    .unwrap();
    merge(&mut value, serde_json::from_str(patch).unwrap());
    Bundle { dir: PathBuf::from("/"), spec: serde_json::from_value(value).unwrap() }
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn refused(patch: &str) -> String {
    validate(&bundle(patch), CALLER).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn the_plain_specification_is_fine() {
    assert_eq!(refused("{}"), "");
}

/// What is merged into the plain specification, and a part of the message.
const FAULTS: &[(&str, &str)] = &[
    (r#"{"ociVersion":"2.0.0"}"#, "ociVersion: \"2.0.0\" is not supported"),
    (r#"{"root":null}"#, "root: root must be specified"),
    (r#"{"root":{"path":"/nope"}}"#, "root.path: invalid rootfs: stat /nope: no such file or directory"),
    (
        r#"{"root":{"path":"/proc/self/root"}}"#,
        "root.path: invalid rootfs: /proc/self/root: not an absolute path, or a symlink",
    ),
    (r#"{"root":{"path":"/etc/passwd"}}"#, "not a directory"),
    (r#"{"process":null}"#, "process: process property must not be empty"),
    (r#"{"process":{"cwd":""}}"#, "process.cwd: Cwd property must not be empty"),
    (r#"{"process":{"cwd":"x"}}"#, "process.cwd: Cwd must be an absolute path"),
    (r#"{"process":{"args":[]}}"#, "process.args: args must not be empty"),
    (r#"{"process":{"env":["A=b","C"]}}"#, "process.env[1]: invalid environment variable \"C\""),
    (
        r#"{"process":{"rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}]}}"#,
        "process.rlimits[0]: soft limit 2 is higher",
    ),
    (
        r#"{"process":{"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1},{"type":"RLIMIT_CORE","soft":1,"hard":1}]}}"#,
        "process.rlimits[1]: duplicate entry for RLIMIT_CORE",
    ),
    (
        r#"{"process":{"scheduler":{"policy":"SCHED_OTHER","nice":20}}}"#,
        "invalid scheduler.nice: 20 when scheduler.policy is SCHED_OTHER",
    ),
    (
        r#"{"process":{"scheduler":{"policy":"SCHED_OTHER","priority":2}}}"#,
        "can only be specified for SchedFIFO or SchedRR",
    ),
    (r#"{"process":{"scheduler":{"policy":"SCHED_FIFO","runtime":2}}}"#, "for SchedDeadline policy"),
    (
        r#"{"process":{"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}}}"#,
        "invalid ioPriority.Priority: 8",
    ),
    (r#"{"process":{"oomScoreAdj":1001}}"#, "process.oomScoreAdj: 1001 is out of range"),
    (
        r#"{"linux":{"namespaces":[{"type":"pid"},{"type":"pid"}]}}"#,
        "linux.namespaces[1]: malformed spec file: duplicated ns pid",
    ),
    (
        r#"{"linux":{"namespaces":[{"type":"pid","path":"x"}]}}"#,
        "linux.namespaces[0].path: \"x\" is not an absolute path",
    ),
    (r#"{"linux":{"namespaces":[{"type":"user"}]}}"#, "no namespace path to join nor mappings"),
    (
        r#"{"linux":{"uidMappings":[{"containerID":0,"hostID":1,"size":1}]}}"#,
        "but user namespace isn't enabled in the config",
    ),
    (
        r#"{"linux":{"timeOffsets":{"boottime":{"secs":1}}}}"#,
        "but time namespace isn't enabled in the config",
    ),
    (
        r#"{"linux":{"namespaces":[{"type":"time"}],"timeOffsets":{"x":{"secs":1}}}}"#,
        "linux.timeOffsets.x: unknown clock",
    ),
    (
        r#"{"hostname":"h","linux":{"namespaces":[]}}"#,
        "hostname: unable to set hostname without a private UTS namespace",
    ),
    (
        r#"{"domainname":"h","linux":{"namespaces":[]}}"#,
        "domainname: unable to set domainname without a private UTS namespace",
    ),
    (
        r#"{"linux":{"namespaces":[],"maskedPaths":["/x"]}}"#,
        "unable to restrict sys entries without a private MNT namespace",
    ),
    (r#"{"linux":{"readonlyPaths":["x"]}}"#, "linux.readonlyPaths[0]: not an absolute path"),
    (r#"{"linux":{"rootfsPropagation":"x"}}"#, "rootfsPropagation=x is not supported"),
    (
        r#"{"linux":{"sysctl":{"kernel.panic":"1"}}}"#,
        "linux.sysctl.kernel.panic: sysctl \"kernel.panic\" is not in a separate kernel namespace",
    ),
    (
        r#"{"linux":{"sysctl":{"kernel.hostname":"1"}}}"#,
        "is not allowed as it conflicts with the OCI \"hostname\" field",
    ),
    (r#"{"linux":{"sysctl":{"net/../kernel/panic":"1"}}}"#, "is not a name"),
    (r#"{"linux":{"sysctl":{"user.max_user_namespaces":"1"}}}"#, "setting ucounts without a user namespace"),
    (
        r#"{"linux":{"namespaces":[],"sysctl":{"net.core.somaxconn":"1"}}}"#,
        "not allowed in host network namespace",
    ),
    (
        r#"{"linux":{"namespaces":[{"type":"network","path":"/proc/self/ns/net"}],"sysctl":{"net.core.somaxconn":"1"}}}"#,
        "not allowed in host network namespace",
    ),
    (
        r#"{"linux":{"namespaces":[],"sysctl":{"fs.mqueue.msg_max":"1"}}}"#,
        "is not allowed in the hosts ipc namespace",
    ),
    (
        r#"{"linux":{"devices":[{"path":"/d","type":"a"}]}}"#,
        "linux.devices[0].type: invalid device type \"a\"",
    ),
    (
        r#"{"linux":{"devices":[{"path":"/d","type":"c","major":4096}]}}"#,
        "device number 4096:0 is out of range",
    ),
    (r#"{"linux":{"resources":{"devices":[{"allow":true}]}}}"#, "device access at 0 field cannot be empty"),
    (
        r#"{"linux":{"devices":[{"path":"/d","type":"c","major":1,"minor":3,"uid":4294967295}]}}"#,
        "linux.devices[0].uid: 4294967295 is no id",
    ),
    (r#"{"linux":{"devices":[{"path":"/d","type":"b"}]}}"#, "major and minor are missing"),
    (
        r#"{"linux":{"resources":{"devices":[{"allow":true,"access":"r","major":-5}]}}}"#,
        "linux.resources.devices[0].major: -5 is no device number; -1, or leaving it out, is any",
    ),
    (
        r#"{"linux":{"sysctl":{"net.ipv4.ip_forward":"1","net/ipv4/ip_forward":"0"}}}"#,
        "linux.sysctl.net/ipv4/ip_forward: the same parameter as linux.sysctl.net.ipv4.ip_forward",
    ),
    (
        r#"{"linux":{"namespaces":[{"type":"user","path":"/proc/self/ns/user"}],"uidMappings":[{"containerID":7,"hostID":7,"size":1}]}}"#,
        "linux.uidMappings: user namespaces enabled, but both namespace path and non-matching mapping",
    ),
    (
        r#"{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"x"}}}"#,
        "linux.seccomp.listenerMetadata: there is no linux.seccomp.listenerPath",
    ),
    (r#"{"linux":{"intelRdt":{"memBwSchema":"L3:0=f"}}}"#, "linux.intelRdt.memBwSchema: \"L3:0=f\""),
    (r#"{"linux":{"intelRdt":{"schemata":["a\nb"]}}}"#, "linux.intelRdt.schemata[0]: a schema is one line"),
    (
        r#"{"linux":{"resources":{"devices":[{"allow":true,"access":"rwa"}]}}}"#,
        "linux.resources.devices[0].access",
    ),
    (
        r#"{"linux":{"resources":{"devices":[{"allow":true,"access":"x"}]}}}"#,
        "linux.resources.devices[0].access",
    ),
    (
        r#"{"linux":{"memoryPolicy":{"mode":"MPOL_BIND"}}}"#,
        "memory policy mode requires at least one node but got 0",
    ),
    (
        r#"{"linux":{"memoryPolicy":{"mode":"MPOL_LOCAL","nodes":"0-2"}}}"#,
        "memory policy mode requires 0 nodes but got 3",
    ),
    (
        r#"{"linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":"2-1"}}}"#,
        "invalid memory policy nodes \"2-1\"",
    ),
    (
        r#"{"linux":{"namespaces":[],"netDevices":{"eth0":{}}}}"#,
        "unable to move network devices without a NET namespace",
    ),
    (r#"{"linux":{"netDevices":{"a/b":{}}}}"#, "linux.netDevices.a/b: invalid network device name"),
    (r#"{"linux":{"netDevices":{"a":{"name":"b"},"b":{}}}}"#, "linux.netDevices.b: another network device"),
    (r#"{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_NOTIFY"}}}"#, "linux.seccomp.defaultAction"),
    (
        r#"{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["write"],"action":"SCMP_ACT_NOTIFY"}]}}}"#,
        "SCMP_ACT_NOTIFY cannot be used for the write syscall",
    ),
    (r#"{"hooks":{"poststop":[{"path":"x"}]}}"#, "hooks.poststop[0].path: not an absolute path"),
    (
        r#"{"hooks":{"prestart":[{"path":"/x","timeout":0}]}}"#,
        "hooks.prestart[0].timeout: must be greater than zero",
    ),
    (
        r#"{"mounts":[{"destination":"/x","options":["rbind"]}]}"#,
        "mounts[0].source: a bind mount needs a source",
    ),
    (
        r#"{"mounts":[{"destination":"/x","type":"tmpfs","uidMappings":[{"containerID":0,"hostID":1,"size":1}]}]}"#,
        "mounts[0]: invalid mount: id-mapped mounts are only supported for bind-mounts",
    ),
];

#[test]
fn each_fault_is_named_with_its_json_path() {
    for (patch, expected) in FAULTS {
        let message = refused(patch);
        assert!(message.contains(expected), "{patch}\nexpected {expected}\ngot      {message}");
    }
}

#[test]
fn id_ranges_may_not_overlap_nor_leave_the_ids() {
    let maps = |text: &str| {
        let map = format!(
            r#"{{"linux":{{"namespaces":[{{"type":"user"}}],"uidMappings":[{text}],"gidMappings":[{{"containerID":0,"hostID":9,"size":1}}]}}}}"#
        );
        refused(&map)
    };
    let range = |inside: u32, outside: u32, size: u32| {
        format!(r#"{{"containerID":{inside},"hostID":{outside},"size":{size}}}"#)
    };
    assert_eq!(maps(&range(0, 1000, 10)), "");
    assert_eq!(maps(&format!("{},{}", range(0, 1000, 10), range(10, 2000, 5))), "");
    assert!(
        maps(&format!("{},{}", range(0, 1000, 10), range(9, 2000, 5)))
            .contains("overlaps linux.uidMappings[0]")
    );
    assert!(maps(&format!("{},{}", range(0, 1000, 10), range(10, 995, 10))).contains("overlaps"));
    assert!(maps(&range(0, 1000, 0)).contains("must not be 0"));
    assert!(maps(&range(0, u32::MAX, 2)).contains("beyond the largest id"));
}

#[test]
fn what_an_ordinary_user_may_not_ask_for() {
    let rootless = Caller { rootless: true, no_pivot: false };
    let refused =
        |patch: &str| validate(&bundle(patch), rootless).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(refused("{}").contains("rootless container requires user namespaces"));
    let user = |mounts: &str| {
        format!(
            r#"{{"mounts":{mounts},"linux":{{"namespaces":[{{"type":"user"}},{{"type":"mount"}}],
            "uidMappings":[{{"containerID":0,"hostID":1000,"size":1}}],
            "gidMappings":[{{"containerID":0,"hostID":1000,"size":1}}]}}}}"#
        )
    };
    assert_eq!(refused(&user("[]")), "");
    let devpts = user(r#"[{"destination":"/dev/pts","type":"devpts","options":["gid=5"]}]"#);
    assert!(
        refused(&devpts)
            .contains("mounts[0].options: cannot specify gid=5 mount option for rootless container")
    );
}

#[test]
fn a_terminal_and_a_console_socket_belong_together() {
    assert!(validate_terminal(true, true, true).is_ok());
    assert!(validate_terminal(true, false, false).is_ok());
    assert!(validate_terminal(false, true, false).is_ok());
    assert!(matches!(validate_terminal(true, true, false), Err(BundleError::TerminalWithoutSocket)));
    assert!(matches!(validate_terminal(true, false, true), Err(BundleError::SocketWithoutTerminal)));
    assert!(matches!(validate_terminal(false, true, true), Err(BundleError::SocketWithoutTerminal)));
}
