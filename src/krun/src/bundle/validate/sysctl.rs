//! `linux.sysctl`: only what belongs to a namespace of the container. Anything else would change the host.
use std::os::unix::fs::MetadataExt as _;

use oci_spec::runtime::{LinuxNamespaceType as Kind, Spec};

use super::{BundleError, has, joined};

/// The settings of an ipc namespace outside `fs.mqueue.` (ipc_namespaces(7)).
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub fn check(spec: &Spec) -> Result<(), BundleError> {
    let settings = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    // In a fixed order, so that the same file always gives the same error.
    let mut keys: Vec<&String> = settings.into_iter().flat_map(|settings| settings.keys()).collect();
    keys.sort_unstable();
    keys.into_iter().try_for_each(|key| {
        let name = dotted(key);
        // Either may be spelled in two ways only.
        let twice = name != *key && settings.is_some_and(|settings| settings.contains_key(&name));
        let judged = if twice {
            Err(format!("the same parameter as linux.sysctl.{name}"))
        } else {
            judge(spec, &name)
        };
        judged.map_err(|problem| BundleError::field(format!("linux.sysctl.{key}"), problem))
    })
}

/// sysctl.d(5): if the first separator is a slash, dots and slashes trade places (`net/ipv4/conf/eth0.1/…`).
fn dotted(key: &str) -> String {
    if key.find(['.', '/']).and_then(|at| key.get(at..)).is_some_and(|rest| rest.starts_with('/')) {
        let swap = |letter| match letter {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        return key.chars().map(swap).collect();
    }
    key.to_owned()
}

fn judge(spec: &Spec, key: &str) -> Result<(), String> {
    if key.split(['.', '/']).any(str::is_empty) {
        return Err(format!("sysctl {key:?} is not a name"));
    }
    if IPC.contains(&key) || key.starts_with("fs.mqueue.") {
        return if has(spec, Kind::Ipc) {
            Ok(())
        } else {
            Err(format!("sysctl {key:?} is not allowed in the hosts ipc namespace"))
        };
    }
    if key.starts_with("net.") {
        return if is_host_network(spec)? {
            Err(format!("sysctl {key:?} not allowed in host network namespace"))
        } else {
            Ok(())
        };
    }
    if has(spec, Kind::Uts) && key == "kernel.domainname" {
        return Ok(());
    }
    if has(spec, Kind::Uts) && key == "kernel.hostname" {
        return Err(format!("sysctl {key:?} is not allowed as it conflicts with the OCI \"hostname\" field"));
    }
    if key.starts_with("user.") {
        return if has(spec, Kind::User) {
            Ok(())
        } else {
            Err(format!("setting ucounts without a user namespace not allowed: {key}"))
        };
    }
    Err(format!("sysctl {key:?} is not in a separate kernel namespace"))
}

/// "Host" is the namespace that krun runs in; it may also be joined by path.
fn is_host_network(spec: &Spec) -> Result<bool, String> {
    if !has(spec, Kind::Network) {
        return Ok(true);
    }
    let Some(path) = joined(spec, Kind::Network) else { return Ok(false) };
    let wrong = |error: std::io::Error| {
        format!("invalid netns path: stat {}: {}", path.display(), crate::chain(&error))
    };
    let own = std::fs::metadata("/proc/self/ns/net").map_err(wrong)?;
    let other = std::fs::metadata(path).map_err(wrong)?;
    Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
}
