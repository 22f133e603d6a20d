//! The rest of `linux`, and `hooks`.
use std::path::Path;

use oci_spec::runtime::{
    Hook, Linux, LinuxDeviceType, LinuxNamespaceType as Kind, LinuxSeccompAction, MemoryPolicyModeType, Spec,
};

use super::{BundleError, Caller, has};

pub fn propagation(spec: &Spec, caller: Caller) -> Result<(), BundleError> {
    let value = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
    let field = "linux.rootfsPropagation";
    match value.unwrap_or_default() {
        "private" | "rprivate" if caller.no_pivot => {
            Err(BundleError::field(field, "rootfsPropagation of [r]private is not safe without pivot_root"))
        }
        "" | "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" | "unbindable"
        | "runbindable" => Ok(()),
        value => Err(BundleError::field(field, format!("rootfsPropagation={value} is not supported"))),
    }
}

pub fn devices(spec: &Spec) -> Result<(), BundleError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (index, device) in linux.devices().iter().flatten().enumerate() {
        let field = format!("linux.devices[{index}]");
        if !device.path().is_absolute() {
            return Err(BundleError::field(format!("{field}.path"), "not an absolute path"));
        }
        if device.typ() == LinuxDeviceType::A {
            return Err(BundleError::field(format!("{field}.type"), "invalid device type \"a\""));
        }
        // Its type may be among the bits, as stat(2) has it; another type may not.
        let kind = match device.typ() {
            LinuxDeviceType::B => nix::libc::S_IFBLK,
            LinuxDeviceType::P => nix::libc::S_IFIFO,
            _ => nix::libc::S_IFCHR,
        };
        let mode = device.file_mode().unwrap_or(0);
        if !matches!(mode & !0o7777, 0) && mode & !0o7777 != kind {
            return Err(BundleError::field(
                format!("{field}.fileMode"),
                format!("{mode} (0{mode:o}) is not a mode of permissions"),
            ));
        }
        let numbered = device.typ() != LinuxDeviceType::P;
        let range = |value: i64, most: i64| (0..=most).contains(&value);
        // Linux has 12 bits of major and 20 bits of minor number.
        if numbered && !(range(device.major(), 0xfff) && range(device.minor(), 0xf_ffff)) {
            let (major, minor) = (device.major(), device.minor());
            return Err(BundleError::field(field, format!("device number {major}:{minor} is out of range")));
        }
        if numbered && (device.major(), device.minor()) == (0, 0) {
            let problem = "major and minor are missing, or 0:0, which no device has";
            return Err(BundleError::field(field, problem));
        }
        // To chown(2) it means "leave it as it is".
        for (member, id) in [("uid", device.uid()), ("gid", device.gid())] {
            if id == Some(u32::MAX) {
                return Err(BundleError::field(format!("{field}.{member}"), "4294967295 is no id"));
            }
        }
    }
    device_rules(linux)
}

fn device_rules(linux: &Linux) -> Result<(), BundleError> {
    let rules = linux.resources().as_ref().and_then(|resources| resources.devices().as_ref());
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        let field = format!("linux.resources.devices[{index}]");
        let access = rule.access().as_deref().unwrap_or_default();
        if access.is_empty() {
            let problem = format!("device access at {index} field cannot be empty");
            return Err(BundleError::field(format!("{field}.access"), problem));
        }
        // `a` is no letter of the specification, but runc lets it pass. It may deny, and then all; it grants nothing.
        let letters = if rule.allow() { "rwm" } else { "rwma" };
        if !access.chars().all(|letter| letters.contains(letter)) {
            return Err(BundleError::field(
                format!("{field}.access"),
                format!("{access:?}: r, w and m expected"),
            ));
        }
        if matches!(rule.typ(), Some(LinuxDeviceType::U | LinuxDeviceType::P)) {
            let kind = if rule.typ() == Some(LinuxDeviceType::P) { "p" } else { "u" };
            return Err(BundleError::field(
                format!("{field}.type"),
                format!("invalid cgroup device type {kind:?}"),
            ));
        }
        for (member, number) in [("major", rule.major()), ("minor", rule.minor())] {
            if let Some(number) = number.filter(|number| !(-1..=i64::from(u32::MAX)).contains(number)) {
                let problem = format!("{number} is no device number; -1, or leaving it out, is any");
                return Err(BundleError::field(format!("{field}.{member}"), problem));
            }
        }
    }
    Ok(())
}

pub fn intel_rdt(spec: &Spec) -> Result<(), BundleError> {
    let Some(rdt) = spec.linux().as_ref().and_then(|linux| linux.intel_rdt().as_ref()) else {
        return Ok(());
    };
    let id = rdt.clos_id().as_deref().unwrap_or_default();
    if matches!(id, "." | "..") || id.len() > 1 && id.contains('/') {
        return Err(BundleError::field("linux.intelRdt.closID", format!("invalid intelRdt.ClosID {id:?}")));
    }
    for (index, line) in rdt.schemata().iter().flatten().enumerate() {
        if line.contains('\n') {
            let problem = "a schema is one line";
            return Err(BundleError::field(format!("linux.intelRdt.schemata[{index}]"), problem));
        }
    }
    let bandwidth = rdt.mem_bw_schema().as_deref().unwrap_or_default();
    if !bandwidth.is_empty() && (!bandwidth.starts_with("MB:") || bandwidth.contains('\n')) {
        let problem = format!("{bandwidth:?}: one line that begins with MB: expected");
        return Err(BundleError::field("linux.intelRdt.memBwSchema", problem));
    }
    if !Path::new("/sys/fs/resctrl/info").is_dir() {
        return Err(BundleError::field(
            "linux.intelRdt",
            "intelRdt is specified in config, but Intel RDT is not enabled",
        ));
    }
    Ok(())
}

pub fn memory_policy(spec: &Spec) -> Result<(), BundleError> {
    use MemoryPolicyModeType as Mode;
    let Some(policy) = spec.linux().as_ref().and_then(|linux| linux.memory_policy().as_ref()) else {
        return Ok(());
    };
    let field = "linux.memoryPolicy.nodes";
    let nodes = policy.nodes().as_deref().unwrap_or_default().trim();
    let count = count_nodes(nodes)
        .ok_or_else(|| BundleError::field(field, format!("invalid memory policy nodes {nodes:?}")))?;
    match policy.mode() {
        Mode::MpolDefault | Mode::MpolLocal if count != 0 => {
            Err(BundleError::field(field, format!("memory policy mode requires 0 nodes but got {count}")))
        }
        Mode::MpolBind | Mode::MpolInterleave | Mode::MpolPreferredMany | Mode::MpolWeightedInterleave
            if count == 0 =>
        {
            Err(BundleError::field(field, "memory policy mode requires at least one node but got 0"))
        }
        _ => Ok(()),
    }
}

/// How many numbers a list such as `0-2,5` holds; nothing if it isn't one.
fn count_nodes(list: &str) -> Option<u32> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).try_fold(0_u32, |count, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (last < 8192).then_some(())?;
        count.checked_add(last.checked_sub(first)? + 1)
    })
}

pub fn net_devices(spec: &Spec, caller: Caller) -> Result<(), BundleError> {
    let devices = spec.linux().as_ref().and_then(|linux| linux.net_devices().as_ref());
    let Some(devices) = devices.filter(|devices| !devices.is_empty()) else { return Ok(()) };
    let field = "linux.netDevices";
    if !has(spec, Kind::Network) {
        return Err(BundleError::field(field, "unable to move network devices without a NET namespace"));
    }
    if caller.rootless {
        let problem = "network devices are not supported for rootless containers";
        return Err(BundleError::field(field, problem));
    }
    let mut names: Vec<_> = devices.iter().collect();
    names.sort_unstable_by_key(|(name, _)| name.as_str());
    let mut taken = std::collections::BTreeSet::new();
    for (name, device) in names {
        let renamed = device.name().as_deref().filter(|name| !name.is_empty());
        if let Some(name) =
            [Some(name.as_str()), renamed].into_iter().flatten().find(|name| !is_interface(name))
        {
            return Err(BundleError::field(
                format!("{field}.{name}"),
                format!("invalid network device name {name:?}"),
            ));
        }
        if !taken.insert(renamed.unwrap_or(name)) {
            let problem = format!("another network device gets the name {:?} too", renamed.unwrap_or(name));
            return Err(BundleError::field(format!("{field}.{name}"), problem));
        }
    }
    Ok(())
}

/// dev_valid_name() in the kernel's net/core/dev.c.
fn is_interface(name: &str) -> bool {
    (1..16).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|letter: char| matches!(letter, '/' | ':') || letter.is_ascii_whitespace())
}

pub fn seccomp(spec: &Spec) -> Result<(), BundleError> {
    let Some(seccomp) = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) else {
        return Ok(());
    };
    if seccomp.default_action() == LinuxSeccompAction::ScmpActNotify {
        return Err(BundleError::field(
            "linux.seccomp.defaultAction",
            "SCMP_ACT_NOTIFY cannot be used as default action",
        ));
    }
    let mut notify = false;
    for (index, rule) in seccomp.syscalls().iter().flatten().enumerate() {
        let field = format!("linux.seccomp.syscalls[{index}]");
        if rule.names().is_empty() {
            return Err(BundleError::field(format!("{field}.names"), "at least one name expected"));
        }
        if let Some(arg) = rule.args().iter().flatten().position(|arg| arg.index() > 5) {
            return Err(BundleError::field(
                format!("{field}.args[{arg}].index"),
                "a system call has arguments 0 to 5",
            ));
        }
        if rule.action() == LinuxSeccompAction::ScmpActNotify {
            notify = true;
            if rule.names().iter().any(|name| name == "write") {
                return Err(BundleError::field(
                    field,
                    "SCMP_ACT_NOTIFY cannot be used for the write syscall",
                ));
            }
        }
    }
    let listener = seccomp.listener_path().as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    let metadata = seccomp.listener_metadata().as_ref().is_some_and(|text| !text.is_empty());
    if metadata && !listener {
        let problem = "there is no linux.seccomp.listenerPath to send it to";
        return Err(BundleError::field("linux.seccomp.listenerMetadata", problem));
    }
    if notify && !listener {
        let problem = "seccomp listener path must be specified when using SCMP_ACT_NOTIFY";
        return Err(BundleError::field("linux.seccomp.listenerPath", problem));
    }
    Ok(())
}

pub fn hooks(spec: &Spec) -> Result<(), BundleError> {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    #[allow(deprecated, reason = "prestart hooks are still in use")]
    let kinds: [(&str, &Option<Vec<Hook>>); 6] = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (kind, list) in kinds {
        for (index, hook) in list.iter().flatten().enumerate() {
            let field = format!("hooks.{kind}[{index}]");
            if !hook.path().is_absolute() {
                return Err(BundleError::field(format!("{field}.path"), "not an absolute path"));
            }
            if hook.timeout().is_some_and(|seconds| seconds <= 0) {
                return Err(BundleError::field(format!("{field}.timeout"), "must be greater than zero"));
            }
        }
    }
    Ok(())
}
