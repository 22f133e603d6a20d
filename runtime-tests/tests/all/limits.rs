//! The rarer limits of `linux.resources`, and every flag of `update`.

use crate::cgroups::{MB, running};
use runtime_tests::require::host_block_device;
use runtime_tests::{Config, Sandbox, json, requires};

#[test]
fn every_throttle_of_block_io() {
    requires!(Controller("io"), BlockDevice);
    let s = Sandbox::new();
    let device = host_block_device().unwrap();
    let (major, minor) = device.split_once(':').unwrap();
    let (major, minor) = (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap());
    let rate = |n: u64| json!([{"major": major, "minor": minor, "rate": n}]);
    let c = running(
        &s,
        json!({"blockIO": {"throttleReadBpsDevice": rate(1_000_003), "throttleWriteBpsDevice": rate(2_000_003),
            "throttleReadIOPSDevice": rate(3001), "throttleWriteIOPSDevice": rate(4001)}}),
    );
    let file = c.cgroup_file("io.max");
    for part in [&device, "rbps=1000003", "wbps=2000003", "riops=3001", "wiops=4001"] {
        assert!(file.contains(part), "{part}: {file}");
    }
}

#[test]
fn a_weight_per_device_holds_or_is_an_error() {
    requires!(Controller("io"), BlockDevice, Krun);
    let s = Sandbox::new();
    let device = host_block_device().unwrap();
    let (major, minor) = device.split_once(':').unwrap();
    let weight = json!([{"major": major.parse::<u32>().unwrap(), "minor": minor.parse::<u32>().unwrap(), "weight": 77}]);
    let config = Config::sleeper().set("/linux/resources/blockIO", json!({"weightDevice": weight}));
    let (id, b) = s.bundle(config);
    let (c, out) = s.try_create(&id, &b);
    if out.code == 0 {
        let file = if c.cgroup().join("io.bfq.weight").exists() { "io.bfq.weight" } else { "io.weight" };
        assert!(c.cgroup_file(file).contains(&format!("{device} ")), "{}", c.cgroup_file(file));
    } else {
        out.expect_error("linux.resources.blockIO.weightDevice[0]");
    }
}

#[test]
fn huge_pages_by_reservation() {
    requires!(Controller("hugetlb"), HugePages, Spec(1, 1), Kernel(5, 7));
    let s = Sandbox::new();
    let c = running(&s, json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 6 * MB}]}));
    assert_eq!(c.cgroup_file("hugetlb.2MB.rsvd.max"), (6 * MB).to_string());
    assert_eq!(c.cgroup_file("hugetlb.2MB.max"), (6 * MB).to_string());
    let bad = json!([{"pageSize": "3MB", "limit": MB}]);
    s.run(Config::default().set("/linux/resources/hugepageLimits", bad))
        .expect_code(1)
        .expect_error("linux.resources.hugepageLimits[0]");
}

#[test]
fn rdma_limits_without_the_device_are_refused() {
    requires!(Controller("rdma"), RuncLike);
    let s = Sandbox::new();
    let limits = json!({"no_such_hca": {"hcaHandles": 2, "hcaObjects": 100}});
    s.run(Config::default().set("/linux/resources/rdma", limits)).expect_code(1).expect_error("rdma");
}

#[test]
fn rdma_limits() {
    // The `full` machine has one, by soft RoCE.
    requires!(Controller("rdma"), Path("/sys/class/infiniband/rxe0"));
    let s = Sandbox::new();
    let c = running(&s, json!({"rdma": {"rxe0": {"hcaHandles": 3, "hcaObjects": 100}}}));
    assert!(
        c.cgroup_file("rdma.max").contains("rxe0 hca_handle=3 hca_object=100"),
        "{}",
        c.cgroup_file("rdma.max")
    );
    let c = running(&s, json!({"rdma": {"rxe0": {"hcaObjects": 9}}}));
    assert!(c.cgroup_file("rdma.max").contains("rxe0 hca_handle=max hca_object=9"));
    if s.runtime.kind == runtime_tests::runtime::Kind::Krun {
        let text = json!({"rdma": {"rxe0": {"hcaHandles": 5}}}).to_string();
        s.call(["update", "-r", "-", &c.id]).input(&text).run().expect_ok();
        assert!(c.cgroup_file("rdma.max").contains("rxe0 hca_handle=5"), "{}", c.cgroup_file("rdma.max"));
    }
}

#[test]
fn what_only_cgroup_v1_had_is_refused_by_name() {
    requires!(Krun);
    let s = Sandbox::new();
    for (resources, field) in [
        (json!({"memory": {"swappiness": 10}}), "linux.resources.memory.swappiness"),
        (json!({"memory": {"kernel": 1_000_000}}), "linux.resources.memory.kernel"),
        (json!({"memory": {"kernelTCP": 1_000_000}}), "linux.resources.memory.kernelTCP"),
        (json!({"memory": {"disableOOMKiller": true}}), "linux.resources.memory.disableOOMKiller"),
        (json!({"cpu": {"realtimeRuntime": 1000}}), "linux.resources.cpu.realtimeRuntime"),
        (json!({"network": {"classID": 5}}), "linux.resources.network.classID"),
    ] {
        let (id, b) = s.bundle(Config::default().set("/linux/resources", resources));
        s.run_bundle(&id, &b).expect_code(1).expect_error(field);
        assert!(!s.state_root().join(&id).exists(), "{field}");
    }
    // What engines write when nothing was asked for.
    let none = json!({"memory": {"kernel": 0, "kernelTCP": 0, "disableOOMKiller": false}, "network": {}});
    s.run(Config::probe(&["exit", "0"]).set("/linux/resources", none)).expect_ok();
}

#[test]
fn update_with_the_rarer_flags() {
    requires!(Controller("cpu"), Controller("cpuset"), Controller("io"), RuncLike, Kernel(5, 15));
    let s = Sandbox::new();
    let c = running(&s, json!({"cpu": {"quota": 50_000, "period": 100_000}}));
    let update = |flags: &[&str]| s.call(["update"]).args(flags).arg(&c.id).run();
    update(&["--cpu-burst", "20000"]).expect_ok();
    assert_eq!(c.cgroup_file("cpu.max.burst"), "20000");
    update(&["--cpu-idle", "1"]).expect_ok();
    assert_eq!(c.cgroup_file("cpu.idle"), "1");
    update(&["--cpu-idle", "0"]).expect_ok();
    assert_eq!(c.cgroup_file("cpu.idle"), "0");
    update(&["--cpuset-mems", "0"]).expect_ok();
    assert_eq!(c.cgroup_file("cpuset.mems"), "0");
    update(&["--blkio-weight", "300"]).expect_ok();
    let read = |file: &str| std::fs::read_to_string(c.cgroup().join(file)).unwrap_or_default();
    assert!(
        read("io.bfq.weight").contains("300") || read("io.weight").contains("2930"),
        "{} {}",
        read("io.bfq.weight"),
        read("io.weight")
    );
    for (flags, words) in [
        (["--cpu-rt-period", "1000000"], "realtimePeriod"),
        (["--cpu-rt-runtime", "1000"], "realtimeRuntime"),
        (["--l3-cache-schema", "L3:0=f"], "Intel RDT"),
        (["--mem-bw-schema", "MB:0=20"], "Intel RDT"),
        (["--memory", "lots"], "--memory"),
        (["--pids-limit", "x"], "pids-limit"),
    ] {
        update(&flags).expect_code(1).expect_error(words);
    }
}

#[test]
fn update_by_json_of_what_has_no_flag() {
    requires!(Controller("hugetlb"), Controller("memory"), HugePages, Krun);
    let s = Sandbox::new();
    let c = running(&s, json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MB}]}));
    let update =
        |value: runtime_tests::Value| s.call(["update", "-r", "-", &c.id]).input(&value.to_string()).run();
    update(json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MB}]})).expect_ok();
    assert_eq!(c.cgroup_file("hugetlb.2MB.max"), (2 * MB).to_string());
    update(json!({"unified": {"memory.high": (40 * MB).to_string()}})).expect_ok();
    assert_eq!(c.cgroup_file("memory.high"), (40 * MB).to_string());
    assert_eq!(c.cgroup_file("hugetlb.2MB.max"), (2 * MB).to_string(), "what isn't named stays");
    update(json!({"memory": {"swappiness": 5}})).expect_code(1).expect_error("memory.swappiness");
    update(json!({"memory": {"limit": "x"}})).expect_code(1).expect_error("memory.limit");
}

#[test]
fn a_memory_limit_above_the_usage_passes_the_check() {
    requires!(Controller("memory"), RuncLike, Spec(1, 1));
    let s = Sandbox::new();
    let c = running(&s, json!({"memory": {"limit": 64 * MB, "checkBeforeUpdate": true}}));
    let text = json!({"memory": {"limit": 48 * MB}}).to_string();
    s.call(["update", "-r", "-", &c.id]).input(&text).run().expect_ok();
    assert_eq!(c.cgroup_file("memory.max"), (48 * MB).to_string());
    // The flag of config.json stays in force.
    let text = json!({"memory": {"limit": 4096}}).to_string();
    s.call(["update", "-r", "-", &c.id])
        .input(&text)
        .run()
        .expect_code(1)
        .expect_error("rejecting memory limit");
}
