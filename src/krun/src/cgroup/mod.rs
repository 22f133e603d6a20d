//! cgroup v2: the container's cgroup, its limits, its device filter, its end.
//!
//! [`locate`] says where the cgroup belongs, [`Cgroup::create`] (or, with the
//! systemd driver, [`Cgroup::start_scope`]) makes it, [`Cgroup::apply`] sets the
//! limits. Later commands [`Cgroup::open`] it again from the [`Location`] in
//! state.json. Interface files are opened relative to the cgroup's directory.

mod apply;
mod bpf_asm;
mod controller;
mod convert;
mod devices;
mod error;
mod events;
mod file;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod metrics;
mod path;
mod procs;
mod resources;
pub mod stats;
pub mod systemd;
mod tree;
mod update;
mod walk;

pub use error::CgroupError;
pub use events::{Events, Freezers, is_frozen};
pub use metrics::{HugetlbMetrics, IoMetrics, MemoryMetrics, Metrics, RdmaMetrics};
pub use path::{Driver, Location, Scope, locate, mountpoint, own};
pub use resources::{controllers as needed_controllers, validate};
pub use stats::{PsiData, PsiStats, Stats};
pub use tree::{Cgroup, delete};
pub use update::merge;
