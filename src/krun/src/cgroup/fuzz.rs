//! Parsers of the kernel's texts, for runtime-tests/fuzz.

use std::path::PathBuf;

use super::{CgroupError, Events, PsiStats, RdmaMetrics};

/// The mount point of cgroup v2 in a mountinfo.
#[must_use]
pub fn mount_of_table(table: &str) -> Option<PathBuf> {
    super::path::mount_of_table(table)
}

/// A path below the mount point, normalised.
///
/// # Errors
/// It has none.
pub fn clean(path: &str) -> Result<String, CgroupError> {
    super::path::clean(path)
}

/// A cgroup.events.
#[must_use]
pub fn events(text: &str) -> Events {
    Events::parse(text)
}

/// A line of rdma.current or rdma.max.
#[must_use]
pub fn rdma_line(line: &str) -> Option<RdmaMetrics> {
    super::metrics::rdma_line(line)
}

/// A cpu.pressure and its like.
#[must_use]
pub fn psi_text(text: &str) -> PsiStats {
    super::metrics::psi_text(text)
}
