//! The systemd driver's limits and annotations: properties of the unit, the kernel's own files,
//! and what is felt inside.

use crate::cgroups::MB;
use crate::systemd::{BOOTED, assert_gone, file, resources, run, show, start, systemctl, unit};
use runtime_tests::{Config, Sandbox, json, requires};

#[test]
fn limits_are_properties_of_the_unit() {
    requires!(BOOTED, Cpus(2));
    let s = Sandbox::new();
    let c = start(
        &s,
        resources(json!({
            "memory": {"limit": 100 * MB, "reservation": 50 * MB, "swap": 150 * MB},
            "cpu": {"quota": 5001, "period": 50_000, "shares": 2048, "cpus": "1", "mems": "0"},
            "pids": {"limit": 17},
            "devices": [{"allow": false, "access": "rwm"}],
            "unified": {"memory.high": (90 * MB).to_string(), "memory.oom.group": "1"},
        })),
    );
    for (property, wanted) in [
        ("MemoryMax", (100 * MB).to_string()),
        ("MemoryHigh", (90 * MB).to_string()),
        ("MemoryLow", (50 * MB).to_string()),
        ("MemorySwapMax", (50 * MB).to_string()),
        ("CPUWeight", "174".to_owned()),
        ("CPUQuotaPerSecUSec", "110ms".to_owned()),
        ("CPUQuotaPeriodUSec", "50ms".to_owned()),
        ("AllowedCPUs", "1".to_owned()),
        ("AllowedMemoryNodes", "0".to_owned()),
        ("TasksMax", "17".to_owned()),
        ("DevicePolicy", "strict".to_owned()),
        ("MemoryAccounting", "yes".to_owned()),
        ("TasksAccounting", "yes".to_owned()),
    ] {
        assert_eq!(show(&unit(&c), property), wanted, "{property}");
    }
    // And the kernel has the same: systemd keeps a quota in whole percents.
    for (name, wanted) in [
        ("memory.max", (100 * MB).to_string()),
        ("memory.high", (90 * MB).to_string()),
        ("memory.low", (50 * MB).to_string()),
        ("memory.swap.max", (50 * MB).to_string()),
        ("memory.oom.group", "1".to_owned()),
        ("cpu.max", "5500 50000".to_owned()),
        ("cpu.weight", "174".to_owned()),
        ("cpuset.cpus", "1".to_owned()),
        ("pids.max", "17".to_owned()),
    ] {
        assert_eq!(file(&c, name), wanted, "{name}");
    }
}

#[test]
fn limits_are_felt() {
    requires!(BOOTED, Cpus(2));
    let s = Sandbox::new();
    let c = start(
        &s,
        resources(json!({
            "memory": {"limit": 48 * MB, "swap": 48 * MB},
            "cpu": {"quota": 20_000, "period": 100_000, "cpus": "1"},
            "pids": {"limit": 12},
        })),
    );
    assert_eq!(c.exec_probe(&["fork", "40"])[0]["errno"], "EAGAIN");
    assert_eq!(c.exec_probe(&["report"])[0]["affinity"], json!([1]));
    c.exec_probe(&["spin", "1500"]);
    let stat = file(&c, "cpu.stat");
    let throttled = stat.lines().find_map(|l| l.strip_prefix("nr_throttled ")).unwrap();
    assert!(throttled.parse::<u64>().unwrap() > 0, "{stat}");
    c.exec(&["/probe", "alloc", "200"]).expect_code(137);
    assert!(file(&c, "memory.events").contains("oom_kill 1"));
}

#[test]
fn a_reload_of_systemd_takes_nothing_back() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let config = resources(json!({
        "pids": {"limit": 12},
        "cpu": {"quota": 50_000, "period": 100_000, "burst": 20_000},
        "unified": {"cgroup.max.descendants": "5"},
        "devices": [{"allow": false, "access": "rwm"}],
    }));
    let c = start(&s, config.capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE"]));
    // Nodes may be made, but this one not opened.
    let opened = || {
        let tries = ["open-write", "/tmp/kmsg", "--", "open-rw", "/dev/null"];
        let lines = c.exec_probe(&tries);
        lines.iter().map(|l| l["errno"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(c.exec_probe(&["mknod", "/tmp/kmsg", "c", "1", "11"])[0]["ok"], true);
    assert_eq!(opened(), ["EPERM", ""]);
    systemctl(&["daemon-reload"]);
    systemctl(&["set-property", "--runtime", &unit(&c), "CPUWeight=50"]);
    assert_eq!(opened(), ["EPERM", ""], "the device rules are still krun's");
    for (name, wanted) in [
        ("pids.max", "12"),
        ("cpu.max", "50000 100000"),
        ("cpu.max.burst", "20000"),
        ("cgroup.max.descendants", "5"),
    ] {
        assert_eq!(file(&c, name), wanted, "{name}");
    }
}

#[test]
fn annotations_are_properties() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let notes = json!({
        "org.systemd.property.TimeoutStopUSec": "uint64 6000000",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.Documentation": "['man:krun(8)']",
        "org.systemd.property.SendSIGKILL": "false",
        "org.example.other": "nothing to do with systemd",
    });
    let c = start(&s, Config::sleeper().set("/annotations", notes));
    assert_eq!(show(&unit(&c), "TimeoutStopUSec"), "6s");
    assert_eq!(show(&unit(&c), "CollectMode"), "inactive-or-failed");
    assert!(show(&unit(&c), "Documentation").contains("man:krun(8)"));
    assert_eq!(show(&unit(&c), "SendSIGKILL"), "no");
    let note = |name: &str, value: &str| {
        Config::sleeper().set(&format!("/annotations/org.systemd.property.{name}"), value)
    };
    // In systemd's own words where only systemd can know.
    for (config, words) in [
        (note("NoSuchProperty", "true"), "NoSuchProperty"),
        (note("CollectMode", "'sometimes'"), "CollectMode"),
    ] {
        let (out, unit) = run(&s, config);
        out.expect_code(1).expect_error(&unit).expect_error("StartTransientUnit: ").expect_error(words);
        assert_gone(&unit);
    }
    // A value that is none never reaches systemd.
    let (out, unit) = run(&s, note("TimeoutStopUSec", "uint64 many"));
    out.expect_code(1).expect_error("org.systemd.property.TimeoutStopUSec=uint64 many");
    assert_gone(&unit);
    let left = std::fs::read_dir(s.state_root()).unwrap().count();
    assert_eq!(left, 1, "nothing but the one that runs");
}

#[test]
fn update_changes_the_unit() {
    requires!(BOOTED);
    let s = Sandbox::new();
    let c = start(&s, resources(json!({"memory": {"limit": 64 * MB}, "pids": {"limit": 50}})));
    let unit = unit(&c);
    s.call(["update", "--memory", "96M", "--memory-swap", "100M", "--pids-limit", "9", &c.id])
        .run()
        .expect_ok();
    assert_eq!(show(&unit, "MemoryMax"), (96 * MB).to_string());
    assert_eq!(file(&c, "memory.max"), (96 * MB).to_string());
    assert_eq!(show(&unit, "MemorySwapMax"), (4 * MB).to_string());
    assert_eq!(show(&unit, "TasksMax"), "9");
    assert_eq!(c.exec_probe(&["fork", "30"])[0]["errno"], "EAGAIN");
    s.call(["update", "--cpu-quota", "30000", "--cpu-period", "50000", "--cpu-share", "2", &c.id])
        .run()
        .expect_ok();
    assert_eq!(show(&unit, "CPUQuotaPerSecUSec"), "600ms");
    assert_eq!(file(&c, "cpu.max"), "30000 50000");
    assert_eq!(show(&unit, "CPUWeight"), "1");
    let text = json!({"pids": {"limit": -1}, "unified": {"memory.high": "50331648"}}).to_string();
    s.call(["update", "-r", "-", &c.id]).input(&text).run().expect_ok();
    assert_eq!(show(&unit, "TasksMax"), "infinity");
    assert_eq!(show(&unit, "MemoryHigh"), "50331648");
    // What systemd knows, it keeps.
    systemctl(&["daemon-reload"]);
    assert_eq!(file(&c, "memory.max"), (96 * MB).to_string());
    assert_eq!(file(&c, "pids.max"), "max");
}
