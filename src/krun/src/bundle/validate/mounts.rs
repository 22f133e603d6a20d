//! `mounts`
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType as Kind, Mount, Spec};

use super::{BundleError, Caller, has, namespaces};
use crate::plan::is_bind;

/// Judges every mount's fields; its options are judged where they are turned into flags.
pub fn check(spec: &Spec, caller: Caller) -> Result<(), BundleError> {
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let field = format!("mounts[{index}]");
        if mount.destination().as_os_str().is_empty() {
            return Err(BundleError::field(format!("{field}.destination"), "must not be empty"));
        }
        if !mount.destination().is_absolute() {
            crate::log::warning(format_args!(
                "{field}: relative destination path is **deprecated**, using it as relative to /"
            ));
        }
        bind_source(&field, mount)?;
        id_maps(&field, spec, mount, caller)?;
        if caller.rootless {
            owners(&field, spec, mount)?;
        }
    }
    Ok(())
}

fn options(mount: &Mount) -> impl Iterator<Item = &str> {
    mount.options().iter().flatten().map(String::as_str)
}

fn bind_source(field: &str, mount: &Mount) -> Result<(), BundleError> {
    let remount = options(mount).any(|option| option == "remount");
    if is_bind(mount)
        && !remount
        && mount.source().as_ref().is_none_or(|source| source.as_os_str().is_empty())
    {
        return Err(BundleError::field(format!("{field}.source"), "a bind mount needs a source"));
    }
    Ok(())
}

fn id_maps(field: &str, spec: &Spec, mount: &Mount, caller: Caller) -> Result<(), BundleError> {
    let uids: &[LinuxIdMapping] = mount.uid_mappings().as_deref().unwrap_or_default();
    let gids: &[LinuxIdMapping] = mount.gid_mappings().as_deref().unwrap_or_default();
    let own = !uids.is_empty() || !gids.is_empty();
    let asked = options(mount).any(|option| matches!(option, "idmap" | "ridmap"));
    if !own && !asked {
        return Ok(());
    }
    let wrong = |problem: &str| Err(BundleError::field(field, format!("invalid mount: {problem}")));
    if !is_bind(mount) {
        return wrong("id-mapped mounts are only supported for bind-mounts");
    }
    if caller.rootless {
        return wrong("id-mapped mounts are not supported for rootless containers");
    }
    if own && (uids.is_empty() || gids.is_empty()) || !own && !has(spec, Kind::User) {
        return wrong("id-mapped mounts must have both uid and gid mappings specified");
    }
    namespaces::ranges(&format!("{field}.uidMappings"), uids)?;
    namespaces::ranges(&format!("{field}.gidMappings"), gids)
}

/// `uid=` and `gid=` name ids of the container; an ordinary user's user namespace may lack them.
fn owners(field: &str, spec: &Spec, mount: &Mount) -> Result<(), BundleError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    if super::joined(spec, Kind::User).is_some() {
        return Ok(());
    }
    for option in options(mount) {
        let (kind, id, maps) = match option.split_once('=') {
            Some(("uid", id)) => ("uid", id, linux.uid_mappings()),
            Some(("gid", id)) => ("gid", id, linux.gid_mappings()),
            _ => continue,
        };
        let Ok(id) = id.parse::<u32>() else { continue };
        let covers = |map: &LinuxIdMapping| {
            id.checked_sub(map.container_id()).is_some_and(|offset| offset < map.size())
        };
        if !maps.iter().flatten().any(covers) {
            return Err(BundleError::field(
                format!("{field}.options"),
                format!(
                    "cannot specify {option} mount option for rootless container: \
                     user namespaces enabled, but no mapping found for {kind} {id}"
                ),
            ));
        }
    }
    Ok(())
}
