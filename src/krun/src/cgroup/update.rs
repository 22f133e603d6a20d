//! `krun update`: new limits over the ones in force, by runc's rules. The
//! result is complete: it is what [`super::Cgroup::update`] writes and what
//! state.json keeps for the next time.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice, LinuxWeightDevice,
    LinuxWeightDeviceBuilder,
};

/// `new` over `old`: memory limits, shares, weights and per-device limits that
/// `new` doesn't name stay; of quota and period a missing one stays if the
/// other is given; pids, cpusets, burst, idle and `unified` are `new`'s alone.
/// Limits on huge pages and RDMA devices that `new` doesn't name stay.
#[must_use]
pub fn merge(old: &LinuxResources, new: &LinuxResources) -> LinuxResources {
    let mut merged = old.clone();
    merged.set_memory(Some(memory(old.memory().unwrap_or_default(), new.memory().unwrap_or_default())));
    let (old_cpu, new_cpu) = (old.cpu().clone(), new.cpu().clone());
    merged.set_cpu(Some(cpu(&old_cpu.unwrap_or_default(), new_cpu.unwrap_or_default())));
    let (old_io, new_io) = (old.block_io().clone(), new.block_io().clone());
    merged.set_block_io(Some(block_io(old_io.unwrap_or_default(), &new_io.unwrap_or_default())));
    merged.set_pids(*new.pids());
    merged.set_unified(new.unified().clone());
    merged.set_network(new.network().clone());
    if let Some(new) = new.hugepage_limits() {
        let mut all = old.hugepage_limits().clone().unwrap_or_default();
        all.retain(|limit| new.iter().all(|n| n.page_size() != limit.page_size()));
        all.extend(new.iter().cloned());
        merged.set_hugepage_limits(Some(all));
    }
    if let Some(new) = new.rdma() {
        let mut all = old.rdma().clone().unwrap_or_default();
        all.extend(new.iter().map(|(device, limit)| (device.clone(), *limit)));
        merged.set_rdma(Some(all));
    }
    merged
}

fn memory(mut old: LinuxMemory, new: LinuxMemory) -> LinuxMemory {
    if let (Some(-1), None) = (new.limit(), new.swap()) {
        // Unlimited memory lifts a limit on swap with it.
        old.set_swap(None);
    }
    for (value, set) in [
        (new.limit(), LinuxMemory::set_limit as fn(&mut LinuxMemory, Option<i64>) -> &mut LinuxMemory),
        (new.swap(), LinuxMemory::set_swap),
        (new.reservation(), LinuxMemory::set_reservation),
    ] {
        if value.is_some() {
            set(&mut old, value);
        }
    }
    if new.check_before_update().is_some() {
        old.set_check_before_update(new.check_before_update());
    }
    // Refused when they are applied.
    old.set_kernel_tcp(new.kernel_tcp()).set_swappiness(new.swappiness());
    old.set_disable_oom_killer(new.disable_oom_killer());
    old
}

fn cpu(old: &LinuxCpu, mut new: LinuxCpu) -> LinuxCpu {
    let quota = new.quota().filter(|&q| q != 0);
    let period = new.period().filter(|&p| p != 0);
    match (quota, period) {
        (Some(_), None) => {
            new.set_period(old.period());
        }
        (None, Some(_)) => {
            new.set_quota(old.quota());
        }
        _ => {}
    }
    // A cgroup that is idle refuses a weight, so idle alone must not bring the
    // old shares along.
    if new.shares().is_none() && new.idle().is_none() {
        new.set_shares(old.shares());
    }
    new
}

fn block_io(mut old: LinuxBlockIo, new: &LinuxBlockIo) -> LinuxBlockIo {
    if new.weight().is_some() {
        old.set_weight(new.weight());
    }
    if new.weight_device().is_some() {
        old.set_weight_device(Some(weights(old.weight_device().as_deref(), new.weight_device().as_deref())));
    }
    old.set_throttle_read_bps_device(rates(old.throttle_read_bps_device(), new.throttle_read_bps_device()));
    old.set_throttle_write_bps_device(rates(
        old.throttle_write_bps_device(),
        new.throttle_write_bps_device(),
    ));
    old.set_throttle_read_iops_device(rates(
        old.throttle_read_iops_device(),
        new.throttle_read_iops_device(),
    ));
    old.set_throttle_write_iops_device(rates(
        old.throttle_write_iops_device(),
        new.throttle_write_iops_device(),
    ));
    old
}

type Rates = Option<Vec<LinuxThrottleDevice>>;

/// Limits of `new` replace those of `old` for the same device.
fn rates(old: &Rates, new: &Rates) -> Rates {
    let Some(new) = new else { return old.clone() };
    let key = |device: &LinuxThrottleDevice| (device.major(), device.minor());
    let mut all = old.clone().unwrap_or_default();
    all.retain(|device| new.iter().all(|n| key(n) != key(device)));
    all.extend(new);
    Some(all)
}

/// The same for weights, of which a device has two.
fn weights(old: Option<&[LinuxWeightDevice]>, new: Option<&[LinuxWeightDevice]>) -> Vec<LinuxWeightDevice> {
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let same =
        |a: &LinuxWeightDevice, b: &LinuxWeightDevice| (a.major(), a.minor()) == (b.major(), b.minor());
    let mut all: Vec<_> = old.iter().filter(|o| !new.iter().any(|n| same(n, o))).copied().collect();
    for device in new {
        let before = old.iter().find(|o| same(o, device)).copied().unwrap_or_default();
        let mut builder = LinuxWeightDeviceBuilder::default().major(device.major()).minor(device.minor());
        if let Some(weight) = device.weight().or(before.weight()) {
            builder = builder.weight(weight);
        }
        if let Some(weight) = device.leaf_weight().or(before.leaf_weight()) {
            builder = builder.leaf_weight(weight);
        }
        all.push(builder.build().unwrap_or(*device));
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn merged(old: &str, new: &str) -> serde_json::Value {
        let parse = |json| serde_json::from_str(json).unwrap();
        serde_json::to_value(merge(&parse(old), &parse(new))).unwrap()
    }

    #[test]
    fn a_missing_quota_or_period_stays() {
        let old = r#"{"cpu":{"quota":50,"period":100,"shares":7,"cpus":"0"}}"#;
        let cpu = |new| merged(old, new)["cpu"].clone();
        let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(cpu(r#"{"cpu":{"quota":9}}"#), json(r#"{"quota":9,"period":100,"shares":7}"#));
        assert_eq!(cpu(r#"{"cpu":{"period":9}}"#), json(r#"{"quota":50,"period":9,"shares":7}"#));
        assert_eq!(cpu(r#"{"cpu":{"idle":1}}"#), json(r#"{"idle":1}"#));
        assert_eq!(cpu("{}"), json(r#"{"shares":7}"#));
    }

    #[test]
    fn memory_limits_stay_and_unlimited_lifts_swap() {
        let old = r#"{"memory":{"limit":10,"swap":20,"reservation":5}}"#;
        let memory = |new| merged(old, new)["memory"].clone();
        let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(memory(r#"{"memory":{"swap":30}}"#), json(r#"{"limit":10,"swap":30,"reservation":5}"#));
        assert_eq!(memory(r#"{"memory":{"limit":-1}}"#), json(r#"{"limit":-1,"reservation":5}"#));
    }

    #[test]
    fn devices_are_replaced_or_added() {
        let old = r#"{"blockIO":{"weight":100,
            "weightDevice":[{"major":8,"minor":0,"weight":1,"leafWeight":2}],
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1},{"major":8,"minor":1,"rate":2}]}}"#;
        let new = r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":9}],
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":9},{"major":9,"minor":0,"rate":3}]}}"#;
        let wanted = serde_json::json!({"weight": 100,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 9, "leafWeight": 2}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 2},
                {"major": 8, "minor": 0, "rate": 9}, {"major": 9, "minor": 0, "rate": 3}]});
        assert_eq!(merged(old, new)["blockIO"], wanted);
    }

    #[test]
    fn pids_and_unified_are_replaced_and_devices_kept() {
        let old = r#"{"pids":{"limit":5},"unified":{"a.b":"c"},"devices":[{"allow":true,"access":"r"}]}"#;
        let merged = merged(old, "{}");
        assert!(merged.get("pids").is_none() && merged.get("unified").is_none());
        assert_eq!(merged["devices"][0]["access"], "r");
    }
}
