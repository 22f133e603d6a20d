//! The integration tests: each starts real containers and looks from inside.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod attacks;
mod bind_mounts;
mod capabilities;
mod cgroups;
mod cli;
mod delegation;
mod devices;
mod errors;
mod escape;
mod exec;
mod faults;
mod hooks;
mod host_devices;
mod host_side;
mod inherited;
mod labels;
mod lifecycle;
mod limits;
mod malformed;
mod mount_options;
mod mount_order;
mod mounts;
mod namespaces;
mod network;
mod notify;
mod plan_check;
mod privileges;
mod process;
mod rootfs;
mod rootless;
mod scheduling;
mod seccomp;
mod security;
mod state;
mod stress;
mod systemd;
mod systemd_limits;
mod systemd_user;
mod terminal;
mod update;
mod userns;

/// Sorted strings of a JSON array.
fn strings(v: &runtime_tests::Value) -> Vec<String> {
    let list = v.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut list: Vec<String> = list.iter().filter_map(|s| s.as_str().map(str::to_owned)).collect();
    list.sort();
    list
}

/// The mount on a target of a report, the topmost one.
fn mount_on(report: &runtime_tests::Value, target: &str) -> runtime_tests::Value {
    let all = report["mounts"].as_array().expect("mountinfo");
    all.iter().rfind(|m| m["target"] == target).cloned().unwrap_or_default()
}

/// Whether a mount has an option.
fn has_option(mount: &runtime_tests::Value, option: &str) -> bool {
    mount["options"].as_array().is_some_and(|o| o.iter().any(|x| x == option))
}
