//! From the profile to one rule table per system call convention.
//!
//! What a profile means is what libseccomp, driven by runc, makes of it:
//! * a rule whose action is the default action is dropped;
//! * an unconditional rule replaces the conditional ones of its call, and later
//!   rules for that call are dropped;
//! * conditions of one rule are anded, unless two of them test the same
//!   argument: then each is a rule of its own;
//! * conventions with 32-bit arguments compare the lower halves only.
//!
//! Where libseccomp leaves the order of overlapping conditional rules to the
//! shape of its tree, here the first one in the profile wins.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::abi::{Abi, Call, multiplexed};
use super::action::Return;
use super::error::SeccompError;

/// How a condition compares; less-than is the other way round of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Comparison {
    /// `argument & mask == value`
    Equal,
    /// `argument & mask != value`
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// One test of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Condition {
    pub argument: u8,
    pub comparison: Comparison,
    pub mask: u64,
    pub value: u64,
}

/// What happens to one system call: the first rule whose conditions all hold,
/// else `otherwise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub rules: Vec<(Vec<Condition>, Return)>,
    pub otherwise: Return,
}

impl Verdict {
    /// The same for all arguments.
    pub(super) fn always(value: Return) -> Self {
        Self { rules: Vec::new(), otherwise: value }
    }
}

/// The rules of one convention.
#[derive(Debug)]
pub(super) struct Table {
    pub abi: Abi,
    /// By number; a call without an entry gets the default action.
    pub calls: BTreeMap<u32, Verdict>,
    /// The highest number of a call that the profile mentions, whatever it says
    /// about it. Numbers above belong to calls its author did not know of.
    pub newest: Option<u32>,
    default: Return,
}

/// One name of one entry of `linux.seccomp.syscalls`.
#[derive(Clone, Copy, Debug)]
struct Rule<'a> {
    name: &'a str,
    call: Call,
    action: Return,
    path: &'a str,
}

impl Table {
    /// An empty table.
    pub(super) fn new(abi: Abi, default: Return) -> Self {
        Self { abi, calls: BTreeMap::new(), newest: None, default }
    }

    /// Adds one entry of `linux.seccomp.syscalls`, whose JSON path is `path`
    /// and whose known names are `calls`.
    pub(super) fn add(
        &mut self,
        entry: &LinuxSyscall,
        calls: &[(&str, Call)],
        action: Return,
        path: &str,
    ) -> Result<(), SeccompError> {
        let alternatives = conditions(entry.args().as_deref().unwrap_or_default(), path)?;
        for &(name, call) in calls {
            self.mention(call);
            if action == self.default {
                continue;
            }
            self.add_call(Rule { name, call, action, path }, &alternatives)?;
        }
        Ok(())
    }

    fn mention(&mut self, call: Call) {
        // Arm's private numbers lie far above all others and say nothing about
        // how new a profile is.
        if let (Call::Ordinary(_), Some(nr)) = (call, self.abi.number(call)) {
            self.newest = self.newest.max(Some(nr));
        }
    }

    fn add_call(&mut self, rule: Rule<'_>, alternatives: &[Vec<Condition>]) -> Result<(), SeccompError> {
        if let Some(nr) = self.abi.number(rule.call) {
            for conditions in alternatives {
                let conditions = narrow(conditions, self.abi);
                if !self.insert(nr, conditions, rule.action) && !self.abi.is_32_bit() {
                    return Err(SeccompError::Conflict {
                        path: rule.path.to_owned(),
                        name: rule.name.to_owned(),
                    });
                }
            }
        }
        if self.abi == Abi::X86 {
            self.add_multiplexed(rule);
        }
        Ok(())
    }

    /// A filter cannot look behind the multiplexer's pointer: the conditions of
    /// the rule are lost, as with libseccomp.
    fn add_multiplexed(&mut self, rule: Rule<'_>) {
        let Some((multiplexer, operation)) = multiplexed(rule.name) else { return };
        let number = Call::named(multiplexer).and_then(|call| self.abi.number(call));
        let Some(nr) = number else { return };
        // ipc(2) takes a version in the upper half of its first argument.
        let mask = if multiplexer == "ipc" { 0xffff } else { u64::from(u32::MAX) };
        let condition = Condition { argument: 0, comparison: Comparison::Equal, mask, value: operation };
        self.insert(nr, vec![condition], rule.action);
    }

    /// Returns whether the rule is in effect or without effect; `false` if it
    /// contradicts an earlier one.
    fn insert(&mut self, nr: u32, conditions: Vec<Condition>, action: Return) -> bool {
        let default = self.default;
        let verdict = self.calls.entry(nr).or_insert_with(|| Verdict::always(default));
        // Only an unconditional rule makes `otherwise` differ: rules with the
        // default action never get here.
        if verdict.otherwise != default {
            return true;
        }
        if conditions.is_empty() {
            *verdict = Verdict::always(action);
            return true;
        }
        match verdict.rules.iter().find(|(known, _)| *known == conditions) {
            Some((_, known)) => *known == action,
            None => {
                verdict.rules.push((conditions, action));
                true
            }
        }
    }
}

/// The alternatives of one entry, each a conjunction in a canonical order.
fn conditions(args: &[LinuxSeccompArg], path: &str) -> Result<Vec<Vec<Condition>>, SeccompError> {
    let mut all = Vec::with_capacity(args.len());
    for (at, arg) in args.iter().enumerate() {
        all.push(condition(arg).ok_or_else(|| SeccompError::ArgumentIndex {
            path: format!("{path}.args[{at}].index"),
            index: arg.index(),
        })?);
    }
    all.sort_unstable();
    if all.windows(2).any(|pair| pair[0].argument == pair[1].argument) {
        return Ok(all.into_iter().map(|condition| vec![condition]).collect());
    }
    Ok(vec![all])
}

fn condition(arg: &LinuxSeccompArg) -> Option<Condition> {
    let argument = u8::try_from(arg.index()).ok().filter(|index| *index < 6)?;
    let (comparison, mask, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (Comparison::NotEqual, u64::MAX, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (Comparison::Less, u64::MAX, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (Comparison::LessOrEqual, u64::MAX, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => (Comparison::Equal, u64::MAX, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (Comparison::GreaterOrEqual, u64::MAX, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (Comparison::Greater, u64::MAX, arg.value()),
        // seccomp_rule_add(3): the mask comes first, what it must leave second.
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let value = arg.value_two().unwrap_or_default();
            (Comparison::Equal, arg.value(), value & arg.value())
        }
    };
    Some(Condition { argument, comparison, mask, value })
}

/// The conditions as a convention sees them: halved for 32-bit ones, and
/// without those that always hold.
fn narrow(conditions: &[Condition], abi: Abi) -> Vec<Condition> {
    let width = if abi.is_32_bit() { u64::from(u32::MAX) } else { u64::MAX };
    conditions
        .iter()
        .map(|c| Condition { mask: c.mask & width, value: c.value & width, ..*c })
        .filter(|c| c.mask != 0)
        .collect()
}
