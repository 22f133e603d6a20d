//! `linux.resources` as a list of writes to interface files, and those writes.
//! Rules and special values are runc's; but what cgroup v2 has no equivalent for
//! is refused, as crun does, where runc ignores it.

use std::borrow::Cow;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::CgroupError;
use super::convert::{cpu_weight, io_weight, swap_max};

/// When a write may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lenience {
    /// Never: the container must not run without the limit.
    Strict,
    /// When the file doesn't exist: the setting is what holds without it.
    IfMissing,
    /// When the value is refused: it comes again further down the list.
    IfInvalid,
}

/// One write(2) to one interface file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Write {
    /// The field it stems from, as a path in config.json.
    pub field: Cow<'static, str>,
    /// The interface file.
    pub file: Cow<'static, str>,
    /// What is written to it.
    pub value: String,
    /// When it may fail.
    pub lenience: Lenience,
}

/// The writes collected so far.
#[derive(Debug, Default)]
struct Writes(Vec<Write>);

impl Writes {
    fn push(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> &mut Write {
        self.0.push(Write {
            field: field.into(),
            file: file.into(),
            value: value.to_string(),
            lenience: Lenience::Strict,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

/// A field of config.json with a value that can't be applied.
pub(super) fn bad_value(field: impl Into<String>, reason: impl Into<String>) -> CgroupError {
    CgroupError::Value { field: field.into(), reason: reason.into() }
}

/// -1 and below is how v1 spelled "no limit".
fn limit(value: i64) -> String {
    match value {
        -1 => "max".to_owned(),
        value => value.to_string(),
    }
}

fn non_zero(value: Option<i64>) -> Option<i64> {
    value.filter(|&v| v != 0)
}

fn non_empty(value: Option<&String>) -> Option<&String> {
    value.filter(|v| !v.is_empty())
}

/// `linux.resources.memory`.
fn memory(memory: &LinuxMemory, writes: &mut Writes) -> Result<(), CgroupError> {
    let max = memory.limit().unwrap_or(0);
    let both = memory.swap().unwrap_or(0);
    let swap = swap_max(both, max).map_err(|reason| bad_value("linux.resources.memory.swap", reason))?;
    if let Some(swap) = swap {
        let write = writes.push("linux.resources.memory.swap", "memory.swap.max", limit(swap));
        // A host without swap has no such file, and nothing to limit.
        if matches!(swap, -1 | 0) {
            write.lenience = Lenience::IfMissing;
        }
    }
    if let Some(max) = non_zero(memory.limit()) {
        writes.push("linux.resources.memory.limit", "memory.max", limit(max));
    }
    if let Some(low) = non_zero(memory.reservation()) {
        writes.push("linux.resources.memory.reservation", "memory.low", limit(low));
    }
    Ok(())
}

/// Limits that only cgroup v1 had. 0 and -1 are how callers say that there is none.
#[allow(deprecated, reason = "refused, not used")]
fn refuse_v1_only(resources: &LinuxResources) -> Result<(), CgroupError> {
    let memory = resources.memory().unwrap_or_default();
    let cpu = resources.cpu().clone().unwrap_or_default();
    let io = resources.block_io().clone().unwrap_or_default();
    let network = resources.network().clone().unwrap_or_default();
    let amount = |limit: Option<i64>| limit.is_some_and(|limit| !matches!(limit, 0 | -1));
    let leaf = |weight: Option<u16>| weight.is_some_and(|weight| weight != 0);
    for (field, set) in [
        ("memory.kernel", amount(memory.kernel())),
        ("memory.kernelTCP", amount(memory.kernel_tcp())),
        ("memory.swappiness", memory.swappiness().is_some()),
        ("memory.disableOOMKiller", memory.disable_oom_killer() == Some(true)),
        // A cgroup always counts within those above it.
        ("memory.useHierarchy", memory.use_hierarchy() == Some(false)),
        ("cpu.realtimeRuntime", amount(cpu.realtime_runtime())),
        ("cpu.realtimePeriod", cpu.realtime_period().is_some_and(|period| period != 0)),
        ("blockIO.leafWeight", leaf(io.leaf_weight())),
        (
            "blockIO.weightDevice.leafWeight",
            io.weight_device().iter().flatten().any(|device| leaf(device.leaf_weight())),
        ),
        ("network.classID", network.class_id().is_some_and(|class| class != 0)),
        ("network.priorities", network.priorities().as_ref().is_some_and(|list| !list.is_empty())),
    ] {
        if set {
            return Err(bad_value(format!("linux.resources.{field}"), "cgroup v2 has no such limit"));
        }
    }
    Ok(())
}

/// `linux.resources.cpu`, cpusets included.
fn cpu(cpu: &LinuxCpu, writes: &mut Writes) {
    if let Some(idle) = cpu.idle() {
        writes.push("linux.resources.cpu.idle", "cpu.idle", idle);
    }
    if let Some(weight) = cpu.shares().and_then(cpu_weight) {
        writes.push("linux.resources.cpu.shares", "cpu.weight", weight);
    }
    let quota = non_zero(cpu.quota());
    let period = cpu.period().filter(|&p| p != 0);
    // A burst above the quota in force is refused, and so may be a quota below
    // the burst in force: try the burst first, and again after the quota.
    if let Some(burst) = cpu.burst() {
        let write = writes.push("linux.resources.cpu.burst", "cpu.max.burst", burst);
        if quota.is_some() {
            write.lenience = Lenience::IfInvalid;
        }
    }
    if quota.is_some() || period.is_some() {
        let quota = quota.filter(|&q| q > 0).map(|q| q.to_string());
        let quota = quota.as_deref().unwrap_or("max");
        let value = format!("{quota} {}", period.unwrap_or(100_000));
        let field = match cpu.quota() {
            Some(_) => "linux.resources.cpu.quota",
            None => "linux.resources.cpu.period",
        };
        writes.push(field, "cpu.max", value);
    }
    if let (Some(burst), Some(_)) = (cpu.burst(), quota) {
        writes.push("linux.resources.cpu.burst", "cpu.max.burst", burst);
    }
    if let Some(cpus) = non_empty(cpu.cpus().as_ref()) {
        writes.push("linux.resources.cpu.cpus", "cpuset.cpus", cpus);
    }
    if let Some(mems) = non_empty(cpu.mems().as_ref()) {
        writes.push("linux.resources.cpu.mems", "cpuset.mems", mems);
    }
}

/// runtime-spec, "Block IO": 10 to 1000; 0 is how callers say that there is none.
fn check_weight(field: &str, weight: Option<u16>) -> Result<(), CgroupError> {
    match weight {
        None | Some(0 | 10..=1000) => Ok(()),
        Some(weight) => Err(bad_value(field, format!("{weight} is out of range, 10 to 1000 expected"))),
    }
}

/// `linux.resources.blockIO`; `bfq` if the cgroup has io.bfq.weight.
fn block_io(io: &LinuxBlockIo, bfq: bool, writes: &mut Writes) -> Result<(), CgroupError> {
    check_weight("linux.resources.blockIO.weight", io.weight())?;
    let weight_of = |weight: Option<u16>| match bfq {
        true => weight.filter(|&w| w != 0).map(u64::from),
        false => weight.and_then(io_weight),
    };
    let file = if bfq { "io.bfq.weight" } else { "io.weight" };
    if let Some(weight) = weight_of(io.weight()) {
        writes.push("linux.resources.blockIO.weight", file, weight);
    }
    for (i, device) in io.weight_device().iter().flatten().enumerate() {
        check_weight(&format!("linux.resources.blockIO.weightDevice[{i}].weight"), device.weight())?;
        if let Some(weight) = weight_of(device.weight()) {
            let field = format!("linux.resources.blockIO.weightDevice[{i}]");
            let value = format!("{}:{} {weight}", device.major(), device.minor());
            writes.push(field, file, value);
        }
    }
    let tables: [(&str, &str, &Option<Vec<LinuxThrottleDevice>>); 4] = [
        ("throttleReadBpsDevice", "rbps", io.throttle_read_bps_device()),
        ("throttleWriteBpsDevice", "wbps", io.throttle_write_bps_device()),
        ("throttleReadIOPSDevice", "riops", io.throttle_read_iops_device()),
        ("throttleWriteIOPSDevice", "wiops", io.throttle_write_iops_device()),
    ];
    for (name, key, devices) in tables {
        for (i, device) in devices.iter().flatten().enumerate() {
            let field = format!("linux.resources.blockIO.{name}[{i}]");
            // 0 lifts the limit, as in v1.
            let rate = match device.rate() {
                0 => "max".to_owned(),
                rate => rate.to_string(),
            };
            let value = format!("{}:{} {key}={rate}", device.major(), device.minor());
            writes.push(field, "io.max", value);
        }
    }
    Ok(())
}

/// `linux.resources.hugepageLimits` and `.rdma`.
fn hugetlb_and_rdma(resources: &LinuxResources, writes: &mut Writes) -> Result<(), CgroupError> {
    for (i, huge) in resources.hugepage_limits().iter().flatten().enumerate() {
        let field = format!("linux.resources.hugepageLimits[{i}]");
        let size = huge.page_size();
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(bad_value(field, format!("invalid pageSize {size:?}")));
        }
        if huge.limit() < 0 {
            let text = format!("{} is no number of bytes; leaving the entry out is no limit", huge.limit());
            return Err(bad_value(format!("{field}.limit"), text));
        }
        writes.push(field.clone(), format!("hugetlb.{size}.max"), limit(huge.limit()));
        // Reservations count since Linux 5.7.
        writes.push(field, format!("hugetlb.{size}.rsvd.max"), limit(huge.limit())).lenience =
            Lenience::IfMissing;
    }
    for (device, rdma) in resources.rdma().iter().flatten() {
        if device.is_empty() || device.contains(char::is_whitespace) {
            return Err(bad_value("linux.resources.rdma", format!("{device:?} is no name of a device")));
        }
        if rdma.hca_handles().is_none() && rdma.hca_objects().is_none() {
            let text = "hcaHandles or hcaObjects expected, or both";
            return Err(bad_value(format!("linux.resources.rdma.{device}"), text));
        }
        let mut value = device.clone();
        for (key, max) in [("hca_handle", rdma.hca_handles()), ("hca_object", rdma.hca_objects())] {
            if let Some(max) = max {
                value.push_str(&format!(" {key}={max}"));
            }
        }
        writes.push(format!("linux.resources.rdma.{device}"), "rdma.max", value);
    }
    Ok(())
}

/// What decides who is in the container and whether it runs: one that is frozen could never be started.
const OWN_FILES: [&str; 4] = ["cgroup.freeze", "cgroup.kill", "cgroup.procs", "cgroup.threads"];

/// `linux.resources.unified`: any file, last, so that it wins. A value of
/// several lines is as many writes.
fn unified(resources: &LinuxResources, writes: &mut Writes) -> Result<(), CgroupError> {
    let mut entries: Vec<_> = resources.unified().iter().flatten().collect();
    entries.sort();
    for (key, value) in entries {
        let field = format!("linux.resources.unified[{key:?}]");
        if key.contains('/') {
            let text = format!("unified resource {key:?} must be a file name (no slashes)");
            return Err(bad_value(field, text));
        }
        if key.find('.').is_none_or(|at| at == 0) {
            let text = format!("unified resource {key:?} must be in the form CONTROLLER.PARAMETER");
            return Err(bad_value(field, text));
        }
        if OWN_FILES.contains(&key.as_str()) {
            return Err(bad_value(field, format!("{key} is the runtime's own, not a limit")));
        }
        if value.trim().is_empty() {
            return Err(bad_value(field, "the value is empty, nothing would be written"));
        }
        for line in value.lines() {
            writes.push(field.clone(), key.clone(), line);
        }
    }
    Ok(())
}

/// All writes that `resources` asks for, in order.
pub(super) fn writes(resources: &LinuxResources, bfq: bool) -> Result<Vec<Write>, CgroupError> {
    refuse_v1_only(resources)?;
    let mut writes = Writes::default();
    if let Some(pids) = resources.pids() {
        let value = match pids.limit() {
            // systemd can't set 0, so both drivers make it 1.
            0 => "1".to_owned(),
            max if max < 0 => "max".to_owned(),
            max => max.to_string(),
        };
        writes.push("linux.resources.pids.limit", "pids.max", value);
    }
    if let Some(it) = resources.memory() {
        memory(it, &mut writes)?;
    }
    if let Some(it) = resources.block_io() {
        block_io(it, bfq, &mut writes)?;
    }
    if let Some(it) = resources.cpu() {
        cpu(it, &mut writes);
    }
    hugetlb_and_rdma(resources, &mut writes)?;
    unified(resources, &mut writes)?;
    Ok(writes.0)
}

/// Checks all values that can be checked without a cgroup: what `krun check`
/// reports, and what fails before anything is made.
///
/// # Errors
/// The first field that cgroup v2 can't honour.
pub fn validate(resources: &LinuxResources) -> Result<(), CgroupError> {
    writes(resources, false)?;
    super::devices::program(resources).map(drop)
}

/// Controllers beyond doubt needed for `resources`, without doubles.
#[must_use]
pub fn controllers(resources: &LinuxResources) -> Vec<&'static str> {
    const KNOWN: [&str; 9] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc", "dmem"];
    let files = writes(resources, false).unwrap_or_default();
    let uses = |name: &&str| {
        files.iter().any(|w| w.file.strip_prefix(*name).is_some_and(|rest| rest.starts_with('.')))
    };
    KNOWN.into_iter().filter(uses).collect()
}

/// Whether `resources` needs a controller that a threaded cgroup can't have.
pub(super) fn needs_domain(resources: &LinuxResources) -> bool {
    controllers(resources).iter().any(|name| matches!(*name, "memory" | "io" | "hugetlb"))
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
