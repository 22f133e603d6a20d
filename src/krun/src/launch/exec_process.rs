//! The process that `exec` adds: what the caller says of it, and what comes from the container.
//!
//! What a process description leaves out is taken from the container's own process, so that it never gets more by
//! saying less; the command line and the shim go through here alike.

use oci_spec::runtime::Process;

use super::{ExecProcess, LaunchError, ProcessOverrides};

impl ExecProcess {
    /// The whole description, over the container's own process.
    ///
    /// # Errors
    /// The container's state has no process; an unknown capability.
    pub fn complete(&self, container: Option<&Process>) -> Result<Process, LaunchError> {
        let container = container.ok_or(LaunchError::Usage("the container's state has no process"))?;
        match self {
            ExecProcess::Whole(process) => Ok(filled(process, container)),
            ExecProcess::Overrides(overrides) => overrides.over(container),
        }
    }
}

/// Takes over what confines the container's process and is not said of the new one. As with runc, but that runc
/// lifts noNewPrivileges where it is absent.
fn filled(said: &Process, container: &Process) -> Process {
    fn absent<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_none_or(Vec::is_empty)
    }
    fn blank(text: &Option<String>) -> bool {
        text.as_ref().is_none_or(String::is_empty)
    }
    let mut process = said.clone();
    if said.capabilities().is_none() {
        process.set_capabilities(container.capabilities().clone());
    }
    if said.no_new_privileges().is_none() {
        process.set_no_new_privileges(container.no_new_privileges());
    }
    if blank(said.apparmor_profile()) {
        process.set_apparmor_profile(container.apparmor_profile().clone());
    }
    if blank(said.selinux_label()) {
        process.set_selinux_label(container.selinux_label().clone());
    }
    if absent(said.rlimits()) {
        process.set_rlimits(container.rlimits().clone());
    }
    if said.oom_score_adj().is_none() {
        process.set_oom_score_adj(container.oom_score_adj());
    }
    if said.scheduler().is_none() {
        process.set_scheduler(container.scheduler().clone());
    }
    if said.io_priority().is_none() {
        process.set_io_priority(*container.io_priority());
    }
    if said.exec_cpu_affinity().is_none() {
        process.set_exec_cpu_affinity(container.exec_cpu_affinity().clone());
    }
    if said.user().umask().is_none() {
        process.user_mut().set_umask(container.user().umask());
    }
    process
}

impl ProcessOverrides {
    /// These changes over the container's own process.
    ///
    /// # Errors
    /// An unknown capability.
    fn over(&self, container: &Process) -> Result<Process, LaunchError> {
        let mut process = container.clone();
        process.set_args(Some(self.args.clone()));
        process.set_terminal(Some(self.tty));
        if !self.env.is_empty() {
            let mut env = process.env().clone().unwrap_or_default();
            env.extend(self.env.iter().cloned());
            process.set_env(Some(env));
        }
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.clone());
        }
        let user = process.user_mut();
        if let Some((uid, gid)) = self.user {
            user.set_uid(uid);
            user.set_gid(gid.unwrap_or_else(|| user.gid()));
        }
        if !self.additional_gids.is_empty() {
            let mut groups = user.additional_gids().clone().unwrap_or_default();
            groups.extend(&self.additional_gids);
            user.set_additional_gids(Some(groups));
        }
        if let Some(label) = &self.process_label {
            process.set_selinux_label(Some(label.clone()));
        }
        if let Some(profile) = &self.apparmor {
            process.set_apparmor_profile(Some(profile.clone()));
        }
        if let Some(on) = self.no_new_privs {
            process.set_no_new_privileges(Some(on));
        }
        self.add_capabilities(&mut process)?;
        Ok(process)
    }

    /// Adds to bounding, effective and permitted, and to ambient where the
    /// container has inheritable ones; never to inheritable (CVE-2022-29162).
    fn add_capabilities(&self, process: &mut Process) -> Result<(), LaunchError> {
        if self.capabilities.is_empty() {
            return Ok(());
        }
        let mut caps = process.capabilities().clone().unwrap_or_default();
        for name in &self.capabilities {
            let bare = name.strip_prefix("CAP_").unwrap_or(name);
            let Ok(cap) = bare.parse::<oci_spec::runtime::Capability>() else {
                return Err(LaunchError::Status(format!("--cap {name}: unknown capability")));
            };
            let add = |set: &Option<oci_spec::runtime::Capabilities>| {
                let mut set = set.clone().unwrap_or_default();
                set.insert(cap);
                Some(set)
            };
            caps.set_bounding(add(caps.bounding()));
            caps.set_effective(add(caps.effective()));
            caps.set_permitted(add(caps.permitted()));
            if caps.inheritable().as_ref().is_some_and(|set| set.contains(&cap)) {
                caps.set_ambient(add(caps.ambient()));
            }
        }
        process.set_capabilities(Some(caps));
        Ok(())
    }
}
