//! Harness of the integration tests: bundles, runtimes, containers, and what
//! the probe says from inside. Nothing here knows krun: `KRUN_UNDER_TEST`
//! names the runtime, any OCI one.
//!
//! At run time only environment variables matter, never cargo, so that the
//! same test program runs in a virtual machine: `KRUN_UNDER_TEST` (the
//! runtime), `KRUN_PROBE`, `KRUN_BUSYBOX`, `KRUN_TEST_TMP` (a directory on a
//! disk or tmpfs), `KRUN_TEST_SKIPS` (a file that skips are appended to).

pub mod bundle;
pub mod config;
pub mod container;
pub mod elf;
pub mod errno;
pub mod host;
pub mod invocation;
pub mod leftovers;
pub mod mountinfo;
pub mod raw;
pub mod require;
pub mod runtime;
pub mod sandbox;
pub mod syscalls;
pub mod user;

pub use config::Config;
pub use container::Container;
pub use invocation::Output;
pub use require::Need;
pub use sandbox::Sandbox;
pub use serde_json::{Value, json};
pub use user::User;
