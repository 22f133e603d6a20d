#![allow(clippy::unwrap_used)]

use super::*;

fn properties(json: &str, version: u32) -> Vec<(String, Value)> {
    let resources: LinuxResources = serde_json::from_str(json).unwrap();
    let mut props = Properties::default();
    of(&resources, version, false, &mut props).unwrap();
    props.0
}

fn numbers(json: &str, version: u32) -> Vec<String> {
    let show = |(name, value)| match value {
        Value::U64(u64::MAX) => format!("{name}=infinity"),
        Value::U64(value) => format!("{name}={value}"),
        other => format!("{name}={other:?}"),
    };
    properties(json, version).into_iter().map(show).collect()
}

#[test]
fn limits_to_properties() {
    for (json, wanted) in [
        (
            r#"{"memory":{"limit":100,"swap":300,"reservation":50}}"#,
            &["MemoryMax=100", "MemoryLow=50", "MemorySwapMax=200"][..],
        ),
        (r#"{"memory":{"limit":-1}}"#, &["MemoryMax=infinity", "MemorySwapMax=infinity"]),
        (r#"{"cpu":{"shares":1024}}"#, &["CPUWeight=100"]),
        (r#"{"cpu":{"shares":1024,"idle":1}}"#, &["CPUWeight=0"]),
        (r#"{"cpu":{"quota":50000}}"#, &["CPUQuotaPerSecUSec=500000"]),
        (
            r#"{"cpu":{"quota":5001,"period":100000}}"#,
            &["CPUQuotaPeriodUSec=100000", "CPUQuotaPerSecUSec=60000"],
        ),
        (r#"{"cpu":{"quota":-1}}"#, &["CPUQuotaPerSecUSec=infinity"]),
        (r#"{"pids":{"limit":0}}"#, &["TasksMax=1"]),
        (r#"{"pids":{"limit":-1}}"#, &["TasksMax=infinity"]),
        (r#"{"blockIO":{"weight":500}}"#, &["IOWeight=4950"]),
        (
            r#"{"unified":{"memory.high":"max","pids.max":"7","cpu.max":"max 5000","x.y":"z"}}"#,
            &["CPUQuotaPeriodUSec=5000", "CPUQuotaPerSecUSec=infinity", "MemoryHigh=infinity", "TasksMax=7"],
        ),
    ] {
        assert_eq!(numbers(json, 257), wanted, "{json}");
    }
    assert_eq!(numbers(r#"{"cpu":{"shares":1024,"idle":1}}"#, 250), ["CPUWeight=100"]);
    assert!(numbers(r#"{"cpu":{"cpus":"0"}}"#, 243).is_empty());
}

#[test]
fn lists_to_bits() {
    assert_eq!(bits("0-3,5"), Some(vec![0b10_1111]));
    assert_eq!(bits(" 8 , 1 ,"), Some(vec![2, 1]));
    for bad in ["", "a", "3-1", "1-", "4294967295", "0-99999999999999999999"] {
        assert_eq!(bits(bad), None, "{bad}");
    }
}

#[test]
fn the_quota_written_is_the_one_systemd_sets() {
    for (quota, period, wanted) in [(5001, Some(100_000), 6000), (50_000, None, 50_000), (-1, None, -1)] {
        assert_eq!(rounded_quota(quota, period), wanted);
    }
}

#[test]
fn device_rules_to_an_allow_list() {
    let list = |json: &str| {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        let mut props = Properties::default();
        device_properties(&rules(&resources).unwrap(), &mut props);
        format!("{:?}", props.0)
    };
    let text = list(r#"{"devices":[{"allow":true,"type":"b","major":8,"access":"r"}]}"#);
    for part in [
        r#""DevicePolicy", Str("strict")"#,
        r#"[Str("char-*"), Str("m")]"#,
        r#"[Str("/dev/char/1:3"), Str("rwm")]"#,
        r#"[Str("char-136"), Str("rwm")]"#,
        r#"[Str("block-8"), Str("rm")]"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = list(r#"{"devices":[{"allow":true,"access":"rwm"}]}"#);
    assert!(text.contains(r#"Str("auto")"#) && !text.contains("strict"), "{text}");
}
