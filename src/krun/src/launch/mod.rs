//! From a bundle (or a process description) to a running process.
//!
//! [`create`] and [`run`] read the bundle, make the cgroup, build the plan and
//! hand it to the spawner; [`start`] opens the gate; [`exec`] does the same for
//! a process in a container that exists. The command line and the shim call
//! nothing else.

mod affinity;
mod agent;
mod birth;
mod born;
mod cgroup_owner;
mod create;
mod deliver;
mod ending;
mod error;
mod exec;
mod exec_process;
mod filter;
mod foreground;
pub mod hooks;
mod idmap;
mod inherited;
mod intel_rdt;
mod limits;
mod namespaces;
mod net_devices;
mod netlink;
mod notify;
pub mod options;
mod program;
mod record;
mod remove;
mod render;
mod rootfs_bind;
mod run;
mod spawn;
mod start;
mod streams;
mod terminal;
mod timing;
mod tree_namespace;
mod trees;

pub use agent::Agent;
pub use create::{Created, create};
pub use error::LaunchError;
pub use exec::{Executed, exec, exec_wait};
pub use options::{
    CgroupDriver, CreateOptions, ExecOptions, ExecProcess, Host, Io, ProcessOverrides, Rootless, RunOptions,
};
pub use program::memfd as init_program;
pub use remove::remove;
pub use run::run;
pub use start::start;
