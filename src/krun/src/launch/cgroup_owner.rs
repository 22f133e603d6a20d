//! Who owns the container's cgroup (runtime-spec, config-linux, "Cgroup ownership").

use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Spec};

/// The host's uid that the cgroup is given to: that of the container's process, if the container has a user namespace
/// and a cgroup namespace of its own and can write to its cgroup file system. It may then make sub-cgroups.
#[must_use]
pub fn of(spec: &Spec) -> Option<u32> {
    let linux = spec.linux().as_ref()?;
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    let private = namespaces.iter().any(|ns| ns.typ() == LinuxNamespaceType::Cgroup && ns.path().is_none());
    if !private || !spec.mounts().iter().flatten().any(is_writable_cgroupfs) {
        return None;
    }
    let uid = spec.process().as_ref()?.user().uid();
    host_id(linux.uid_mappings().as_deref()?, uid)
}

fn is_writable_cgroupfs(mount: &Mount) -> bool {
    let fs = mount.typ().as_deref().unwrap_or_default();
    let options = mount.options().as_deref().unwrap_or_default();
    let last = options.iter().rev().find(|option| matches!(option.as_str(), "ro" | "rw"));
    matches!(fs, "cgroup" | "cgroup2")
        && mount.destination().components().eq(Path::new("/sys/fs/cgroup").components())
        && last.is_none_or(|option| option == "rw")
}

/// What an id of the container is on the host.
fn host_id(maps: &[LinuxIdMapping], id: u32) -> Option<u32> {
    maps.iter().find_map(|map| {
        let offset = id.checked_sub(map.container_id()).filter(|offset| *offset < map.size())?;
        map.host_id().checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::of;

    fn owner(options: &str, namespaces: &str, uid: u32) -> Option<u32> {
        let text = format!(
            r#"{{"ociVersion":"1.3.0","process":{{"cwd":"/","user":{{"uid":{uid},"gid":0}}}},
                "mounts":[{{"destination":"/sys/fs/cgroup/","type":"cgroup","source":"cgroup","options":{options}}}],
                "linux":{{"namespaces":{namespaces},"uidMappings":[{{"containerID":0,"hostID":100000,"size":10}}]}}}}"#
        );
        of(&serde_json::from_str(&text).expect("a specification"))
    }

    #[test]
    fn only_who_can_write_owns() {
        let both = r#"[{"type":"user"},{"type":"cgroup"}]"#;
        assert_eq!(owner("[]", both, 0), Some(100_000));
        assert_eq!(owner("[]", both, 3), Some(100_003));
        assert_eq!(owner(r#"["ro","rw"]"#, both, 0), Some(100_000));
        assert_eq!(owner(r#"["ro"]"#, both, 0), None);
        assert_eq!(owner("[]", r#"[{"type":"user"}]"#, 0), None);
        assert_eq!(owner("[]", both, 10), None, "an id without a meaning on the host");
    }
}
