//! What needs /proc or /dev; what isn't there is null.

use runtime_tests::raw;
use serde_json::{Map, Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

fn read(path: &str) -> Value {
    fs::read(path).map_or(Value::Null, |b| String::from_utf8_lossy(&b).trim_end_matches(['\n', '\0']).into())
}

/// The open descriptors with their targets, by /proc or by asking one by one.
pub fn descriptors() -> Value {
    let open = (0..1024).filter(|n| raw::fd_is_open(*n));
    open.map(|n| {
        let target = fs::read_link(format!("/proc/self/fd/{n}"));
        (n.to_string(), target.map_or(Value::Null, |p| p.display().to_string().into()))
    })
    .collect()
}

/// Adds all that comes from files.
pub fn files(m: &mut Map<String, Value>, sysctls: &[&str]) {
    m.insert("ns".into(), namespaces());
    m.insert("mounts".into(), mounts());
    m.insert("status".into(), status());
    m.insert("cgroup".into(), read("/proc/self/cgroup"));
    m.insert("oom_score_adj".into(), number("/proc/self/oom_score_adj"));
    m.insert("timens_offsets".into(), read("/proc/self/timens_offsets"));
    m.insert("uid_map".into(), read("/proc/self/uid_map"));
    m.insert("gid_map".into(), read("/proc/self/gid_map"));
    m.insert("setgroups".into(), read("/proc/self/setgroups"));
    m.insert("lsm".into(), read("/proc/self/attr/current"));
    m.insert("coredump_filter".into(), read("/proc/self/coredump_filter"));
    m.insert("uptime".into(), read("/proc/uptime"));
    let values = sysctls.iter().map(|n| ((*n).to_owned(), read(&format!("/proc/sys/{n}"))));
    m.insert("sysctl".into(), values.collect());
    m.insert("dev".into(), directory("/dev"));
    m.insert("interfaces".into(), names("/proc/self/net/dev"));
    m.insert("pids".into(), pids());
    let exe = fs::read_link("/proc/self/exe").ok();
    m.insert("exe".into(), json!(exe.map(|p| p.display().to_string())));
}

fn number(path: &str) -> Value {
    read(path).as_str().and_then(|s| s.parse::<i64>().ok()).map_or(Value::Null, Value::from)
}

fn namespaces() -> Value {
    const NAMES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let link = |n: &str| fs::read_link(format!("/proc/self/ns/{n}")).ok();
    NAMES.iter().map(|n| ((*n).to_owned(), json!(link(n).map(|p| p.display().to_string())))).collect()
}

fn status() -> Value {
    let Ok(text) = fs::read_to_string("/proc/self/status") else {
        return Value::Null;
    };
    text.lines()
        .filter_map(|l| l.split_once(':'))
        .map(|(k, v)| (k.to_owned(), Value::from(v.trim())))
        .collect()
}

fn mounts() -> Value {
    let Ok(text) = fs::read_to_string("/proc/self/mountinfo") else {
        return Value::Null;
    };
    text.lines().filter_map(runtime_tests::mountinfo::parse).collect()
}

fn names(path: &str) -> Value {
    let Ok(text) = fs::read_to_string(path) else {
        return Value::Null;
    };
    text.lines().skip(2).filter_map(|l| l.split_once(':')).map(|(n, _)| n.trim()).collect()
}

fn pids() -> Value {
    let Ok(dir) = fs::read_dir("/proc") else {
        return Value::Null;
    };
    let mut v: Vec<u32> =
        dir.flatten().filter_map(|e| e.file_name().to_str().and_then(|s| s.parse().ok())).collect();
    v.sort_unstable();
    json!(v)
}

/// Every entry of a directory with what lstat says.
pub fn directory(path: &str) -> Value {
    let Ok(dir) = fs::read_dir(path) else {
        return Value::Null;
    };
    dir.flatten()
        .map(|e| (e.file_name().to_string_lossy().into_owned(), describe(&e.path().to_string_lossy())))
        .collect()
}

/// lstat and, for links, the target.
pub fn describe(path: &str) -> Value {
    let Ok(st) = fs::symlink_metadata(path) else {
        return Value::Null;
    };
    let t = st.file_type();
    let kind = match () {
        () if t.is_symlink() => "link",
        () if t.is_dir() => "dir",
        () if t.is_char_device() => "char",
        () if t.is_block_device() => "block",
        () if t.is_fifo() => "fifo",
        () if t.is_socket() => "socket",
        () => "file",
    };
    let target = fs::read_link(path).ok().map(|p| p.display().to_string());
    json!({
        "type": kind, "mode": st.mode() & 0o7777, "uid": st.uid(), "gid": st.gid(), "size": st.size(),
        "major": libc::major(st.rdev()), "minor": libc::minor(st.rdev()), "target": target,
        "ino": st.ino(), "dev": st.dev(),
    })
}
