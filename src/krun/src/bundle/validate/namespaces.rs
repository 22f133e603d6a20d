//! `linux.namespaces`, the maps of a user namespace, and what needs which namespace.
use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType as Kind, Spec};

use super::{BundleError, Caller, has, joined};

/// Each kind once; the kernel knows it.
pub fn check(spec: &Spec) -> Result<(), BundleError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let list = linux.namespaces().as_deref().unwrap_or_default();
    for (index, namespace) in list.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        let kind = namespace.typ();
        if list.iter().take(index).any(|other| other.typ() == kind) {
            return Err(BundleError::field(field, format!("malformed spec file: duplicated ns {kind}")));
        }
        let path = namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = path.filter(|path| !path.is_absolute()) {
            return Err(BundleError::field(
                format!("{field}.path"),
                format!("{:?} is not an absolute path", path.display()),
            ));
        }
        // The other kinds are in every kernel that has cgroup v2 and the new mount calls.
        let (file, name) = match kind {
            Kind::User => ("/proc/self/ns/user", "user"),
            Kind::Time => ("/proc/self/timens_offsets", "time"),
            _ => continue,
        };
        if !Path::new(file).exists() {
            return Err(BundleError::field(field, format!("{name} namespaces aren't enabled in the kernel")));
        }
    }
    Ok(())
}

/// Maps and a user namespace belong together; offsets and a new time namespace too.
pub fn mappings(spec: &Spec) -> Result<(), BundleError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let uids = linux.uid_mappings().as_deref().unwrap_or_default();
    let gids = linux.gid_mappings().as_deref().unwrap_or_default();
    let mapped = !uids.is_empty() || !gids.is_empty();
    match (has(spec, Kind::User), joined(spec, Kind::User), mapped) {
        (true, None, false) => {
            return Err(BundleError::field(
                "linux.uidMappings",
                "user namespaces enabled, but no namespace path to join nor mappings to apply specified",
            ));
        }
        (false, _, true) => {
            return Err(BundleError::field(
                "linux.uidMappings",
                "user namespace mappings specified, but user namespace isn't enabled in the config",
            ));
        }
        (true, None, true) if uids.is_empty() => {
            let problem = "user namespaces enabled, but no uid mappings found";
            return Err(BundleError::field("linux.uidMappings", problem));
        }
        (true, None, true) if gids.is_empty() => {
            let problem = "user namespaces enabled, but no gid mappings found";
            return Err(BundleError::field("linux.gidMappings", problem));
        }
        _ => {}
    }
    ranges("linux.uidMappings", uids)?;
    ranges("linux.gidMappings", gids)?;
    if let Some(path) = joined(spec, Kind::User).filter(|_| mapped) {
        maps_of_joined("linux.uidMappings", path, "uid_map", uids)?;
        maps_of_joined("linux.gidMappings", path, "gid_map", gids)?;
    }
    time_offsets(spec)
}

/// Engines give the maps of the namespace to be joined as well; others than it has could not be had. Only the
/// namespace of a process (`/proc/PID/ns/user`) shows them.
fn maps_of_joined(field: &str, path: &Path, file: &str, maps: &[LinuxIdMapping]) -> Result<(), BundleError> {
    let process = path.parent().filter(|dir| dir.starts_with("/proc") && path.ends_with("ns/user"));
    let table = process.and_then(Path::parent).and_then(|dir| std::fs::read_to_string(dir.join(file)).ok());
    let Some(table) = table else { return Ok(()) };
    let has = |map: &LinuxIdMapping| {
        let line = format!("{:>10} {:>10} {:>10}", map.container_id(), map.host_id(), map.size());
        table.lines().any(|other| other == line)
    };
    // Neither list has a range twice.
    if table.lines().count() == maps.len() && maps.iter().all(has) {
        return Ok(());
    }
    let problem = "user namespaces enabled, but both namespace path and non-matching mapping specified \
                   -- you may only provide one";
    Err(BundleError::field(field, problem))
}

/// user_namespaces(7): at most 340 ranges, none empty, none overlapping on either side.
pub fn ranges(field: &str, maps: &[LinuxIdMapping]) -> Result<(), BundleError> {
    if maps.len() > 340 {
        return Err(BundleError::field(field, format!("{} ranges, the kernel takes 340", maps.len())));
    }
    let overlap = |a: (u32, u32), b: (u32, u32)| {
        u64::from(a.0) < u64::from(b.0) + u64::from(b.1) && u64::from(b.0) < u64::from(a.0) + u64::from(a.1)
    };
    for (index, map) in maps.iter().enumerate() {
        let wrong = |problem: String| Err(BundleError::field(format!("{field}[{index}]"), problem));
        if map.size() == 0 {
            return wrong("the size of a range must not be 0".into());
        }
        let highest = map.container_id().max(map.host_id());
        if u64::from(highest) + u64::from(map.size()) > u64::from(u32::MAX) {
            return wrong(format!("{highest} + {} is beyond the largest id", map.size()));
        }
        for (other_index, other) in maps.iter().enumerate().take(index) {
            let inside = overlap((map.container_id(), map.size()), (other.container_id(), other.size()));
            let outside = overlap((map.host_id(), map.size()), (other.host_id(), other.size()));
            if inside || outside {
                return wrong(format!("overlaps {field}[{other_index}]"));
            }
        }
    }
    Ok(())
}

fn time_offsets(spec: &Spec) -> Result<(), BundleError> {
    let Some(offsets) = spec.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref()) else {
        return Ok(());
    };
    let field = "linux.timeOffsets";
    if !has(spec, Kind::Time) {
        let problem = "time namespace offsets specified, but time namespace isn't enabled in the config";
        return Err(BundleError::field(field, problem));
    }
    if joined(spec, Kind::Time).is_some() {
        return Err(BundleError::field(
            field,
            "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
        ));
    }
    match offsets.keys().find(|clock| !matches!(clock.as_str(), "monotonic" | "boottime")) {
        Some(clock) => Err(BundleError::field(
            format!("{field}.{clock}"),
            "unknown clock, monotonic or boottime expected",
        )),
        None => Ok(()),
    }
}

/// Without privileges over the host a container needs a user namespace.
pub fn rootless(spec: &Spec, caller: Caller) -> Result<(), BundleError> {
    if !caller.rootless || has(spec, Kind::User) {
        return Ok(());
    }
    Err(BundleError::field("linux.namespaces", "rootless container requires user namespaces"))
}

/// Settings that would change the host if the container had no namespace of its own for them.
pub fn needed(spec: &Spec) -> Result<(), BundleError> {
    let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if set(spec.hostname()) && !has(spec, Kind::Uts) {
        return Err(BundleError::field("hostname", "unable to set hostname without a private UTS namespace"));
    }
    if set(spec.domainname()) && !has(spec, Kind::Uts) {
        return Err(BundleError::field(
            "domainname",
            "unable to set domainname without a private UTS namespace",
        ));
    }
    for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        if name.as_ref().is_some_and(|name| name.len() > 64) {
            return Err(BundleError::field(field, "longer than 64 bytes, the kernel's limit"));
        }
    }
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (field, paths) in
        [("linux.maskedPaths", linux.masked_paths()), ("linux.readonlyPaths", linux.readonly_paths())]
    {
        let Some(paths) = paths.as_ref().filter(|paths| !paths.is_empty()) else { continue };
        if !has(spec, Kind::Mount) {
            let problem = "unable to restrict sys entries without a private MNT namespace";
            return Err(BundleError::field(field, problem));
        }
        if let Some(index) = paths.iter().position(|path| !path.starts_with('/')) {
            return Err(BundleError::field(format!("{field}[{index}]"), "not an absolute path"));
        }
    }
    Ok(())
}
