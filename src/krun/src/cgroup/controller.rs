//! The controllers of cgroup v2: which are there, which a cgroup's children
//! get, and why one is missing.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::Location;
use super::file::{open_dir, read_short, write_at};

/// What every container's cgroup gets when the host has it: engines read
/// usage from these, and a container that manages cgroups expects them.
/// The others (hugetlb, rdma, misc, …) come with a limit that needs them.
const STANDARD: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// Whether the text of a cgroup.controllers file lists `name`.
pub(super) fn lists(controllers: &str, name: &str) -> bool {
    controllers.split_ascii_whitespace().any(|c| c == name)
}

/// Enables the standard controllers and `extra` in every cgroup from the mount
/// point down to the parent of `location`, as far as the kernel has them and
/// lets us. Reads two files and writes nothing when all is enabled already.
/// What could not be enabled shows when a limit is set: see [`missing`].
pub(super) fn enable(location: &Location, leaf: impl AsFd, extra: &[&'static str]) {
    let mut root_buf = [0; 256];
    let root = location.mount.join("cgroup.controllers");
    let Ok(available) = read_short(AT_FDCWD, &root, &mut root_buf) else {
        return;
    };
    let mut wanted = STANDARD.iter().chain(extra).filter(|name| lists(available, name)).peekable();
    if wanted.peek().is_none() {
        return;
    }
    let mut leaf_buf = [0; 256];
    let enabled = read_short(leaf.as_fd(), "cgroup.controllers", &mut leaf_buf).unwrap_or("");
    let missing: Vec<&str> = wanted.copied().filter(|name| !lists(enabled, name)).collect();
    if missing.is_empty() {
        return;
    }
    let mut dir = location.mount.to_string_lossy().into_owned();
    let parents = location.path.trim_start_matches('/').split('/');
    for part in parents {
        enable_in(&dir, &missing);
        dir.push('/');
        dir.push_str(part);
    }
}

/// Enables the controllers `names` for the children of the cgroup `dir`: all
/// in one write, and where one of them is refused, one by one.
fn enable_in(dir: &str, names: &[&str]) {
    let Ok(dir) = open_dir(dir) else { return };
    let mut all = String::with_capacity(64);
    for name in names {
        all.push('+');
        all.push_str(name);
        all.push(' ');
    }
    if write_at(dir.as_fd(), "cgroup.subtree_control", all.as_bytes()).is_ok() {
        return;
    }
    for name in names {
        let _ = write_at(dir.as_fd(), "cgroup.subtree_control", format!("+{name}").as_bytes());
    }
}

/// Why the cgroup at `location` has no files of `controller`: the end of a
/// sentence that starts with "the X controller". `None` if it has it.
pub(super) fn missing(location: &Location, controller: &str) -> Option<String> {
    if matches!(controller, "cgroup" | "irq") {
        return None;
    }
    let mut dir = location.mount.to_string_lossy().into_owned();
    let root = open_dir(&dir).ok()?;
    let mut buf = [0; 256];
    let available = read_short(root.as_fd(), "cgroup.controllers", &mut buf).ok()?;
    if !lists(available, controller) {
        return Some(match mounted_as_v1(controller) {
            true => "is not available in cgroup v2 on this host (it is mounted as cgroup v1)".into(),
            false => "is not available in this kernel's cgroup v2".to_owned(),
        });
    }
    for part in location.path.trim_start_matches('/').split('/') {
        let parent = open_dir(&dir).ok()?;
        let mut buf = [0; 256];
        let enabled = read_short(parent.as_fd(), "cgroup.subtree_control", &mut buf).ok()?;
        if !lists(enabled, controller) {
            let order = format!("+{controller}");
            let tried = write_at(parent.as_fd(), "cgroup.subtree_control", order.as_bytes());
            return Some(refusal(&dir, tried));
        }
        dir.push('/');
        dir.push_str(part);
    }
    None
}

/// Why `dir` does not pass a controller on, from a last try to enable it.
fn refusal(dir: &str, tried: Result<(), Errno>) -> String {
    match tried {
        Err(Errno::EBUSY) => {
            format!("can't be enabled below {dir}, which has processes of its own (cgroups(7))")
        }
        Err(errno @ (Errno::EACCES | Errno::EPERM)) => {
            let text = errno.desc().to_ascii_lowercase();
            format!("is not delegated: cannot write {dir}/cgroup.subtree_control: {text}")
        }
        Err(Errno::ENOENT) => format!("is not enabled in {dir}"),
        Err(errno) => {
            format!("is not enabled in {dir}/cgroup.subtree_control: {}", errno.desc().to_ascii_lowercase())
        }
        Ok(()) => format!("was not enabled in {dir}/cgroup.subtree_control until now"),
    }
}

/// Whether a cgroup v1 hierarchy holds the controller on this host.
fn mounted_as_v1(controller: &str) -> bool {
    let v1 = match controller {
        "io" => "blkio",
        other => other,
    };
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().any(|line| {
        line.split_once(" - ")
            .filter(|(_, source)| source.starts_with("cgroup "))
            .and_then(|(_, source)| source.rsplit_once(' '))
            .is_some_and(|(_, options)| options.split(',').any(|o| o == v1))
    })
}
