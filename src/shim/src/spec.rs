//! The little that the shim itself must know of config.json.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// Longest config.json that is read, in bytes.
const LONGEST: u64 = 16 << 20;

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    process: Option<Process>,
    #[serde(default)]
    linux: Option<Linux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    #[serde(default)]
    apparmor_profile: Option<String>,
    #[serde(default)]
    selinux_label: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Linux {
    #[serde(default)]
    namespaces: Option<Vec<Namespace>>,
}

#[derive(Debug, Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: Option<String>,
}

/// What was asked of config.json.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Whether the container has a pid namespace of its own.
    pub private_pids: bool,
    /// Whether its process has an AppArmor profile or SELinux label.
    pub labelled: bool,
    /// The group of containers that share a shim, if there is one.
    pub group: Option<String>,
}

/// Annotations that name a group, the first wins.
const GROUPS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

impl Brief {
    /// Reads `bundle/config.json`.
    pub fn read(bundle: &Path) -> std::io::Result<Self> {
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(bundle.join("config.json"))?.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes)?)
    }

    fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let config: Config = serde_json::from_slice(bytes)?;
        let process = config.process.unwrap_or_default();
        let set = |label: Option<String>| label.is_some_and(|l| !l.is_empty() && l != "unconfined");
        let namespaces = config.linux.unwrap_or_default().namespaces.unwrap_or_default();
        let own = |ns: &Namespace| ns.kind == "pid" && ns.path.as_deref().unwrap_or_default().is_empty();
        let annotations = config.annotations.unwrap_or_default();
        Ok(Self {
            private_pids: namespaces.iter().any(own),
            labelled: set(process.apparmor_profile) || set(process.selinux_label),
            group: GROUPS.iter().find_map(|key| annotations.get(*key)).filter(|g| !g.is_empty()).cloned(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_questions_are_answered() {
        let brief = Brief::parse(
            br#"{"ociVersion":"1.0.2","process":{"args":["x"],"apparmorProfile":"p"},
            "linux":{"namespaces":[{"type":"pid","path":"/proc/1/ns/pid"},{"type":"mount"}]},
            "annotations":{"io.kubernetes.cri.sandbox-id":"pod","io.containerd.runc.v2.group":"g"}}"#,
        );
        let wanted = Brief { private_pids: false, labelled: true, group: Some("g".into()) };
        assert_eq!(brief.unwrap(), wanted);
        let brief = Brief::parse(br#"{"process":null,"linux":{"namespaces":[{"type":"pid"}]}}"#);
        assert_eq!(brief.unwrap(), Brief { private_pids: true, labelled: false, group: None });
    }
}
