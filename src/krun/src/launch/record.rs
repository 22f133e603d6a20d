//! What is written down about a new container.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::create::Command;
use super::{Agent, CreateOptions, rootfs_bind};
use crate::bundle::Bundle;
use crate::cgroup::Location;
use crate::launch::options::CgroupDriver;
use crate::plan::seccomp;
use crate::state::{Details, Head, NamespaceRecord, State};

/// The state before there is a process.
pub fn new_state(
    options: &CreateOptions,
    mode: Command,
    bundle: &Bundle,
    location: &Location,
    rootless: bool,
    program: Option<&seccomp::Program>,
) -> State {
    let spec = &bundle.spec;
    let linux = spec.linux().as_ref();
    let listed = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let record =
        |ns: &oci_spec::runtime::LinuxNamespace| NamespaceRecord { kind: ns.typ(), path: ns.path().clone() };
    let private_pid = listed.iter().any(|ns| ns.typ() == LinuxNamespaceType::Pid && ns.path().is_none());
    let annotations = spec.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone()));
    let head = Head {
        pid: 0,
        start_time: 0,
        pidfd_inode: 0,
        oci_version: spec.version().clone(),
        id: options.id.as_str().to_owned(),
        bundle: bundle.dir.clone(),
        rootfs: bundle.rootfs().unwrap_or_default(),
        created: crate::clock::now(crate::clock::Precision::Nanoseconds),
        annotations: annotations.collect::<BTreeMap<_, _>>(),
        owner_uid: nix::unistd::geteuid().as_raw(),
        cgroup: location.clone(),
        private_pid_namespace: private_pid,
        gate: mode == Command::Create,
    };
    let details = Box::new(Details {
        rootless,
        systemd_cgroup: options.host.cgroup_driver == CgroupDriver::Systemd,
        no_new_keyring: options.no_new_keyring,
        mount_below: bundle.rootfs().and_then(|rootfs| rootfs_bind::mount_below(spec, &rootfs)),
        namespaces: listed.iter().map(record).collect(),
        process: spec.process().clone(),
        seccomp: program.is_some(),
        agent: program.filter(|program| program.notify).and_then(|_| agent(spec)),
        resources: linux.and_then(|linux| linux.resources().clone()),
        personality: linux.and_then(|linux| linux.personality().clone()),
        memory_policy: linux.and_then(|linux| linux.memory_policy().clone()),
        hooks: spec.hooks().clone(),
        intel_rdt: None,
    });
    State { head, details }
}

fn agent(spec: &Spec) -> Option<Agent> {
    let profile = spec.linux().as_ref()?.seccomp().as_ref()?;
    let metadata = profile.listener_metadata().clone().unwrap_or_default();
    Some(Agent { path: profile.listener_path().clone()?, metadata })
}
