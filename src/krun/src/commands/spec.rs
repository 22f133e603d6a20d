//! `krun spec [--bundle DIR] [--rootless]`
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Outcome;
use crate::cli::args::Parsed;

/// config.json can't be written.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// There is one already.
    #[error("file {} exists. Remove it first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another reason.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

pub fn run(parsed: &Parsed) -> Outcome {
    let path = parsed.path("bundle").unwrap_or_default().join("config.json");
    let ids = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let spec = if parsed.switch("rootless")? { rootless(example(), ids) } else { example() };
    write(&path, &tabbed(&spec)?)?;
    Ok(0)
}

fn write(path: &Path, text: &[u8]) -> Result<(), SpecError> {
    let wrong = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => SpecError::Exists { path: path.to_owned() },
        _ => SpecError::Write { path: path.to_owned(), source },
    };
    let mut file = File::options().write(true).create_new(true).mode(0o666).open(path).map_err(wrong)?;
    file.write_all(text).map_err(wrong)
}

/// Indented with tabs, as Go's tools write it.
fn tabbed(spec: &Value) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    serde::Serialize::serialize(spec, &mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    text.push(b'\n');
    Ok(text)
}

/// The example that runc writes: a shell on a terminal with three capabilities.
fn example() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "krun",
        "mounts": mounts(),
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "mount" }, { "type": "cgroup" }
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"
            ]
        }
    })
}

fn mounts() -> Value {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| {
        let mut mount = json!({ "destination": destination, "type": kind, "source": source });
        if !options.is_empty() {
            mount["options"] = json!(options);
        }
        mount
    };
    json!([
        mount("/proc", "proc", "proc", &[]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ])
}

/// For an ordinary user: a user namespace with only the caller's ids, no network namespace (nobody would set it up), the
/// host's /sys, no gid= that isn't mapped, and no limits.
fn rootless(mut spec: Value, (uid, gid): (u32, u32)) -> Value {
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        for mount in mounts.iter_mut() {
            if mount["destination"] == "/sys" {
                *mount = json!({
                    "destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]
                });
            }
            // By `get_mut`: an index would add the member that isn't there.
            if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
                options.retain(|option| {
                    !option.as_str().is_some_and(|text| text.starts_with("gid=") || text.starts_with("uid="))
                });
            }
        }
    }
    let linux = &mut spec["linux"];
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
        linux.insert("uidMappings".into(), json!([{ "containerID": 0, "hostID": uid, "size": 1 }]));
        linux.insert("gidMappings".into(), json!([{ "containerID": 0, "hostID": gid, "size": 1 }]));
    }
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({ "type": "user" }));
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_examples_are_valid() {
        for (spec, caller) in [(example(), false), (rootless(example(), (1000, 1000)), true)] {
            let mut spec: oci_spec::runtime::Spec = serde_json::from_value(spec).unwrap();
            spec.root_mut().as_mut().unwrap().set_path("/".into());
            let bundle = krun::bundle::Bundle { dir: "/".into(), spec: Box::new(spec) };
            let caller = krun::bundle::Caller { rootless: caller, no_pivot: false };
            assert_eq!(
                krun::bundle::problems(&bundle, caller)
                    .iter()
                    .map(|error| krun::chain(error))
                    .collect::<Vec<_>>(),
                [""; 0]
            );
        }
    }
}
