//! What a runtime may not leave behind: processes, cgroups, mounts, state,
//! descriptors.

use crate::{Sandbox, host, raw};
use std::fs;
use std::path::Path;

/// What there was before.
#[derive(Debug)]
pub struct Before {
    mounts: Vec<String>,
    fds: usize,
    tmp: Vec<String>,
}

/// Remembers what there is.
pub fn before() -> Before {
    Before { mounts: host::mount_table(), fds: open_fds(), tmp: names(Path::new("/dev/shm")) }
}

/// The descriptors of this process, where it runs one test alone.
fn open_fds() -> usize {
    if std::env::var_os("NEXTEST").is_none() {
        return 0;
    }
    fs::read_dir("/proc/thread-self/fd").map_or(0, Iterator::count)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut v: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    v.sort();
    v
}

/// Everything that is there now and should not be, one line each.
pub fn since(before: &Before, sandbox: &Sandbox) -> Vec<String> {
    let mut found = Vec::new();
    for m in host::mount_table() {
        if !before.mounts.contains(&m) {
            found.push(format!("mount {m}"));
        }
    }
    let ids = sandbox.ids();
    for id in &ids {
        let group = Path::new(host::CGROUPS).join(id);
        if group.exists() {
            let procs = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            found.push(format!("cgroup {} with [{}]", group.display(), procs.replace('\n', " ")));
        }
    }
    for name in names(&sandbox.state_root()) {
        if ids.contains(&name) {
            found.push(format!("state {name}"));
        }
    }
    for name in names(Path::new("/dev/shm")) {
        if !before.tmp.contains(&name) {
            found.push(format!("file /dev/shm/{name}"));
        }
    }
    if open_fds() > before.fds {
        found.push(format!("{} descriptors, {} before", open_fds(), before.fds));
    }
    found.extend(processes(sandbox));
    found
}

/// Processes that have to do with the sandbox's directory or ids and live.
pub fn processes(sandbox: &Sandbox) -> Vec<String> {
    let dir = sandbox.dir().display().to_string();
    let ids = sandbox.ids();
    let mut found = Vec::new();
    for name in names(Path::new("/proc")) {
        let Ok(pid) = name.parse::<i32>() else { continue };
        if host::is_dead(pid) || pid.unsigned_abs() == std::process::id() {
            continue;
        }
        let read = |f: &str| fs::read_to_string(format!("/proc/{pid}/{f}")).unwrap_or_default();
        let (cmd, group) = (read("cmdline"), read("cgroup"));
        if cmd.contains(&dir) || ids.iter().any(|i| group.lines().any(|l| l.ends_with(&format!("/{i}")))) {
            found.push(format!("process {pid} {}", cmd.replace('\0', " ")));
        }
    }
    found
}

/// Reaps what containers of this sandbox left to us, as an engine does: a
/// process that was exec'd keeps its pid namespace alive until then.
pub fn reap(sandbox: &Sandbox) {
    let ids = sandbox.ids();
    for pid in names(Path::new("/proc")).iter().filter_map(|n| n.parse::<i32>().ok()) {
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let ours = group.split(['/', '\n']).any(|part| ids.iter().any(|i| i == part));
        if host::is_dead(pid) && ours {
            let _ = raw::waitpid(pid, true);
        }
    }
}

/// Panics when anything is left.
#[track_caller]
pub fn assert_none(before: &Before, sandbox: &Sandbox) {
    // A killed process takes a moment to be gone.
    let mut left = Vec::new();
    for _ in 0..100 {
        reap(sandbox);
        left = since(before, sandbox);
        if left.is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
}
