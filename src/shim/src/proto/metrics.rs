//! `io.containerd.cgroups.v2.Metrics`: what Stats answers with.

use std::collections::BTreeMap;

use krun::cgroup::{HugetlbMetrics, IoMetrics, MemoryMetrics, Metrics, PsiData, PsiStats, RdmaMetrics};

use super::wire::Writer;

/// Names in `cpu.stat`, with their fields.
const CPU: &[(&str, u32)] = &[
    ("usage_usec", 1),
    ("user_usec", 2),
    ("system_usec", 3),
    ("nr_periods", 4),
    ("nr_throttled", 5),
    ("throttled_usec", 6),
    ("nr_bursts", 8),
    ("burst_usec", 9),
];

/// Names in `memory.stat`, from field 1 on.
const MEMORY: &[&str] = &[
    "anon",
    "file",
    "kernel_stack",
    "slab",
    "sock",
    "shmem",
    "file_mapped",
    "file_dirty",
    "file_writeback",
    "anon_thp",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "slab_reclaimable",
    "slab_unreclaimable",
    "pgfault",
    "pgmajfault",
    "workingset_refault",
    "workingset_activate",
    "workingset_nodereclaim",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "pgactivate",
    "pgdeactivate",
    "pglazyfree",
    "pglazyfreed",
    "thp_fault_alloc",
    "thp_collapse_alloc",
];

/// Names in `memory.events`, from field 1 on.
const EVENTS: &[&str] = &["low", "high", "max", "oom", "oom_kill", "oom_group_kill"];
/// Names in a line of `io.stat`, from field 3 on.
const IO: &[&str] = &["rbytes", "wbytes", "rios", "wios"];

/// Encodes the counters of a cgroup.
pub fn encode(metrics: &Metrics) -> Vec<u8> {
    let mut w = Writer::new();
    let mut pids = Writer::new();
    pids.uint(1, metrics.pids_current);
    pids.uint(2, metrics.pids_limit);
    w.message(1, &pids.finish());
    w.message(2, &cpu(&metrics.cpu, metrics.cpu_psi.as_ref()));
    if let Some(m) = &metrics.memory {
        w.message(4, &memory(m, metrics.memory_psi.as_ref()));
        let mut events = Writer::new();
        counters(&mut events, EVENTS, 1, &m.events);
        w.message(8, &events.finish());
    }
    if !metrics.rdma_current.is_empty() || !metrics.rdma_limit.is_empty() {
        w.message(5, &rdma(&metrics.rdma_current, &metrics.rdma_limit));
    }
    w.message(6, &io(&metrics.io, metrics.io_psi.as_ref()));
    for (size, pages) in &metrics.hugetlb {
        w.message(7, &hugetlb(size, pages));
    }
    w.finish()
}

fn counters(w: &mut Writer, names: &[&str], first: u32, values: &BTreeMap<String, u64>) {
    for (name, number) in names.iter().zip(first..) {
        w.uint(number, values.get(*name).copied().unwrap_or_default());
    }
}

fn cpu(stat: &BTreeMap<String, u64>, pressure: Option<&PsiStats>) -> Vec<u8> {
    let mut w = Writer::new();
    for (name, number) in CPU {
        w.uint(*number, stat.get(*name).copied().unwrap_or_default());
    }
    psi(&mut w, 7, pressure);
    w.finish()
}

fn memory(m: &MemoryMetrics, pressure: Option<&PsiStats>) -> Vec<u8> {
    let mut w = Writer::new();
    counters(&mut w, MEMORY, 1, &m.stat);
    let numbers = [m.usage, m.limit, m.swap_usage, m.swap_limit, m.peak, m.swap_peak];
    for (value, number) in numbers.into_iter().zip(32..) {
        w.uint(number, value);
    }
    psi(&mut w, 38, pressure);
    w.finish()
}

fn io(devices: &[IoMetrics], pressure: Option<&PsiStats>) -> Vec<u8> {
    let mut w = Writer::new();
    for device in devices {
        let mut entry = Writer::new();
        entry.uint(1, device.major);
        entry.uint(2, device.minor);
        counters(&mut entry, IO, 3, &device.counters);
        w.message(1, &entry.finish());
    }
    psi(&mut w, 2, pressure);
    w.finish()
}

fn hugetlb(size: &str, pages: &HugetlbMetrics) -> Vec<u8> {
    let mut w = Writer::new();
    w.uint(1, pages.usage);
    w.uint(2, pages.limit);
    w.text(3, size);
    w.uint(4, pages.failures);
    w.finish()
}

fn rdma(current: &[RdmaMetrics], limit: &[RdmaMetrics]) -> Vec<u8> {
    let mut w = Writer::new();
    for (number, entries) in [(1, current), (2, limit)] {
        for entry in entries {
            let mut e = Writer::new();
            e.text(1, &entry.device);
            e.uint(2, u64::from(entry.handles));
            e.uint(3, u64::from(entry.objects));
            w.message(number, &e.finish());
        }
    }
    w.finish()
}

fn psi(w: &mut Writer, number: u32, stats: Option<&PsiStats>) {
    let Some(stats) = stats else { return };
    let data = |d: &PsiData| {
        let mut w = Writer::new();
        w.double(1, d.avg10);
        w.double(2, d.avg60);
        w.double(3, d.avg300);
        w.uint(4, d.total);
        w.finish()
    };
    let mut both = Writer::new();
    both.message(1, &data(&stats.some));
    both.message(2, &data(&stats.full));
    w.message(number, &both.finish());
}
