//! From rule tables to instructions.
//!
//! Per `AUDIT_ARCH_*` the 2³² call numbers are cut into segments with the same
//! verdict; a balanced tree of `>=` tests finds the segment. Profiles allow
//! long runs of neighbouring numbers, so a few hundred calls make about a
//! hundred segments, and a call is decided after seven tests.

use std::ops::Range;

use super::abi::{ARM_PRIVATE_FROM, Abi, X32_BIT};
use super::action::Return;
use super::bpf::{Assembler, Instruction, JEQ, JGE, JGT, Label, OFFSET_ARCH, OFFSET_NR, offset_argument};
use super::rules::{Comparison, Condition, Table, Verdict};

/// Consecutive numbers with one verdict: from `start` to the next segment.
#[derive(Clone, Copy, Debug)]
struct Segment<'a> {
    start: u32,
    verdict: &'a Verdict,
}

impl Segment<'_> {
    /// Most neighbours share the very same verdict.
    fn means(&self, verdict: &Verdict) -> bool {
        std::ptr::eq(self.verdict, verdict) || self.verdict == verdict
    }
}

/// The cut of all numbers, in order, starting at 0.
#[derive(Debug, Default)]
struct Segments<'a>(Vec<Segment<'a>>);

impl<'a> Segments<'a> {
    /// From `start` on, `verdict` holds.
    fn push(&mut self, start: u32, verdict: &'a Verdict) {
        if let Some(last) = self.0.last()
            && last.start == start
        {
            self.0.pop();
        }
        if self.0.last().is_none_or(|last| !last.means(verdict)) {
            self.0.push(Segment { start, verdict });
        }
    }

    /// The numbers of `range` as `table` has them; unknown are those above the
    /// newest call the profile mentions.
    fn extend(&mut self, range: Range<u32>, table: &'a Table, outside: &'a Outside) {
        self.push(range.start, &outside.action);
        let mut next = range.start;
        for (nr, verdict) in table.calls.range(range.clone()) {
            if *nr > next {
                self.push(next, &outside.action);
            }
            self.push(*nr, verdict);
            next = nr + 1;
        }
        if next > range.start {
            self.push(next, &outside.action);
        }
        if let Some(newest) = table.newest.filter(|newest| range.contains(newest)) {
            self.push(newest + 1, &outside.unknown);
        }
    }
}

/// What holds outside the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    /// `linux.seccomp.defaultAction`.
    pub action: Return,
    /// For calls newer than the profile.
    pub unknown: Return,
    /// For conventions that are not in the profile.
    pub bad_arch: Return,
}

/// The same as verdicts, which segments refer to.
#[derive(Debug)]
struct Outside {
    action: Verdict,
    unknown: Verdict,
    bad_arch: Verdict,
}

/// Writes the program for `tables`; the first one is tested first.
pub(super) fn generate(tables: &[Table], defaults: Defaults) -> Vec<Instruction> {
    let x32 = tables.iter().find(|table| table.abi == Abi::X32);
    let outside = Outside {
        action: Verdict::always(defaults.action),
        unknown: Verdict::always(defaults.unknown),
        bad_arch: Verdict::always(defaults.bad_arch),
    };
    let mut generator = Generator::default();
    let mut entries = Vec::new();
    for table in tables.iter().filter(|table| table.abi != Abi::X32).rev() {
        let segments = cut(table, x32, &outside);
        let tree = generator.tree(&segments.0);
        let entry = generator.assembler.load(OFFSET_NR, tree);
        entries.push((table.abi.audit_arch(), entry));
    }
    let assembler = &mut generator.assembler;
    let mut next = assembler.ret(defaults.bad_arch.0);
    for (arch, entry) in entries {
        next = assembler.branch(JEQ, arch, entry, next);
    }
    assembler.load(OFFSET_ARCH, next);
    generator.assembler.finish()
}

fn cut<'a>(table: &'a Table, x32: Option<&'a Table>, outside: &'a Outside) -> Segments<'a> {
    let mut segments = Segments::default();
    match (table.abi, x32) {
        (Abi::X86_64, Some(x32)) => {
            segments.extend(0..X32_BIT, table, outside);
            segments.extend(X32_BIT..u32::MAX, x32, outside);
        }
        (Abi::X86_64, None) => {
            segments.extend(0..X32_BIT, table, outside);
            segments.push(X32_BIT, &outside.bad_arch);
            // A tracer skips a call by setting its number to -1; the filter runs
            // again then (Linux 4.8) and must not take that for an x32 call.
            let skipped = table.newest.map_or(&outside.action, |_| &outside.unknown);
            segments.push(u32::MAX, skipped);
        }
        (Abi::Arm, _) => {
            segments.extend(0..ARM_PRIVATE_FROM, table, outside);
            segments.extend(ARM_PRIVATE_FROM..u32::MAX, table, outside);
        }
        _ => segments.extend(0..u32::MAX, table, outside),
    }
    segments
}

#[derive(Debug, Default)]
struct Generator {
    assembler: Assembler,
    /// Argument tests written so far: several calls often share them.
    written: Vec<(Verdict, Label)>,
}

impl Generator {
    fn tree(&mut self, segments: &[Segment<'_>]) -> Label {
        match segments {
            // Never called so: the numbers from 0 on always have a segment.
            [] => self.assembler.ret(Return::KILL_PROCESS.0),
            [only] => self.verdict(only.verdict),
            // One number that differs from its neighbours takes one test.
            [a, b, c] if a.means(c.verdict) && b.start.checked_add(1) == Some(c.start) => {
                let (yes, no) = (self.verdict(b.verdict), self.verdict(a.verdict));
                self.assembler.branch(JEQ, b.start, yes, no)
            }
            _ => {
                let (low, high) = segments.split_at(segments.len() / 2);
                let yes = self.tree(high);
                let no = self.tree(low);
                self.assembler.branch(JGE, high[0].start, yes, no)
            }
        }
    }

    fn verdict(&mut self, verdict: &Verdict) -> Label {
        if verdict.rules.is_empty() {
            return self.assembler.ret(verdict.otherwise.0);
        }
        if let Some((_, label)) = self.written.iter().find(|(known, _)| known == verdict) {
            return *label;
        }
        let mut next = self.assembler.ret(verdict.otherwise.0);
        for (conditions, action) in verdict.rules.iter().rev() {
            let mut holds = self.assembler.ret(action.0);
            for condition in conditions.iter().rev() {
                holds = self.condition(*condition, holds, next);
            }
            next = holds;
        }
        self.written.push((verdict.clone(), next));
        next
    }

    fn condition(&mut self, condition: Condition, yes: Label, no: Label) -> Label {
        match condition.comparison {
            Comparison::Equal => self.equal(condition, yes, no),
            Comparison::NotEqual => self.equal(condition, no, yes),
            Comparison::Greater => self.greater(condition, JGT, yes, no),
            Comparison::GreaterOrEqual => self.greater(condition, JGE, yes, no),
            Comparison::LessOrEqual => self.greater(condition, JGT, no, yes),
            Comparison::Less => self.greater(condition, JGE, no, yes),
        }
    }

    fn equal(&mut self, condition: Condition, yes: Label, no: Label) -> Label {
        let (mask_high, mask_low) = halves(condition.mask);
        let (high, low) = halves(condition.value);
        let offset = offset_argument(condition.argument);
        let next = self.equal_half(offset, mask_low, low, yes, no);
        self.equal_half(offset + 4, mask_high, high, next, no)
    }

    fn equal_half(&mut self, offset: u32, mask: u32, value: u32, yes: Label, no: Label) -> Label {
        if mask == 0 {
            return yes;
        }
        let mut test = self.assembler.branch(JEQ, value, yes, no);
        if mask != u32::MAX {
            test = self.assembler.and(mask, test);
        }
        self.assembler.load(offset, test)
    }

    /// `argument > value`, or `>=` if `code` is [`JGE`].
    fn greater(&mut self, condition: Condition, code: u16, yes: Label, no: Label) -> Label {
        let (mask_high, _) = halves(condition.mask);
        let (high, low) = halves(condition.value);
        let offset = offset_argument(condition.argument);
        let test = self.assembler.branch(code, low, yes, no);
        let lower = self.assembler.load(offset, test);
        if mask_high == 0 {
            return lower;
        }
        let same = self.assembler.branch(JEQ, high, lower, no);
        let test = self.assembler.branch(JGT, high, yes, same);
        self.assembler.load(offset + 4, test)
    }
}

fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}
