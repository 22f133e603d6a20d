//! The numbers of `events --stats` in the JSON that runc prints: same names,
//! same places, zeros left out where runc leaves them out. Times are
//! nanoseconds, sizes bytes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::metrics::{IoMetrics, MemoryMetrics, Metrics};
use super::{Cgroup, CgroupError};

fn zero(value: &u64) -> bool {
    *value == 0
}

/// The `data` of a `stats` event.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: Cpu,
    /// Always zeros on cgroup v2; runc prints them.
    pub cpuset: CpuSet,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    pub blkio: Blkio,
    /// Huge pages by size.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    /// Filled by the resctrl code, not here.
    pub intel_rdt: BTreeMap<String, serde_json::Value>,
    /// Always null, as in runc without its long gone network support.
    pub network_interfaces: Option<()>,
}

/// Averages in percent over 10, 60, 300 seconds, total in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PsiData {
    /// Over 10 s.
    pub avg10: f64,
    /// Over 60 s.
    pub avg60: f64,
    /// Over 300 s.
    pub avg300: f64,
    /// In all, microseconds.
    pub total: u64,
}

/// Pressure stall information.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PsiStats {
    /// Some task stalled.
    #[serde(skip_serializing_if = "PsiData::is_zero")]
    pub some: PsiData,
    /// All tasks stalled.
    #[serde(skip_serializing_if = "PsiData::is_zero")]
    pub full: PsiData,
}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Time used.
    pub usage: CpuUsage,
    /// Time denied by the quota.
    #[serde(skip_serializing_if = "Throttling::is_zero")]
    pub throttling: Throttling,
    /// cpu.pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<PsiStats>,
}

/// Processor time used, nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// In all.
    #[serde(skip_serializing_if = "zero")]
    pub total: u64,
    /// In the kernel.
    pub kernel: u64,
    /// In user mode.
    pub user: u64,
}

/// What the quota took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that ended.
    #[serde(skip_serializing_if = "zero")]
    pub periods: u64,
    /// Periods with throttling.
    #[serde(skip_serializing_if = "zero")]
    pub throttled_periods: u64,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "zero")]
    pub throttled_time: u64,
}

impl Throttling {
    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// cgroup v1's cpuset files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "constants that runc prints")]
pub struct CpuSet {
    pub cpu_exclusive: u64,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// One counter of memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// `u64::MAX` is unlimited.
    pub limit: u64,
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    /// Most ever.
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    /// Always 0 on v2.
    pub failcnt: u64,
}

impl MemoryEntry {
    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// Memory, bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache.
    #[serde(skip_serializing_if = "zero")]
    pub cache: u64,
    /// Without swap.
    #[serde(skip_serializing_if = "MemoryEntry::is_zero")]
    pub usage: MemoryEntry,
    /// Memory and swap together, as v1 counts.
    #[serde(skip_serializing_if = "MemoryEntry::is_zero")]
    pub swap: MemoryEntry,
    /// memory.stat.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// memory.pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<PsiStats>,
}

/// Processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub current: u64,
    /// 0 is unlimited.
    #[serde(skip_serializing_if = "zero")]
    pub limit: u64,
}

/// Block devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// io.pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<PsiStats>,
}

/// One counter of one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlkioEntry {
    /// The device's numbers.
    #[serde(skip_serializing_if = "zero")]
    pub major: u64,
    /// See `major`.
    #[serde(skip_serializing_if = "zero")]
    pub minor: u64,
    /// Read or Write.
    pub op: &'static str,
    /// Bytes or operations.
    #[serde(skip_serializing_if = "zero")]
    pub value: u64,
}

/// Huge pages of one size, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hugetlb {
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

impl Cgroup {
    /// The numbers for `events --stats`.
    ///
    /// # Errors
    /// A file is there but can't be read.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        self.metrics().map(|metrics| Stats::from(&metrics))
    }
}

impl From<&Metrics> for Stats {
    fn from(metrics: &Metrics) -> Self {
        let cpu = |key: &str| metrics.cpu.get(key).copied().unwrap_or(0);
        let hugetlb = metrics.hugetlb.iter().map(|(size, h)| {
            let entry = Hugetlb { usage: h.usage, failcnt: h.failures };
            (size.clone(), entry)
        });
        Self {
            cpu: Cpu {
                usage: CpuUsage {
                    total: cpu("usage_usec") * 1000,
                    kernel: cpu("system_usec") * 1000,
                    user: cpu("user_usec") * 1000,
                },
                throttling: Throttling {
                    periods: cpu("nr_periods"),
                    throttled_periods: cpu("nr_throttled"),
                    throttled_time: cpu("throttled_usec") * 1000,
                },
                psi: metrics.cpu_psi,
            },
            memory: Memory {
                psi: metrics.memory_psi,
                ..metrics.memory.as_ref().map(memory).unwrap_or_default()
            },
            pids: Pids { current: metrics.pids_current, limit: metrics.pids_limit },
            blkio: Blkio {
                io_service_bytes_recursive: io_entries(&metrics.io, "rbytes", "wbytes"),
                io_serviced_recursive: io_entries(&metrics.io, "rios", "wios"),
                psi: metrics.io_psi,
            },
            hugetlb: hugetlb.collect(),
            ..Self::default()
        }
    }
}

fn memory(metrics: &MemoryMetrics) -> Memory {
    let entry = |limit, usage, max| MemoryEntry { limit, usage, max, failcnt: 0 };
    // v1 counts memory and swap together; a peak of both can't be known.
    let both = match metrics.swap_limit {
        u64::MAX => u64::MAX,
        swap => swap.saturating_add(metrics.limit),
    };
    Memory {
        cache: metrics.stat.get("file").copied().unwrap_or(0),
        usage: entry(metrics.limit, metrics.usage, metrics.peak),
        swap: entry(both, metrics.usage + metrics.swap_usage, 0),
        raw: metrics.stat.clone(),
        psi: None,
    }
}

fn io_entries(devices: &[IoMetrics], read: &str, write: &str) -> Vec<BlkioEntry> {
    let mut entries = Vec::new();
    for device in devices {
        for (op, key) in [("Read", read), ("Write", write)] {
            if let Some(&value) = device.counters.get(key) {
                entries.push(BlkioEntry { major: device.major, minor: device.minor, op, value });
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn map(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs.iter().map(|&(k, v)| (k.to_owned(), v)).collect()
    }

    #[test]
    fn the_json_is_runcs() {
        let metrics = Metrics {
            pids_current: 3,
            cpu: map(&[("usage_usec", 5), ("user_usec", 2), ("system_usec", 3), ("nr_periods", 9)]),
            memory: Some(MemoryMetrics {
                stat: map(&[("anon", 1), ("file", 4096)]),
                usage: 8192,
                limit: u64::MAX,
                swap_limit: 100,
                ..MemoryMetrics::default()
            }),
            io: vec![IoMetrics { major: 8, minor: 0, counters: map(&[("rbytes", 7), ("wios", 1)]) }],
            ..Metrics::default()
        };
        let max = u64::MAX;
        let wanted = serde_json::json!({
            "cpu": {"usage": {"total": 5000, "kernel": 3000, "user": 2000}, "throttling": {"periods": 9}},
            "cpuset": {"cpu_exclusive": 0, "mem_hardwall": 0, "mem_exclusive": 0, "memory_migrate": 0,
                "memory_spread_page": 0, "memory_spread_slab": 0, "memory_pressure": 0,
                "sched_load_balance": 0, "sched_relax_domain_level": 0},
            "memory": {"cache": 4096, "usage": {"limit": max, "usage": 8192, "failcnt": 0},
                "swap": {"limit": max, "usage": 8192, "failcnt": 0}, "raw": {"anon": 1, "file": 4096}},
            "pids": {"current": 3},
            "blkio": {"ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 7}],
                "ioServicedRecursive": [{"major": 8, "op": "Write", "value": 1}]},
            "hugetlb": {},
            "intel_rdt": {},
            "network_interfaces": null
        });
        assert_eq!(serde_json::to_value(Stats::from(&metrics)).unwrap(), wanted);
    }
}
