//! A container's state as others read it: `state` and `list`, and the input of hooks and seccomp agents.
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::{Head, Status};

/// The JSON of `state` and `list`, with runc's names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View<'a> {
    /// `ociVersion` of config.json.
    pub oci_version: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// Init's pid; 0 if it is gone.
    pub pid: i32,
    /// What the container is doing.
    pub status: Status,
    /// The bundle.
    pub bundle: &'a Path,
    /// The root file system.
    pub rootfs: &'a Path,
    /// When it was created.
    pub created: &'a str,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
    /// Who created it, by name, or `#uid`.
    pub owner: &'a str,
}

impl<'a> View<'a> {
    /// The view of a container that is in `status`.
    #[must_use]
    pub fn new(head: &'a Head, status: Status, owner: &'a str) -> Self {
        Self {
            oci_version: &head.oci_version,
            id: &head.id,
            pid: if status == Status::Stopped { 0 } else { head.pid },
            status,
            bundle: &head.bundle,
            rootfs: &head.rootfs,
            created: &head.created,
            annotations: &head.annotations,
            owner,
        }
    }
}

/// The `State` of runtime-spec: what hooks read.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState<'a> {
    /// `ociVersion` of config.json.
    pub oci_version: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// `creating`, `created`, `running` or `stopped`.
    pub status: &'a str,
    /// Init's pid; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The bundle.
    pub bundle: &'a Path,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
}

impl OciState<'_> {
    /// The JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and a map with string keys always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Names of users, looked up in /etc/passwd once and without the C library: NSS needs a dynamic loader.
#[derive(Debug, Default)]
pub struct Owners {
    table: Option<HashMap<u32, String>>,
    unknown: String,
}

impl Owners {
    /// The name of a user, or `#uid`.
    pub fn name(&mut self, uid: u32) -> &str {
        if uid == 0 {
            return "root";
        }
        let table = self
            .table
            .get_or_insert_with(|| parse(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()));
        match table.get(&uid) {
            Some(name) => name,
            None => {
                self.unknown = format!("#{uid}");
                &self.unknown
            }
        }
    }
}

/// passwd(5); of several names of one user the first counts.
pub(crate) fn parse(passwd: &str) -> HashMap<u32, String> {
    let mut table = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(uid))) = (fields.next(), fields.nth(1).map(str::parse)) {
            table.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_have_names() {
        let table = parse("root:x:0:0:r:/root:/bin/sh\na:x:7:7::/:\nb:x:7:7::/:\nbroken\n");
        assert_eq!(table.get(&7).map(String::as_str), Some("a"));
        let mut owners = Owners { table: Some(table), unknown: String::new() };
        assert_eq!((owners.name(0).to_owned(), owners.name(9)), ("root".to_owned(), "#9"));
    }
}
