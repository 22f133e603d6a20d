//! `linux.resources.devices` as an eBPF program, and its place on a cgroup.
//!
//! The last rule that matches decides, for each of read, write and mknod by
//! itself; what no rule matches is denied. The program is built back to front,
//! so that the first match counts.

use std::collections::BTreeMap;

use krun_sys::bpf::{self, Insn, ProgFd};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use super::bpf_asm::assemble;
use super::{Cgroup, CgroupError};

/// mknod, read and write as the kernel's `BPF_DEVCG_ACC_*` bits.
const ALL: u8 = 7;
const BLOCK: i32 = 1;
pub(super) const CHAR: i32 = 2;

/// What every container may use, after runc: mknod of anything (its nodes open
/// only if a rule allows), then null, zero, full, random, urandom, tty, the
/// ptys, ptmx and tun. It follows the rules of config.json and so wins.
const DEFAULTS: [(i32, Option<u32>, Option<u32>, u8); 11] = [
    (CHAR, None, None, 1),
    (BLOCK, None, None, 1),
    (CHAR, Some(1), Some(3), ALL),
    (CHAR, Some(1), Some(8), ALL),
    (CHAR, Some(1), Some(7), ALL),
    (CHAR, Some(5), Some(0), ALL),
    (CHAR, Some(1), Some(5), ALL),
    (CHAR, Some(1), Some(9), ALL),
    (CHAR, Some(136), None, ALL),
    (CHAR, Some(5), Some(2), ALL),
    (CHAR, Some(10), Some(200), ALL),
];

/// Numbers a rule is about; `None` is any.
type Numbers = (Option<u32>, Option<u32>);

/// A rule for one type of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub numbers: Numbers,
    pub access: u8,
    pub allow: bool,
}

/// The rules of both types in the order they are evaluated, first match (per
/// access bit) wins, none superfluous. What remains is denied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RuleSet {
    pub char: Vec<Rule>,
    pub block: Vec<Rule>,
}

impl RuleSet {
    /// Whether it allows everything, so that no program is needed.
    pub fn allows_all(&self) -> bool {
        let all = |rules: &[Rule]| matches!(rules, [rule] if rule.allow && rule.access == ALL && rule.numbers == (None, None));
        all(&self.char) && all(&self.block)
    }
}

/// Reads the rules of config.json and adds the defaults.
pub(super) fn rules(resources: &LinuxResources) -> Result<RuleSet, CgroupError> {
    let mut given: Vec<(i32, Rule)> = Vec::with_capacity(16);
    for (i, rule) in resources.devices().iter().flatten().enumerate() {
        let error =
            |reason: String| CgroupError::Value { field: format!("linux.resources.devices[{i}]"), reason };
        let types: &[i32] = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::A => &[CHAR, BLOCK],
            LinuxDeviceType::B => &[BLOCK],
            LinuxDeviceType::C | LinuxDeviceType::U => &[CHAR],
            LinuxDeviceType::P => return Err(error("a FIFO is no device".to_owned())),
        };
        let rule = Rule {
            // A negative number is any; one that no device can have is none.
            numbers: (number(rule.major()), number(rule.minor())),
            access: access(rule).map_err(error)?,
            allow: rule.allow(),
        };
        given.extend(types.iter().map(|&t| (t, rule)));
    }
    given.extend(DEFAULTS.iter().map(|&(typ, major, minor, access)| {
        let numbers = (major, minor);
        (typ, Rule { numbers, access, allow: true })
    }));
    let of = |typ| reduce(given.iter().rev().filter(|(t, _)| *t == typ).map(|(_, r)| *r));
    Ok(RuleSet { char: of(CHAR), block: of(BLOCK) })
}

fn number(value: Option<i64>) -> Option<u32> {
    let value = value.filter(|&v| v >= 0)?;
    Some(u32::try_from(value).unwrap_or(u32::MAX))
}

fn access(rule: &LinuxDeviceCgroup) -> Result<u8, String> {
    let text = rule.access().as_deref().unwrap_or("");
    let mut bits = 0;
    for letter in text.chars() {
        bits |= match letter {
            'm' => 1,
            'r' => 2,
            'w' => 4,
            'a' if !rule.allow() => ALL,
            other => return Err(format!("unknown device access {other:?}")),
        };
    }
    match bits {
        0 => Err("device access field cannot be empty".to_owned()),
        bits => Ok(bits),
    }
}

/// Access bits that are decided, by numbers: \[denied, allowed\].
type Decided = BTreeMap<Numbers, [u8; 2]>;

/// What is decided for all devices that `numbers` covers.
fn covered(decided: &Decided, (major, minor): Numbers) -> [u8; 2] {
    [(None, None), (major, None), (None, minor), (major, minor)]
        .iter()
        .filter_map(|numbers| decided.get(numbers))
        .fold([0, 0], |[d, a], [deny, allow]| [d | deny, a | allow])
}

/// Drops what earlier rules (in evaluation order) decide already, merges and
/// sorts neighbours with the same verdict.
fn reduce(rules: impl Iterator<Item = Rule>) -> Vec<Rule> {
    let mut decided = Decided::new();
    let mut kept: Vec<Rule> = Vec::new();
    let mut run: BTreeMap<Numbers, u8> = BTreeMap::new();
    let mut verdict = true;
    let mut flush = |run: &mut BTreeMap<Numbers, u8>, allow: bool| {
        for (numbers, access) in std::mem::take(run) {
            let [denied, allowed] = covered(&decided, numbers);
            let open = access & !(denied | allowed);
            if open == 0 {
                continue;
            }
            decided.entry(numbers).or_default()[usize::from(allow)] |= open;
            // Bits with this verdict already may be named again: a rule for
            // all three is a single comparison.
            let same = if allow { allowed } else { denied };
            let access = open | same;
            kept.push(Rule { numbers, access, allow });
        }
    };
    for rule in rules {
        if rule.allow != verdict {
            flush(&mut run, verdict);
            verdict = rule.allow;
        }
        *run.entry(rule.numbers).or_default() |= rule.access;
    }
    flush(&mut run, verdict);
    while kept.last().is_some_and(|rule| !rule.allow) {
        kept.pop();
    }
    kept
}

/// Compiles the rules; `None` if everything is allowed.
///
/// # Errors
/// A malformed rule.
pub(super) fn program(resources: &LinuxResources) -> Result<Option<Vec<Insn>>, CgroupError> {
    let rules = rules(resources)?;
    if rules.allows_all() {
        return Ok(None);
    }
    Ok(Some(assemble(&rules.char, &rules.block)))
}

impl Cgroup {
    /// Puts the device filter of `resources` on the cgroup, in place of an
    /// older one. Without the right to (an ordinary user, or in a user namespace)
    /// nothing is done: there the kernel lets nobody make device nodes, and what
    /// is bound in the caller may open anyway.
    ///
    /// # Errors
    /// A malformed rule, or bpf(2) failed.
    pub fn set_devices(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let program = program(resources)?;
        let old = match self.is_fresh() {
            true => Vec::new(),
            false => self.attached(),
        };
        let Some(program) = program else {
            return old.iter().try_for_each(|prog| self.detach(prog));
        };
        let prog = match load(&program) {
            Err(Errno::EPERM | Errno::EACCES) if may_not_filter() => return Ok(()),
            Err(errno) => {
                return Err(self.bpf_error("BPF_PROG_LOAD", errno, verifier_log(&program)));
            }
            Ok(prog) => prog,
        };
        let dir = krun_sys::Fd::of(&self.dir);
        // Linux 5.6 can swap one program; several (systemd adds its own), or
        // an older kernel: the new one first, so that no gap opens.
        if let [one] = old.as_slice()
            && bpf::prog_attach(dir, &prog, Some(one)).is_ok()
        {
            return Ok(());
        }
        match bpf::prog_attach(dir, &prog, None).map_err(errno_of) {
            Err(Errno::EPERM | Errno::EACCES) if may_not_filter() => return Ok(()),
            Err(errno) => return Err(self.bpf_error("BPF_PROG_ATTACH", errno, String::new())),
            Ok(()) => {}
        }
        old.iter().try_for_each(|prog| self.detach(prog))
    }

    /// The device programs on this cgroup that we may touch.
    fn attached(&self) -> Vec<ProgFd> {
        let mut ids = [0; 64];
        let count = bpf::prog_query(krun_sys::Fd::of(&self.dir), &mut ids).unwrap_or(0);
        let ids = ids.iter().take(count);
        ids.filter_map(|id| bpf::prog_get_fd_by_id(*id).ok()).collect()
    }

    fn detach(&self, prog: &ProgFd) -> Result<(), CgroupError> {
        bpf::prog_detach(krun_sys::Fd::of(&self.dir), prog)
            .map_err(|errno| self.bpf_error("BPF_PROG_DETACH", errno_of(errno), String::new()))
    }

    fn bpf_error(&self, call: &'static str, source: Errno, log: String) -> CgroupError {
        CgroupError::Devices { call, dir: self.location().dir(), log, source }
    }
}

fn errno_of(errno: krun_sys::Errno) -> Errno {
    Errno::from_raw(errno.0)
}

/// Loads a program. Before Linux 5.11 its memory counts against
/// RLIMIT_MEMLOCK, which is raised for the moment if that is too small.
fn load(program: &[Insn]) -> Result<ProgFd, Errno> {
    let once = || bpf::prog_load(bpf::PROG_TYPE_CGROUP_DEVICE, program, c"Apache", None).map_err(errno_of);
    let first = once();
    if first.as_ref().err() != Some(&Errno::EPERM) {
        return first;
    }
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) else {
        return first;
    };
    if setrlimit(Resource::RLIMIT_MEMLOCK, u64::MAX, u64::MAX).is_err() {
        return first;
    }
    let second = once();
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
    second
}

/// What the verifier says about a program it refused, as ": TEXT".
fn verifier_log(program: &[Insn]) -> String {
    let mut log = vec![0; 64 * 1024];
    let _ = bpf::prog_load(bpf::PROG_TYPE_CGROUP_DEVICE, program, c"Apache", Some(&mut log));
    let len = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    log.truncate(len);
    let text = String::from_utf8_lossy(&log);
    match text.trim() {
        "" => String::new(),
        text => format!(": {}", text.replace('\n', "; ")),
    }
}

/// bpf(2) wants capabilities over the host, which neither of these has.
fn may_not_filter() -> bool {
    !nix::unistd::geteuid().is_root() || crate::host::in_user_namespace()
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
