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
