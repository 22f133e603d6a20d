//! `linux.seccomp` compiled to the classic BPF program the kernel loads.
//!
//! The stages: [`rules`] turns the profile into one table per system call
//! convention ([`abi`], [`table`]), [`codegen`] turns the tables into a search
//! tree, [`bpf`] writes it down. Semantics are those of runc with libseccomp;
//! where krun differs on purpose, `src/DECISIONS.md` says so.
//!
//! Sources: OCI runtime-spec config-linux "seccomp", seccomp(2), Linux's
//! Documentation/userspace-api/seccomp_filter.rst.

mod abi;
mod action;
mod bpf;
mod codegen;
mod dump;
mod error;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSyscall, Spec};

pub use bpf::Instruction;
pub use dump::dump;
pub use error::SeccompError;

use abi::{Abi, Call, Machine};
use action::Return;
use codegen::Defaults;
use rules::Table;

/// `SECCOMP_FILTER_FLAG_LOG` (Linux 4.14).
pub const FLAG_LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW` (Linux 4.17).
pub const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` (Linux 5.0).
pub const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19).
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// A filter, ready for seccomp(2) `SECCOMP_SET_MODE_FILTER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// At least one, at most 4096 instructions.
    pub instructions: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*` bits, [`FLAG_NEW_LISTENER`] included if
    /// [`notify`](Self::notify) is set.
    pub flags: u32,
    /// Whether seccomp(2) returns a listener that belongs to the agent at
    /// `linux.seccomp.listenerPath`.
    pub notify: bool,
}

/// Compiles a profile for the machine krun runs on.
///
/// # Errors
/// [`SeccompError`], naming the JSON path, for what runc or the kernel refuses.
pub fn compile(spec: &LinuxSeccomp) -> Result<Program, SeccompError> {
    compile_for(Machine::HOST, spec)
}

/// Compiles the profile of a specification, if it has one.
///
/// # Errors
/// As [`compile`].
pub fn of(spec: &Spec) -> Result<Option<Program>, SeccompError> {
    let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    profile.map(compile).transpose()
}

/// What a profile asks for that this krun or this machine does not know, one
/// text each. The rest of the profile holds nevertheless, as engines ship one
/// profile for all kernels and architectures.
#[must_use]
pub fn warnings(spec: &LinuxSeccomp) -> Vec<String> {
    let mut found = Vec::new();
    for (at, arch) in spec.architectures().iter().flatten().enumerate() {
        if Machine::HOST.abi(*arch).is_none() {
            found.push(format!(
                "linux.seccomp.architectures[{at}]: {arch} cannot occur on this machine, ignored"
            ));
        }
    }
    for (at, entry) in entries(spec).iter().enumerate() {
        for (name_at, name) in entry.names().iter().enumerate() {
            if Call::named(name).is_none() {
                let path = name_path(at, name_at);
                found.push(format!("{path}: unknown seccomp syscall {name:?} ignored"));
            }
        }
    }
    found
}

fn compile_for(machine: Machine, spec: &LinuxSeccomp) -> Result<Program, SeccompError> {
    let default = Return::new(spec.default_action(), spec.default_errno_ret(), || {
        "linux.seccomp.defaultErrnoRet".to_owned()
    })?;
    if default == Return::NOTIFY {
        return Err(SeccompError::NotifyAsDefault);
    }
    let notify = check_names(spec)?;
    let mut tables: Vec<_> = abis(machine, spec).into_iter().map(|abi| Table::new(abi, default)).collect();
    for (at, entry) in entries(spec).iter().enumerate() {
        let path = format!("linux.seccomp.syscalls[{at}]");
        let action = Return::new(entry.action(), entry.errno_ret(), || format!("{path}.errnoRet"))?;
        // Looked up once for all conventions: a profile names some 400 calls.
        let names = entry.names().iter();
        let calls: Vec<_> = names.filter_map(|name| Some((name.as_str(), Call::named(name)?))).collect();
        for table in &mut tables {
            table.add(entry, &calls, action, &path)?;
        }
    }
    let defaults = Defaults {
        action: default,
        unknown: if default.is_permissive() { default } else { Return::ENOSYS },
        bad_arch: Return::KILL_PROCESS,
    };
    let instructions = codegen::generate(&tables, defaults);
    if instructions.len() > bpf::MAX_INSTRUCTIONS {
        return Err(SeccompError::TooLong { length: instructions.len() });
    }
    Ok(Program { instructions, flags: flags(spec, notify)?, notify })
}

/// The conventions the filter covers: the native one first, whether listed or not.
fn abis(machine: Machine, spec: &LinuxSeccomp) -> Vec<Abi> {
    let mut abis = vec![machine.native()];
    for arch in spec.architectures().iter().flatten() {
        if let Some(abi) = machine.abi(*arch).filter(|abi| !abis.contains(abi)) {
            abis.push(abi);
        }
    }
    abis
}

/// Checks every name; returns whether any of them notifies an agent.
fn check_names(spec: &LinuxSeccomp) -> Result<bool, SeccompError> {
    let mut notify = false;
    for (at, entry) in entries(spec).iter().enumerate() {
        let notifies = entry.action() == LinuxSeccompAction::ScmpActNotify;
        for (name_at, name) in entry.names().iter().enumerate() {
            if name.is_empty() {
                return Err(SeccompError::EmptyName { path: name_path(at, name_at) });
            }
            if notifies && name == "write" {
                return Err(SeccompError::NotifyForWrite { path: name_path(at, name_at) });
            }
        }
        if notifies && !notify && !entry.names().is_empty() {
            if spec.listener_path().as_ref().is_none_or(|path| path.as_os_str().is_empty()) {
                let path = format!("linux.seccomp.syscalls[{at}].action");
                return Err(SeccompError::NoListener { path });
            }
            notify = true;
        }
    }
    Ok(notify)
}

fn flags(spec: &LinuxSeccomp, notify: bool) -> Result<u32, SeccompError> {
    let listener = if notify { FLAG_NEW_LISTENER } else { 0 };
    // Without the key runc turns the speculation barrier off; with an empty
    // list it does not.
    let Some(listed) = spec.flags() else { return Ok(FLAG_SPEC_ALLOW | listener) };
    let mut flags = listener;
    for (at, flag) in listed.iter().enumerate() {
        flags |= match flag {
            // The filter is loaded by a process with a single thread.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if notify => FLAG_WAIT_KILLABLE_RECV,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                let path = format!("linux.seccomp.flags[{at}]");
                return Err(SeccompError::FlagNeedsListener { path });
            }
        };
    }
    Ok(flags)
}

fn entries(spec: &LinuxSeccomp) -> &[LinuxSyscall] {
    spec.syscalls().as_deref().unwrap_or_default()
}

fn name_path(entry: usize, name: usize) -> String {
    format!("linux.seccomp.syscalls[{entry}].names[{name}]")
}
