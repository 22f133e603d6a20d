//! `krun check`: what would fail if this bundle were run on this host. The checks, in order:
//!
//! | check | fails when |
//! |---|---|
//! | `config` | config.json is missing, too large, not JSON, or not of the specification's types |
//! | `spec` | a value can't be carried out ([`crate::bundle::validate`]), each with its JSON path |
//! | `plan` | one value contradicts another, or would have no effect where it stands; asked if `spec` finds nothing |
//! | `seccomp` | the profile can't be compiled for this processor |
//! | `resources` | a limit has no meaning for cgroup v2 |
//! | `namespaces` | a namespace to be joined isn't there, or is of another kind |
//! | `controllers` | a limit needs a cgroup controller that cgroup v2 doesn't have here |
//! | `mounts` | the source of a bind mount isn't there, or the kernel doesn't know a file system (asked as root only) |
//! | `entry point` | `process.args[0]` isn't found, can't be executed, is for another processor, or lacks its interpreter |
//! | `unknown` | a field isn't known: a note, it is ignored |
mod binfmt;
mod elf;
mod exec;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod look;
mod unknown;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use serde::Serialize;

use crate::bundle::{self, Bundle, Caller};
use crate::host::Facts;
use crate::{cgroup, chain, plan};

pub use exec::{ExecFault, diagnose_exec};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// `run` fails.
    Error,
    /// `run` does something else than the file says.
    Note,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check, as in the table above.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What `run` would say.
    pub message: String,
}

fn error(check: &'static str, message: String) -> Finding {
    Finding { check, severity: Severity::Error, message }
}

/// Runs every check on the bundle in `dir`.
#[must_use]
pub fn check(dir: &Path, config: Option<&Path>, caller: Caller) -> Vec<Finding> {
    let bundle = match bundle::load(dir, config) {
        Ok(bundle) => bundle,
        Err(fault) => return vec![error("config", chain(&fault))],
    };
    let mut findings: Vec<Finding> =
        bundle::problems(&bundle, caller).iter().map(|problem| error("spec", chain(problem))).collect();
    if findings.is_empty() {
        findings.extend(planned(&bundle));
    }
    findings.extend(limits(&bundle.spec));
    findings.extend(controllers(&bundle.spec));
    findings.extend(namespaces(&bundle.spec));
    findings.extend(mounts(&bundle));
    findings.extend(entry_point(&bundle).map(|fault| error("entry point", fault.to_string())));
    let file = config.map_or_else(|| dir.join("config.json"), |config| dir.join(config));
    findings.extend(unknown::fields(&file, &bundle.spec).into_iter().map(|field| Finding {
        check: "unknown",
        severity: Severity::Note,
        message: format!("{field}: unknown field, it is ignored"),
    }));
    findings
}

/// What the plan would be is of no interest here, nor is the profile, which has a check of its own.
fn planned(bundle: &Bundle) -> Option<Finding> {
    let facts = Facts::probe(cgroup::mountpoint().unwrap_or_else(|_| PathBuf::from("/sys/fs/cgroup")));
    let joined = plan::Joined::unopened(&bundle.spec);
    let fault = plan::build(&plan::Request::dry(bundle, "check", &facts, &joined, None)).err()?;
    Some(error("plan", chain(&fault)))
}

fn limits(spec: &Spec) -> Vec<Finding> {
    let Some(linux) = spec.linux() else { return Vec::new() };
    let profile = linux.seccomp().as_ref().and_then(|profile| plan::seccomp::compile(profile).err());
    let limits = linux.resources().as_ref().and_then(|resources| cgroup::validate(resources).err());
    let profile = profile.map(|fault| error("seccomp", chain(&fault)));
    profile.into_iter().chain(limits.map(|fault| error("resources", chain(&fault)))).collect()
}

/// What the root of the hierarchy doesn't have, no cgroup below it has.
fn controllers(spec: &Spec) -> Vec<Finding> {
    let Some(limits) = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) else {
        return Vec::new();
    };
    let Ok(mount) = cgroup::mountpoint() else { return Vec::new() };
    let Ok(available) = std::fs::read_to_string(mount.join("cgroup.controllers")) else { return Vec::new() };
    let missing = |name: &&str| !available.split_whitespace().any(|other| other == *name);
    let needed = cgroup::needed_controllers(limits).into_iter().filter(missing);
    let text =
        |name| format!("linux.resources: the {name} controller is not available in {}", mount.display());
    needed.map(|name| error("controllers", text(name))).collect()
}

fn namespaces(spec: &Spec) -> Vec<Finding> {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let named = list.iter().enumerate();
    let joined = named.filter_map(|(index, ns)| Some((index, ns.typ(), ns.path().as_deref()?)));
    let faults = joined.filter_map(|(index, kind, path)| {
        let problem = fault_of_namespace(kind, path)?;
        Some(error("namespaces", format!("linux.namespaces[{index}].path: {}: {problem}", path.display())))
    });
    faults.collect()
}

/// The kernel shows a namespace's kind in the name of its link; a bind mount of it has no name to tell by.
fn fault_of_namespace(kind: LinuxNamespaceType, path: &Path) -> Option<String> {
    if path.as_os_str().is_empty() {
        return None;
    }
    if let Err(fault) = std::fs::metadata(path) {
        return Some(chain(&fault));
    }
    let expected = match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Time => "time",
    };
    let link = std::fs::read_link(path).ok()?;
    let (found, _) = link.to_str()?.split_once(":[")?;
    let found = found.trim_end_matches("_for_children");
    (found != expected).then(|| format!("a {found} namespace, not a {kind} namespace"))
}

fn mounts(bundle: &Bundle) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, mount) in bundle.spec.mounts().iter().flatten().enumerate() {
        let Some(source) = mount.source().as_ref().filter(|_| plan::is_bind(mount)) else {
            let kind = mount.typ().as_deref().unwrap_or("none");
            if !plan::is_bind(mount) && is_unknown_file_system(kind) {
                let message =
                    format!("mounts[{index}].type: no such device: the kernel has no file system {kind:?}");
                findings.push(error("mounts", message));
            }
            continue;
        };
        let source = bundle.dir.join(source);
        if let Err(fault) = std::fs::symlink_metadata(&source) {
            let shown = source.display();
            findings
                .push(error("mounts", format!("mounts[{index}].source: stat {shown}: {}", chain(&fault))));
        }
    }
    findings
}

/// fsopen(2) loads the module if there is one, as mount(2) would, and makes nothing. `cgroup` is krun's own word for
/// cgroup2.
fn is_unknown_file_system(kind: &str) -> bool {
    let Ok(name) = std::ffi::CString::new(kind) else { return true };
    match krun_sys::mount::fsopen(&name) {
        Ok(_) => false,
        Err(errno) => errno == krun_sys::Errno::ENODEV && kind != "cgroup",
    }
}

/// Why the bundle's program can't be started, if it can be told from outside: what `run` adds to a failed exec.
#[must_use]
pub fn entry_point(bundle: &Bundle) -> Option<ExecFault> {
    let process = bundle.spec.process().as_ref()?;
    let args0 = process.args().as_ref()?.first()?;
    let path = process.env().iter().flatten().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let mounted: Vec<PathBuf> =
        bundle.spec.mounts().iter().flatten().map(|mount| mount.destination().clone()).collect();
    diagnose_exec(&bundle.rootfs()?, args0, path, process.cwd(), &mounted)
}
