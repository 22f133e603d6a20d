//! Id maps of a new user namespace (user_namespaces(7)).

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use oci_spec::runtime::LinuxIdMapping;

use super::LaunchError;

/// The maps of a container, as text for the kernel.
#[derive(Debug, Default)]
pub struct Maps {
    uid: Vec<LinuxIdMapping>,
    gid: Vec<LinuxIdMapping>,
    privileged: bool,
}

impl Maps {
    /// The maps of a specification.
    #[must_use]
    pub fn new(uid: &[LinuxIdMapping], gid: &[LinuxIdMapping], privileged: bool) -> Maps {
        Maps { uid: uid.to_vec(), gid: gid.to_vec(), privileged }
    }

    /// Whether setgroups(2) has to be denied: an unprivileged user who maps only
    /// the own group may not drop groups.
    #[must_use]
    pub fn deny_setgroups(&self) -> bool {
        !self.privileged && only_own(&self.gid, nix::unistd::getegid().as_raw())
    }

    /// Writes both maps of process `pid`.
    ///
    /// # Errors
    /// [`LaunchError::IdMap`].
    pub fn write(&self, pid: i32) -> Result<(), LaunchError> {
        if self.deny_setgroups() {
            let path = format!("/proc/{pid}/setgroups");
            fs::write(&path, "deny").map_err(LaunchError::file("write", path))?;
        }
        let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        self.one(pid, "uid", &self.uid, own.0)?;
        self.one(pid, "gid", &self.gid, own.1)
    }

    fn one(&self, pid: i32, kind: &'static str, map: &[LinuxIdMapping], own: u32) -> Result<(), LaunchError> {
        let member = if kind == "uid" { "uidMappings" } else { "gidMappings" };
        if map.is_empty() {
            return Ok(());
        }
        if !self.privileged && !only_own(map, own) {
            return helper(pid, kind, member, map);
        }
        let path = format!("/proc/{pid}/{kind}_map");
        fs::write(&path, lines(map)).map_err(|error| LaunchError::IdMap {
            member,
            reason: format!("write {path}: {}", crate::chain(&error)),
        })
    }
}

/// Whether setgroups(2) is denied in the user namespace of the process that
/// `/proc/PID` is of; namespaces below inherit that (user_namespaces(7)).
#[must_use]
pub fn denies_setgroups(process: &str) -> bool {
    fs::read(format!("{process}/setgroups")).is_ok_and(|text| text.starts_with(b"deny"))
}

/// One line per range: inside, outside, length.
fn lines(map: &[LinuxIdMapping]) -> String {
    let mut text = String::new();
    for range in map {
        let _ = writeln!(text, "{} {} {}", range.container_id(), range.host_id(), range.size());
    }
    text
}

fn only_own(map: &[LinuxIdMapping], own: u32) -> bool {
    matches!(map, [range] if range.size() == 1 && range.host_id() == own)
}

/// newuidmap(1) and newgidmap(1) write what /etc/subuid and /etc/subgid allow.
fn helper(pid: i32, kind: &str, member: &'static str, map: &[LinuxIdMapping]) -> Result<(), LaunchError> {
    let program = format!("new{kind}map");
    let numbers = map.iter().flat_map(|range| [range.container_id(), range.host_id(), range.size()]);
    let output = Command::new(&program).arg(pid.to_string()).args(numbers.map(|n| n.to_string())).output();
    let failed = |reason: String| LaunchError::IdMap { member, reason };
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(failed(format!("{program}: {} (see /etc/sub{kind})", said.trim())))
        }
        Err(error) => Err(failed(format!(
            "{program}: {}; without it (package uidmap) a rootless container can only map its owner's own id",
            crate::chain(&error)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxIdMappingBuilder;

    use super::*;

    /// Whatever the maps: the kernel reads the ranges that were written, in
    /// their order, inside before outside (user_namespaces(7)).
    #[test]
    fn maps_are_what_the_kernel_reads() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            u32::try_from(seed % below).unwrap()
        };
        for _ in 0..2_000 {
            let map: Vec<_> = (0..random(6))
                .map(|_| (random(1 << 32), random(1 << 32), random(1 << 32)))
                .map(|(inside, outside, size)| {
                    let range = LinuxIdMappingBuilder::default().container_id(inside).host_id(outside);
                    range.size(size).build().unwrap()
                })
                .collect();
            let text = lines(&map);
            let read: Vec<Vec<u32>> = text
                .lines()
                .map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect())
                .collect();
            let wanted: Vec<_> = map.iter().map(|r| vec![r.container_id(), r.host_id(), r.size()]).collect();
            assert_eq!(read, wanted);
            let single = map.len() == 1 && map[0].size() == 1;
            assert_eq!(only_own(&map, map.first().map_or(0, LinuxIdMapping::host_id)), single);
        }
    }
}
