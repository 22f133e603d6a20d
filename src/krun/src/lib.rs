//! krun as a library: everything the command and the containerd shim share.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod cgroup;
mod chain;
pub mod check;
pub mod clock;
pub mod container;
pub mod features;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod host;
pub mod launch;
pub mod log;
pub mod pidfd;
pub mod plan;
mod shown;
pub mod state;
pub mod userns;
mod words;

pub use chain::{chain, errno_text};
pub use shown::{is_obeyed, shown, shown_json};
