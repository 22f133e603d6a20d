//! The tables from `linux.resources` to interface files.
#![allow(clippy::unwrap_used)]

use oci_spec::runtime::LinuxResources;

use super::*;

/// `file=value` for each write, with the lenience if it isn't strict.
fn table(json: &str, bfq: bool) -> Vec<String> {
    let resources: LinuxResources = serde_json::from_str(json).unwrap();
    let show = |w: Write| match w.lenience {
        Lenience::Strict => format!("{}={}", w.file, w.value),
        other => format!("{}={} {other:?}", w.file, w.value),
    };
    writes(&resources, bfq).unwrap().into_iter().map(show).collect()
}

fn error(json: &str) -> String {
    let resources: LinuxResources = serde_json::from_str(json).unwrap();
    validate(&resources).unwrap_err().to_string()
}

#[test]
fn nothing_asked_nothing_written() {
    for json in [
        "{}",
        r#"{"memory":{},"cpu":{},"blockIO":{},"network":{"classID":0}}"#,
        r#"{"memory":{"limit":0,"swap":0,"reservation":0,"kernelTCP":-1,"kernel":0,"disableOOMKiller":false}}"#,
        r#"{"cpu":{"shares":0,"quota":0,"period":0,"cpus":"","mems":"","realtimeRuntime":0}}"#,
    ] {
        assert!(table(json, false).is_empty(), "{json}");
    }
}

#[test]
fn what_cgroup_v1_alone_had_is_refused() {
    for (json, field) in [
        (r#"{"memory":{"kernel":5}}"#, "memory.kernel"),
        (r#"{"memory":{"kernelTCP":5}}"#, "memory.kernelTCP"),
        (r#"{"memory":{"swappiness":0}}"#, "memory.swappiness"),
        (r#"{"memory":{"disableOOMKiller":true}}"#, "memory.disableOOMKiller"),
        (r#"{"memory":{"useHierarchy":false}}"#, "memory.useHierarchy"),
        (r#"{"cpu":{"realtimeRuntime":1}}"#, "cpu.realtimeRuntime"),
        (r#"{"cpu":{"realtimePeriod":1}}"#, "cpu.realtimePeriod"),
        (r#"{"blockIO":{"leafWeight":10}}"#, "blockIO.leafWeight"),
        (r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":10}]}}"#, "blockIO.weightDevice"),
        (r#"{"network":{"classID":1}}"#, "network.classID"),
        (r#"{"network":{"priorities":[{"name":"lo","priority":1}]}}"#, "network.priorities"),
    ] {
        let text = error(json);
        assert!(text.starts_with(&format!("linux.resources.{field}")), "{json}: {text}");
        assert!(text.ends_with("cgroup v2 has no such limit"), "{text}");
    }
}

#[test]
fn what_could_not_be_meant_is_refused() {
    for (json, text) in [
        (r#"{"blockIO":{"weight":9}}"#, "linux.resources.blockIO.weight: 9 is out of range"),
        (
            r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":1001}]}}"#,
            "linux.resources.blockIO.weightDevice[0].weight: 1001 is out of range",
        ),
        (
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":-1}]}"#,
            "linux.resources.hugepageLimits[0].limit: -1 is no number of bytes",
        ),
        (r#"{"rdma":{"a":{}}}"#, "linux.resources.rdma.a: hcaHandles or hcaObjects expected"),
        (r#"{"unified":{"memory.high":" "}}"#, "the value is empty"),
        (r#"{"unified":{"cgroup.freeze":"1"}}"#, "cgroup.freeze is the runtime's own"),
    ] {
        assert!(error(json).contains(text), "{json}: {}", error(json));
    }
}

#[test]
fn pids_keep_zero_and_unlimited_apart() {
    for (limit, wanted) in [(7, "7"), (0, "1"), (-1, "max"), (-5, "max")] {
        let json = format!(r#"{{"pids":{{"limit":{limit}}}}}"#);
        assert_eq!(table(&json, false), [format!("pids.max={wanted}")]);
    }
}

#[test]
fn memory_and_swap() {
    let json = r#"{"memory":{"limit":100,"swap":300,"reservation":50}}"#;
    let wanted = ["memory.swap.max=200", "memory.max=100", "memory.low=50"];
    assert_eq!(table(json, false), wanted);
    let json = r#"{"memory":{"limit":100,"swap":100}}"#;
    let wanted = ["memory.swap.max=0 IfMissing", "memory.max=100"];
    assert_eq!(table(json, false), wanted);
    let json = r#"{"memory":{"limit":-1}}"#;
    let wanted = ["memory.swap.max=max IfMissing", "memory.max=max"];
    assert_eq!(table(json, false), wanted);
    assert_eq!(table(r#"{"memory":{"limit":9}}"#, false), ["memory.max=9"]);
    let text = error(r#"{"memory":{"swap":9}}"#);
    assert_eq!(text, "linux.resources.memory.swap: unable to set swap limit without memory limit");
}

#[test]
fn cpu_quota_period_burst() {
    for (json, wanted) in [
        (r#"{"cpu":{"quota":5000}}"#, &["cpu.max=5000 100000"][..]),
        (r#"{"cpu":{"quota":-1}}"#, &["cpu.max=max 100000"]),
        (r#"{"cpu":{"period":200}}"#, &["cpu.max=max 200"]),
        (r#"{"cpu":{"quota":50,"period":70}}"#, &["cpu.max=50 70"]),
        (r#"{"cpu":{"burst":9}}"#, &["cpu.max.burst=9"]),
        (
            r#"{"cpu":{"burst":9,"quota":50}}"#,
            &["cpu.max.burst=9 IfInvalid", "cpu.max=50 100000", "cpu.max.burst=9"],
        ),
        (
            r#"{"cpu":{"shares":2048,"idle":1,"cpus":"0-3,5","mems":"0"}}"#,
            &["cpu.idle=1", "cpu.weight=174", "cpuset.cpus=0-3,5", "cpuset.mems=0"],
        ),
    ] {
        assert_eq!(table(json, false), wanted, "{json}");
    }
    let text = error(r#"{"cpu":{"realtimePeriod":1000}}"#);
    assert_eq!(text, "linux.resources.cpu.realtimePeriod: cgroup v2 has no such limit");
}

#[test]
fn block_io_with_and_without_bfq() {
    let json = r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10}],
        "throttleReadBpsDevice":[{"major":8,"minor":1,"rate":600}],
        "throttleWriteIOPSDevice":[{"major":8,"minor":2,"rate":0}]}}"#;
    let max = ["io.max=8:1 rbps=600", "io.max=8:2 wiops=max"];
    let plain = ["io.weight=4950", "io.weight=8:0 1", max[0], max[1]];
    let bfq = ["io.bfq.weight=500", "io.bfq.weight=8:0 10", max[0], max[1]];
    assert_eq!(table(json, false), plain);
    assert_eq!(table(json, true), bfq);
}

#[test]
fn hugepages_rdma_unified() {
    let json = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}],
        "rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000}},
        "unified":{"memory.high":"5","cpu.max":"1 2","io.max":"8:0 rbps=1\n8:1 rbps=2"}}"#;
    let wanted = [
        "hugetlb.2MB.max=4194304",
        "hugetlb.2MB.rsvd.max=4194304 IfMissing",
        "rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
        "cpu.max=1 2",
        "io.max=8:0 rbps=1",
        "io.max=8:1 rbps=2",
        "memory.high=5",
    ];
    assert_eq!(table(json, false), wanted);
    for (json, text) in [
        (r#"{"unified":{"a/b":"1"}}"#, "must be a file name (no slashes)"),
        (r#"{"unified":{"ab":"1"}}"#, "must be in the form CONTROLLER.PARAMETER"),
        (r#"{"unified":{"..":"1"}}"#, "must be in the form CONTROLLER.PARAMETER"),
        (r#"{"hugepageLimits":[{"pageSize":"../x","limit":1}]}"#, "invalid pageSize"),
    ] {
        assert!(error(json).contains(text), "{json}");
    }
}

#[test]
fn controllers_are_those_of_the_files() {
    let of = |json: &str| controllers(&serde_json::from_str(json).unwrap());
    assert!(of("{}").is_empty());
    assert_eq!(of(r#"{"cpu":{"cpus":"0"}}"#), ["cpuset"]);
    assert_eq!(of(r#"{"cpu":{"quota":9},"memory":{"limit":9}}"#), ["cpu", "memory"]);
    assert_eq!(of(r#"{"unified":{"misc.max":"x 1","foo.bar":"1"}}"#), ["misc"]);
}
