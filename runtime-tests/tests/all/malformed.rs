//! A bad value of each member that has a type, a range or a list of words: the
//! container is refused by the member's JSON path, and nothing is made.

use runtime_tests::{Config, Sandbox, Value, json, leftovers, requires};

/// JSON pointer, a bad value, and the path that the message has.
pub(crate) type Case = (&'static str, Value, &'static str);

#[track_caller]
pub(crate) fn all_refused(cases: Vec<Case>) {
    let s = Sandbox::new();
    let mut wrong = Vec::new();
    for (pointer, value, path) in cases {
        let (id, b) = s.bundle(Config::default().set(pointer, value.clone()));
        let before = leftovers::before();
        let out = s.run_bundle(&id, &b);
        if out.code != 1 || !out.stderr.contains(path) {
            wrong.push(format!("{pointer} = {value}: code {} and no {path:?} in {}", out.code, out.stderr));
        }
        leftovers::assert_none(&before, &s);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_process() {
    requires!(Krun);
    let scheduler = |value: Value| ("/process/scheduler", value);
    let s = [
        (scheduler(json!({"policy": "SCHED_NOPE"})), "process.scheduler.policy"),
        (
            scheduler(json!({"policy": "SCHED_RR", "flags": ["SCHED_FLAG_NOPE"]})),
            "process.scheduler.flags[0]",
        ),
        (scheduler(json!({"policy": "SCHED_OTHER", "nice": -21})), "process.scheduler.nice"),
        (scheduler(json!({"policy": "SCHED_FIFO", "priority": 100})), "process.scheduler"),
        (scheduler(json!({"policy": "SCHED_FIFO", "priority": 0})), "process.scheduler"),
        (scheduler(json!({"policy": "SCHED_DEADLINE"})), "process.scheduler"),
        (scheduler(json!({"policy": "SCHED_ISO"})), "process.scheduler"),
        (scheduler(json!({})), "process.scheduler"),
    ];
    let mut cases: Vec<Case> = s.into_iter().map(|((p, v), path)| (p, v, path)).collect();
    cases.extend([
        ("/process/terminal", json!("yes"), "process.terminal"),
        ("/process/consoleSize", json!({"height": -1, "width": 80}), "process.consoleSize.height"),
        ("/process/user/umask", json!(0o1000), "process.user.umask"),
        ("/process/user/umask", json!(-1), "process.user.umask"),
        ("/process/user/additionalGids", json!([5, -1]), "process.user.additionalGids[1]"),
        ("/process/user/additionalGids", json!("5"), "process.user.additionalGids"),
        ("/process/user/uid", json!(4_294_967_295_u32), "process.user.uid"),
        ("/process/user/gid", json!(4_294_967_295_u32), "process.user.gid"),
        ("/process/args", json!([""]), "process.args[0]"),
        ("/process/env", json!(["A=b", "=c"]), "process.env[1]"),
        ("/process/env", json!("A=b"), "process.env"),
        ("/process/capabilities/bounding", json!("CAP_KILL"), "process.capabilities.bounding"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]),
            "process.rlimits[0].type",
        ),
        ("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]), "process.rlimits[0]"),
        ("/process/rlimits/0/hard", json!(-1), "process.rlimits[0].hard"),
        ("/process/noNewPrivileges", json!("yes"), "process.noNewPrivileges"),
        ("/process/oomScoreAdj", json!(-1001), "process.oomScoreAdj"),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_NOPE", "priority": 1}),
            "process.ioPriority.class",
        ),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": -1}),
            "process.ioPriority.priority",
        ),
        ("/process/ioPriority", json!({"priority": 3}), "process.ioPriority.class"),
        ("/process/ioPriority", json!({"class": 5, "priority": 3}), "process.ioPriority.class"),
        ("/process/capabilities/permitted", json!([]), "process.capabilities.effective"),
        ("/process/execCPUAffinity", json!({"initial": "a"}), "process.execCPUAffinity.initial"),
        ("/process/execCPUAffinity", json!({"final": "3-1"}), "process.execCPUAffinity.final"),
        ("/process/apparmorProfile", json!(5), "process.apparmorProfile"),
        ("/process/selinuxLabel", json!(5), "process.selinuxLabel"),
    ]);
    all_refused(cases);
}

#[test]
fn a_console_that_is_too_wide() {
    requires!(Krun);
    let s = Sandbox::new();
    let config = Config::default().set("/process/consoleSize", json!({"height": 24, "width": 65_536}));
    s.run(config.set("/process/terminal", true)).expect_code(1).expect_error("process.consoleSize.width");
}

#[test]
fn of_the_top_and_of_mounts() {
    requires!(Krun);
    let mount = |value: Value| json!([{"destination": "/proc", "type": "proc", "source": "proc"}, value]);
    let map = json!([{"containerID": 0, "hostID": 0, "size": 0}]);
    all_refused(vec![
        ("/ociVersion", json!("one"), "ociVersion"),
        ("/root/path", json!(""), "root.path"),
        ("/root/readonly", json!("no"), "root.readonly"),
        ("/hostname", json!("h".repeat(65)), "hostname"),
        ("/domainname", json!("d".repeat(65)), "domainname"),
        ("/domainname", json!(7), "domainname"),
        ("/annotations", json!(["a"]), "annotations"),
        ("/mounts", mount(json!({"type": "tmpfs"})), "mounts[1]"),
        ("/mounts", mount(json!({"destination": "", "type": "tmpfs"})), "mounts[1].destination"),
        ("/mounts", mount(json!({"destination": "/x", "type": 5})), "mounts[1].type"),
        ("/mounts", mount(json!({"destination": "/x", "type": "tmpfs", "source": 5})), "mounts[1].source"),
        (
            "/mounts",
            mount(json!({"destination": "/x", "type": "tmpfs", "options": [5]})),
            "mounts[1].options[0]",
        ),
        ("/mounts", mount(json!({"destination": "/x", "type": "tmpfs", "options": ["size=x"]})), "mounts[1]"),
        (
            "/mounts",
            mount(json!({"destination": "/x", "type": "bind", "source": "/tmp", "options": ["sise=1"]})),
            "mounts[1].options",
        ),
        (
            "/mounts",
            mount(json!({"destination": "/x", "type": "bind", "options": ["bind"]})),
            "mounts[1].source",
        ),
        ("/mounts", mount(json!({"destination": "/tmp"})), "mounts[1].type"),
        (
            "/mounts",
            mount(json!({"destination": "/tmp", "type": "none", "source": "/tmp"})),
            "mounts[1].type",
        ),
        ("/mounts", mount(json!({"destination": "/x/..", "type": "tmpfs"})), "mounts[1].destination"),
        (
            "/mounts",
            mount(
                json!({"destination": "/x", "type": "bind", "source": "/tmp", "options": ["bind", "tmpcopyup"]}),
            ),
            "mounts[1].options",
        ),
        (
            "/mounts",
            mount(json!({"destination": "/tmp", "type": "cgroup", "options": ["no-such-option"]})),
            "no-such-option",
        ),
        (
            "/mounts",
            mount(json!({"destination": "/proc", "type": "proc", "options": ["remount", "size=1"]})),
            "mounts[1]",
        ),
        ("/mounts", mount(json!({"destination": "/x", "type": "nosuchfs", "source": "x"})), "mounts[1]"),
        (
            "/mounts",
            mount(json!({"destination": "/x", "type": "bind", "source": "/tmp", "options": ["bind"],
            "uidMappings": map, "gidMappings": map})),
            "mounts[1].uidMappings[0]",
        ),
        (
            "/mounts",
            mount(json!({"destination": "/x", "type": "bind", "source": "/tmp", "options": ["idmap"]})),
            "mounts[1]",
        ),
        ("/hooks", json!({"poststart": [{"path": "relative"}]}), "hooks.poststart[0].path"),
        (
            "/hooks",
            json!({"createContainer": [{"path": "/x", "timeout": -1}]}),
            "hooks.createContainer[0].timeout",
        ),
        (
            "/hooks",
            json!({"startContainer": [{"path": "/x", "timeout": "1"}]}),
            "hooks.startContainer[0].timeout",
        ),
        ("/hooks", json!({"poststop": [{"path": "/x", "args": "x"}]}), "hooks.poststop[0].args"),
        ("/hooks", json!({"poststop": {}}), "hooks.poststop"),
    ]);
}

#[test]
fn of_linux() {
    requires!(Krun);
    let device = |value: Value| {
        let mut device = json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3});
        device.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        json!([device])
    };
    let time = json!([{"type": "mount"}, {"type": "uts"}, {"type": "time"}]);
    let offsets = |value: Value| json!({"namespaces": time, "timeOffsets": value});
    all_refused(vec![
        (
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "pid", "path": "x"}]),
            "linux.namespaces[1].path",
        ),
        (
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "pid", "path": 5}]),
            "linux.namespaces[1].path",
        ),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": 5}]), "linux.namespaces[1].type"),
        (
            "/linux/uidMappings",
            json!([{"containerID": -1, "hostID": 0, "size": 1}]),
            "linux.uidMappings[0].containerID",
        ),
        (
            "/linux/gidMappings",
            json!([{"containerID": 0, "hostID": "x", "size": 1}]),
            "linux.gidMappings[0].hostID",
        ),
        ("/linux", offsets(json!({"realtime": {"secs": 1}})), "linux.timeOffsets.realtime"),
        ("/linux", offsets(json!({"monotonic": {"secs": "x"}})), "linux.timeOffsets.monotonic.secs"),
        ("/linux", offsets(json!({"monotonic": {"nanosecs": 2_000_000_000_u32}})), "linux.timeOffsets"),
        ("/linux", offsets(json!({"boottime": {"secs": -999_999_999_999_i64}})), "linux.timeOffsets"),
        ("/linux/devices", device(json!({"path": "x"})), "linux.devices[0].path"),
        ("/linux/devices", device(json!({"type": "z"})), "linux.devices[0].type"),
        ("/linux/devices", device(json!({"major": -1})), "linux.devices[0]"),
        ("/linux/devices", device(json!({"minor": 1_048_576})), "linux.devices[0]"),
        ("/linux/devices", device(json!({"fileMode": -1})), "linux.devices[0].fileMode"),
        ("/linux/devices", device(json!({"fileMode": 0o40_666})), "linux.devices[0].fileMode"),
        ("/linux/devices", device(json!({"uid": -1})), "linux.devices[0].uid"),
        ("/linux/devices", device(json!({"type": 5})), "linux.devices[0].type"),
        ("/linux/devices", device(json!({"uid": 4_294_967_295_u32})), "linux.devices[0].uid"),
        ("/linux/devices", device(json!({"gid": 4_294_967_295_u32})), "linux.devices[0].gid"),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "b"}]), "linux.devices[0]"),
        ("/linux/netDevices", json!({"eth0": {"name": "a/b"}}), "linux.netDevices"),
        ("/linux/netDevices", json!({"a-name-that-is-too-long": {}}), "linux.netDevices"),
        ("/linux/netDevices", json!(["eth0"]), "linux.netDevices"),
        ("/linux/cgroupsPath", json!(5), "linux.cgroupsPath"),
        ("/linux/cgroupsPath", json!("/"), "linux.cgroupsPath"),
        ("/linux/rootfsPropagation", json!("Shared"), "linux.rootfsPropagation"),
        ("/linux/maskedPaths", json!(["relative"]), "linux.maskedPaths[0]"),
        ("/linux/readonlyPaths", json!(["/x", 5]), "linux.readonlyPaths[1]"),
        ("/linux/maskedPaths", json!(["/proc/.."]), "linux.maskedPaths"),
        ("/linux/mountLabel", json!(5), "linux.mountLabel"),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": 1}), "linux.sysctl"),
        ("/linux/sysctl", json!({"net.ipv4.no_such": "1"}), "linux.sysctl"),
        ("/linux/sysctl", json!({"net.ipv4.ip_default_ttl": "lots"}), "linux.sysctl"),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": ""}), "linux.sysctl"),
        (
            "/linux/sysctl",
            json!({"net.ipv4.ip_forward": "1", "net/ipv4/ip_forward": "0"}),
            "linux.sysctl.net/ipv4/ip_forward",
        ),
        ("/linux/personality", json!({"domain": "PER_NOPE"}), "linux.personality.domain"),
        ("/linux/personality", json!({"domain": "LINUX", "flags": ["x"]}), "linux.personality.flags[0]"),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_NOPE", "nodes": "0"}), "linux.memoryPolicy.mode"),
        (
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["x"]}),
            "linux.memoryPolicy.flags[0]",
        ),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "x"}), "linux.memoryPolicy.nodes"),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "1000"}), "linux.memoryPolicy"),
        ("/linux/intelRdt", json!({"closID": "a/b"}), "linux.intelRdt.closID"),
        ("/linux/intelRdt", json!({"schemata": "L3:0=f"}), "linux.intelRdt.schemata"),
        ("/linux/intelRdt", json!({"schemata": ["L3:0=f\nMB:0=10"]}), "linux.intelRdt.schemata[0]"),
        ("/linux/intelRdt", json!({"memBwSchema": "L3:0=f"}), "linux.intelRdt.memBwSchema"),
        ("/linux/intelRdt", json!({"enableMonitoring": "x"}), "linux.intelRdt.enableMonitoring"),
    ]);
}

#[test]
fn of_linux_resources() {
    requires!(Krun);
    let path = "/linux/resources";
    let mut cases: Vec<Case> = Vec::new();
    for (value, field) in [
        (json!({"memory": {"limit": 9_223_372_036_854_775_808_u64}}), "memory.limit"),
        (json!({"memory": {"limit": -2}}), "memory.limit"),
        (json!({"memory": {"limit": 100_000_000, "swap": 50_000_000}}), "memory.swap"),
        (json!({"memory": {"swap": 50_000_000}}), "memory.swap"),
        (json!({"memory": {"reservation": "x"}}), "memory.reservation"),
        (json!({"memory": {"reservation": -2}}), "memory.reservation"),
        (json!({"memory": {"checkBeforeUpdate": "x"}}), "memory.checkBeforeUpdate"),
        (json!({"cpu": {"shares": -1}}), "cpu.shares"),
        (json!({"cpu": {"quota": "x"}}), "cpu.quota"),
        (json!({"cpu": {"quota": 5}}), "cpu.quota"),
        (json!({"cpu": {"period": -1}}), "cpu.period"),
        (json!({"cpu": {"period": 5}}), "cpu.period"),
        (json!({"cpu": {"burst": -1}}), "cpu.burst"),
        (json!({"cpu": {"idle": 2}}), "cpu.idle"),
        (json!({"cpu": {"cpus": "x"}}), "cpu.cpus"),
        (json!({"cpu": {"mems": "9999"}}), "cpu.mems"),
        (json!({"pids": {"limit": "x"}}), "pids.limit"),
        (json!({"blockIO": {"weight": 65_536}}), "blockIO.weight"),
        (json!({"blockIO": {"weight": 1001}}), "blockIO.weight"),
        (json!({"blockIO": {"weight": 9}}), "blockIO.weight: 9 is out of range"),
        (
            json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 5}]}}),
            "blockIO.weightDevice[0].weight",
        ),
        (
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": 1, "minor": 1, "rate": -1}]}}),
            "blockIO.throttleReadBpsDevice[0].rate",
        ),
        (
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": 999, "minor": 1, "rate": 1}]}}),
            "blockIO.throttleReadBpsDevice[0]",
        ),
        (json!({"hugepageLimits": [{"pageSize": "3XB", "limit": 1}]}), "hugepageLimits[0]"),
        (json!({"hugepageLimits": [{"pageSize": "2MB/../x", "limit": 1}]}), "hugepageLimits[0]"),
        (json!({"hugepageLimits": [{"pageSize": "2MB", "limit": "x"}]}), "hugepageLimits[0].limit"),
        (json!({"hugepageLimits": [{"pageSize": "2MB", "limit": -1}]}), "hugepageLimits[0].limit"),
        (json!({"rdma": {"mlx5_0": {}}}), "rdma.mlx5_0"),
        (json!({"rdma": {"a b": {"hcaHandles": 1}}}), "rdma"),
        (json!({"rdma": {"mlx5_0": {"hcaHandles": -1}}}), "rdma.mlx5_0.hcaHandles"),
        (json!({"rdma": {"no_such": {"hcaHandles": 1}}}), "rdma"),
        (json!({"unified": {"memory.max": 5}}), "unified"),
        (json!({"unified": {"no.such": "1"}}), "unified"),
        (json!({"unified": {"../x": "1"}}), "unified"),
        (json!({"unified": {"cgroup.max.depth": ""}}), "unified[\\\"cgroup.max.depth\\\"]"),
        (json!({"unified": {"cgroup.procs": "1"}}), "cgroup.procs is the runtime's own"),
        (json!({"unified": {"cgroup.freeze": "1"}}), "cgroup.freeze is the runtime's own"),
        (json!({"devices": [{"allow": "x", "access": "r"}]}), "devices[0].allow"),
        (json!({"devices": [{"allow": true, "type": "z", "access": "r"}]}), "devices[0].type"),
        (json!({"devices": [{"allow": true, "type": "p", "access": "r"}]}), "devices[0].type"),
        (json!({"devices": [{"allow": true, "access": "rx"}]}), "devices[0].access"),
        (json!({"devices": [{"allow": true, "major": "x", "access": "r"}]}), "devices[0].major"),
        (json!({"devices": [{"allow": true, "type": "c", "major": -2, "access": "r"}]}), "devices[0].major"),
        (
            json!({"devices": [{"allow": true, "minor": 4_294_967_296_u64, "access": "r"}]}),
            "devices[0].minor",
        ),
    ] {
        cases.push((path, value, field));
    }
    all_refused(cases);
}

#[test]
fn of_seccomp() {
    requires!(Krun);
    let rule = |value: Value| {
        let mut rule = json!({"names": ["read"], "action": "SCMP_ACT_ALLOW"});
        rule.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    };
    let with = |value: Value| {
        let mut profile = json!({"defaultAction": "SCMP_ACT_ALLOW"});
        profile.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        profile
    };
    let path = "/linux/seccomp";
    let arg = |value: Value| rule(json!({"args": [value]}));
    all_refused(vec![
        (path, json!({}), "linux.seccomp"),
        (path, with(json!({"architectures": ["SCMP_ARCH_NOPE"]})), "linux.seccomp.architectures[0]"),
        (path, with(json!({"flags": ["SECCOMP_FILTER_FLAG_NOPE"]})), "linux.seccomp.flags[0]"),
        (path, with(json!({"defaultErrnoRet": -1})), "linux.seccomp.defaultErrnoRet"),
        (path, with(json!({"defaultErrnoRet": 1})), "linux.seccomp.defaultErrnoRet"),
        (path, with(json!({"listenerMetadata": "x"})), "linux.seccomp.listenerMetadata"),
        (path, rule(json!({"names": []})), "linux.seccomp.syscalls[0].names"),
        (path, rule(json!({"action": "SCMP_ACT_NOPE"})), "linux.seccomp.syscalls[0].action"),
        (
            path,
            rule(json!({"errnoRet": "x", "action": "SCMP_ACT_ERRNO"})),
            "linux.seccomp.syscalls[0].errnoRet",
        ),
        (
            path,
            arg(json!({"index": 6, "value": 1, "op": "SCMP_CMP_EQ"})),
            "linux.seccomp.syscalls[0].args[0].index",
        ),
        (
            path,
            arg(json!({"index": 0, "value": -1, "op": "SCMP_CMP_EQ"})),
            "linux.seccomp.syscalls[0].args[0].value",
        ),
        (
            path,
            arg(json!({"index": 0, "value": 1, "op": "SCMP_CMP_NOPE"})),
            "linux.seccomp.syscalls[0].args[0].op",
        ),
        (path, rule(json!({"action": "SCMP_ACT_NOTIFY"})), "linux.seccomp.listenerPath"),
    ]);
}
