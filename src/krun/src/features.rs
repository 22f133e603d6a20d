//! What `krun features` says (runtime-spec, "features.md"): what this build recognizes; whether the host has it is another matter,
//! as with runc, except where the answer would mislead an engine.
use std::path::Path;

use serde_json::{Value, json};

/// The document that `krun features` prints and the shim hands to containerd.
#[must_use]
pub fn features() -> Value {
    let mut options: Vec<String> = crate::plan::known_mount_options().collect();
    options.sort_unstable();
    options.dedup();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": options,
        "linux": linux(),
        "annotations": {
            "org.opencontainers.runc.checkpoint.enabled": "false",
            "io.krun.version": env!("CARGO_PKG_VERSION"),
            "io.krun.commit": env!("KRUN_COMMIT"),
        },
        "potentiallyUnsafeConfigAnnotations": ["bundle", "org.systemd.property.", "run.oci."],
    })
}

fn linux() -> Value {
    let mut capabilities: Vec<String> = caps::all().iter().map(ToString::to_string).collect();
    capabilities.sort_unstable();
    json!({
        "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
        "capabilities": capabilities,
        "cgroup": { "v1": false, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
        "seccomp": seccomp(),
        "apparmor": { "enabled": true },
        "selinux": { "enabled": true },
        "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
        "memoryPolicy": {
            "modes": [
                "MPOL_BIND", "MPOL_DEFAULT", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED", "MPOL_PREFERRED_MANY",
                "MPOL_WEIGHTED_INTERLEAVE"
            ],
            "flags": ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"],
        },
        "mountExtensions": { "idmap": { "enabled": true } },
        "netDevices": { "enabled": true },
    })
}

fn seccomp() -> Value {
    let archs = if cfg!(target_arch = "aarch64") {
        ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"].as_slice()
    } else {
        ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"].as_slice()
    };
    let flags = [
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ];
    let supported: &[&str] = if Path::new("/proc/sys/kernel/seccomp").exists() { &flags } else { &[] };
    json!({
        "enabled": true,
        "actions": [
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"
        ],
        "operators": [
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"
        ],
        "archs": archs,
        "knownFlags": flags,
        "supportedFlags": supported,
    })
}
