//! Facts about the host, and the private view of it that a test works in.

use crate::raw;
use std::cell::Cell;
use std::fs;
use std::path::Path;

/// Where every test sees a pure cgroup v2 hierarchy.
pub const CGROUPS: &str = "/sys/fs/cgroup";
const CGROUP2_MAGIC: i64 = 0x6367_7270;

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// Gives this thread, and what it starts, a mount namespace of its own with
/// cgroup v2 alone at /sys/fs/cgroup. What a test mounts is gone with it.
///
/// A thread's own namespace is enough (unshare(2) splits its CLONE_FS too),
/// so tests may run as threads of one process.
pub fn enter_private_mounts() {
    if ENTERED.replace(true) {
        return;
    }
    let entered = raw::unshare(libc::CLONE_NEWNS | libc::CLONE_FS)
        .and_then(|()| raw::mount("", "/", "", libc::MS_REC | libc::MS_PRIVATE, ""));
    assert!(entered.is_ok(), "a private mount namespace needs root: {entered:?}");
    if raw::fs_magic(CGROUPS).ok() != Some(CGROUP2_MAGIC) {
        let mounted = raw::mount("none", CGROUPS, "cgroup2", 0, "");
        assert!(mounted.is_ok(), "mount cgroup2 on {CGROUPS}: {mounted:?}");
    }
    raw::become_subreaper();
}

/// The cgroup v2 controllers that a container may get here.
pub fn controllers() -> Vec<String> {
    enter_private_mounts();
    let text = fs::read_to_string(Path::new(CGROUPS).join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The kernel's version: major, minor.
pub fn kernel() -> (u32, u32) {
    let [_, _, release, ..] = raw::uname();
    let mut parts = release.split(['.', '-']).map(|p| p.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Whether this process has the capability of that number in effect.
pub fn has_capability(number: u32) -> bool {
    raw::capget().is_ok_and(|[effective, ..]| effective >> number & 1 == 1)
}

/// Whether a program is on PATH.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|d| Path::new(d).join(name).exists())
}

/// Whether the process is gone or only waits to be reaped.
pub fn is_dead(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|s| s.starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

/// The mount table of this thread.
pub fn mount_table() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What is known about a process that doesn't go on: for a time-out's report.
pub fn describe_process(pid: i32) -> String {
    let read = |f: &str| fs::read_to_string(format!("/proc/{pid}/{f}")).unwrap_or_default();
    let cmd = read("cmdline").replace('\0', " ");
    let state = read("stat").rsplit(") ").next().unwrap_or("").chars().take(1).collect::<String>();
    let mut text = format!(
        "pid {pid} [{cmd}] state {state} wchan {} syscall {}stack:\n{}",
        read("wchan"),
        read("syscall"),
        read("stack")
    );
    for child in read(&format!("task/{pid}/children")).split_whitespace() {
        if let Ok(child) = child.parse() {
            text.push_str(&describe_process(child));
        }
    }
    text
}
