//! From a bundle (or a process description) to a running process.
pub mod options;

pub use options::{
    CgroupDriver, CreateOptions, ExecOptions, ExecProcess, Host, ProcessOverrides, Rootless, RunOptions,
};
