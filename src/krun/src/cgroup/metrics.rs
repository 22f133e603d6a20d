//! What the kernel counts for a cgroup, as it counts it: the raw numbers from
//! which runc's `events --stats` ([`super::Stats`]) and containerd's
//! `io.containerd.cgroups.v2.Metrics` are made. A file that isn't there
//! (controller not enabled, older kernel) leaves zeros or `None`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use cgroups_rs::fs::hugetlb::HugeTlbController;
use cgroups_rs::fs::{flat_keyed_to_hashmap, nested_keyed_to_hashmap};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::file::{open_at, read_at, read_short};
use super::stats::{PsiData, PsiStats};
use super::{Cgroup, CgroupError};

/// The raw numbers of a cgroup.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Processes and threads: pids.current, else the lines of cgroup.procs.
    pub pids_current: u64,
    /// pids.max; 0 is unlimited.
    pub pids_limit: u64,
    /// cpu.stat, by its keys (microseconds and counts).
    pub cpu: BTreeMap<String, u64>,
    /// cpu.pressure.
    pub cpu_psi: Option<PsiStats>,
    /// The memory controller's numbers, if it is enabled.
    pub memory: Option<MemoryMetrics>,
    /// memory.pressure.
    pub memory_psi: Option<PsiStats>,
    /// io.stat, one entry per device.
    pub io: Vec<IoMetrics>,
    /// io.pressure.
    pub io_psi: Option<PsiStats>,
    /// hugetlb, by page size ("2MB").
    pub hugetlb: BTreeMap<String, HugetlbMetrics>,
    /// rdma.current.
    pub rdma_current: Vec<RdmaMetrics>,
    /// rdma.max; `u32::MAX` is unlimited.
    pub rdma_limit: Vec<RdmaMetrics>,
}

/// The memory controller's numbers, in bytes; `u64::MAX` is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryMetrics {
    /// memory.stat, by its keys.
    pub stat: BTreeMap<String, u64>,
    /// memory.events, by its keys.
    pub events: BTreeMap<String, u64>,
    /// memory.current.
    pub usage: u64,
    /// memory.max.
    pub limit: u64,
    /// memory.peak (Linux 5.19).
    pub peak: u64,
    /// memory.swap.current.
    pub swap_usage: u64,
    /// memory.swap.max; 0 without swap accounting.
    pub swap_limit: u64,
    /// memory.swap.peak (Linux 6.5).
    pub swap_peak: u64,
}

/// One block device of io.stat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IoMetrics {
    /// The device's numbers.
    pub major: u64,
    /// See `major`.
    pub minor: u64,
    /// The device's counters, by their keys: rbytes, wbytes, rios, wios, …
    pub counters: BTreeMap<String, u64>,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HugetlbMetrics {
    /// hugetlb.SIZE.rsvd.current, or .current before Linux 5.7.
    pub usage: u64,
    /// hugetlb.SIZE.max; `u64::MAX` is unlimited.
    pub limit: u64,
    /// How often the limit was hit.
    pub failures: u64,
}

/// One RDMA device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RdmaMetrics {
    /// The device's name.
    pub device: String,
    /// hca_handle.
    pub handles: u32,
    /// hca_object.
    pub objects: u32,
}

impl Cgroup {
    /// Reads all numbers of the cgroup.
    ///
    /// # Errors
    /// A file is there but can't be read.
    pub fn metrics(&self) -> Result<Metrics, CgroupError> {
        let mut metrics = Metrics {
            cpu: self.flat("cpu.stat")?,
            cpu_psi: self.psi("cpu.pressure")?,
            memory: self.memory()?,
            memory_psi: self.psi("memory.pressure")?,
            io: self.io()?,
            io_psi: self.psi("io.pressure")?,
            hugetlb: self.hugetlb()?,
            rdma_current: self.rdma("rdma.current")?,
            rdma_limit: self.rdma("rdma.max")?,
            ..Metrics::default()
        };
        match self.number("pids.current")? {
            Some(current) => {
                metrics.pids_current = current;
                let limit = self.number("pids.max")?.unwrap_or(u64::MAX);
                metrics.pids_limit = if limit == u64::MAX { 0 } else { limit };
            }
            None => metrics.pids_current = self.pids(false)?.len() as u64,
        }
        Ok(metrics)
    }

    /// A file with one number or "max"; `None` if it isn't there.
    fn number(&self, name: &str) -> Result<Option<u64>, CgroupError> {
        let mut buf = [0; 32];
        match read_short(self.dir(), name, &mut buf) {
            Ok("max") => Ok(Some(u64::MAX)),
            Ok(text) => text.parse().map(Some).map_err(|_| CgroupError::Parse {
                file: self.location().dir().join(name),
                text: text.to_owned(),
            }),
            // EOPNOTSUPP: some files of a threaded cgroup.
            Err(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.error("read", name, errno)),
        }
    }

    fn opened(&self, name: &str) -> Result<Option<File>, CgroupError> {
        match open_at(self.dir(), name, OFlag::O_RDONLY) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// A file of `KEY VALUE` lines.
    fn flat(&self, name: &str) -> Result<BTreeMap<String, u64>, CgroupError> {
        let Some(file) = self.opened(name)? else {
            return Ok(BTreeMap::new());
        };
        let lines = flat_keyed_to_hashmap(file).map_err(|_| self.error("read", name, Errno::EIO))?;
        Ok(unsigned(lines))
    }

    fn memory(&self) -> Result<Option<MemoryMetrics>, CgroupError> {
        let Some(usage) = self.number("memory.current")? else {
            return Ok(None);
        };
        let or_zero = |name| self.number(name).map(Option::unwrap_or_default);
        Ok(Some(MemoryMetrics {
            stat: self.flat("memory.stat")?,
            events: self.flat("memory.events")?,
            usage,
            limit: or_zero("memory.max")?,
            peak: or_zero("memory.peak")?,
            swap_usage: or_zero("memory.swap.current")?,
            swap_limit: or_zero("memory.swap.max")?,
            swap_peak: or_zero("memory.swap.peak")?,
        }))
    }

    fn io(&self) -> Result<Vec<IoMetrics>, CgroupError> {
        let Some(file) = self.opened("io.stat")? else {
            return Ok(Vec::new());
        };
        let table = nested_keyed_to_hashmap(file).map_err(|_| self.error("read", "io.stat", Errno::EIO))?;
        let mut devices: Vec<IoMetrics> = table
            .into_iter()
            .filter_map(|(device, counters)| {
                let (major, minor) = device.split_once(':')?;
                Some(IoMetrics {
                    major: major.parse().ok()?,
                    minor: minor.parse().ok()?,
                    counters: unsigned(counters),
                })
            })
            .collect();
        devices.sort_by_key(|device| (device.major, device.minor));
        Ok(devices)
    }

    fn hugetlb(&self) -> Result<BTreeMap<String, HugetlbMetrics>, CgroupError> {
        let mut pages = BTreeMap::new();
        let host = HugeTlbController::new(PathBuf::new(), PathBuf::new(), true);
        for size in host.get_sizes() {
            let usage = match self.number(&format!("hugetlb.{size}.rsvd.current"))? {
                Some(reserved) => Some(reserved),
                None => self.number(&format!("hugetlb.{size}.current"))?,
            };
            let Some(usage) = usage else { continue };
            let limit = self.number(&format!("hugetlb.{size}.max"))?;
            let events = self.flat(&format!("hugetlb.{size}.events"))?;
            let metrics = HugetlbMetrics {
                usage,
                limit: limit.unwrap_or(u64::MAX),
                failures: events.get("max").copied().unwrap_or(0),
            };
            pages.insert(size, metrics);
        }
        Ok(pages)
    }

    fn rdma(&self, name: &str) -> Result<Vec<RdmaMetrics>, CgroupError> {
        match read_at(self.dir(), name) {
            Ok(text) => Ok(text.lines().filter_map(rdma_line).collect()),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(Vec::new()),
            Err(errno) => Err(self.error("read", name, errno)),
        }
    }

    /// Pressure stall information (Linux 4.20); `None` where it is off.
    fn psi(&self, name: &str) -> Result<Option<PsiStats>, CgroupError> {
        match read_at(self.dir(), name) {
            Ok(text) => Ok(Some(psi_text(&text))),
            Err(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.error("read", name, errno)),
        }
    }
}

fn unsigned(map: impl IntoIterator<Item = (String, i64)>) -> BTreeMap<String, u64> {
    map.into_iter().filter_map(|(k, v)| Some((k, u64::try_from(v).ok()?))).collect()
}

/// `mlx4_0 hca_handle=2 hca_object=max`
pub(super) fn rdma_line(line: &str) -> Option<RdmaMetrics> {
    let mut words = line.split_ascii_whitespace();
    let mut metrics = RdmaMetrics { device: words.next()?.to_owned(), ..RdmaMetrics::default() };
    for word in words {
        let (key, value) = word.split_once('=')?;
        let value = match value {
            "max" => u32::MAX,
            value => value.parse().ok()?,
        };
        match key {
            "hca_handle" => metrics.handles = value,
            "hca_object" => metrics.objects = value,
            _ => {}
        }
    }
    Some(metrics)
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, then `full …`.
pub(super) fn psi_text(text: &str) -> PsiStats {
    let mut stats = PsiStats::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let data = match words.next() {
            Some("some") => &mut stats.some,
            Some("full") => &mut stats.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let average = || value.parse().unwrap_or(0.0);
            match key {
                "avg10" => data.avg10 = average(),
                "avg60" => data.avg60 = average(),
                "avg300" => data.avg300 = average(),
                "total" => data.total = value.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    stats
}

impl PsiData {
    pub(super) fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let rdma = rdma_line("mlx4_0 hca_handle=2 hca_object=max");
        let wanted = RdmaMetrics { device: "mlx4_0".to_owned(), handles: 2, objects: u32::MAX };
        assert_eq!(rdma, Some(wanted));
        let psi = psi_text(
            "some avg10=1.50 avg60=0.00 avg300=2.25 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        );
        assert_eq!((psi.some.avg10, psi.some.avg300, psi.some.total), (1.5, 2.25, 77));
        assert!(psi.full.is_zero());
    }
}
