//! An assembler for device programs: rules in, instructions out.
//!
//! Registers: r1 the context, r2 the device's type, r3 the access bits not
//! decided yet, r4 major, r5 minor. The encoding is `struct bpf_insn` of
//! linux/bpf.h; the context is `struct bpf_cgroup_dev_ctx`.

use krun_sys::bpf::Insn;

use super::devices::Rule;

/// Read a 32-bit word of the context.
const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xb4;
const MOVE_REG: u8 = 0xbc;
const JUMP: u8 = 0x05;
const JUMP_EQ: u8 = 0x15;
const JUMP_NE: u8 = 0x55;
const JUMP_SET: u8 = 0x45;
const EXIT: u8 = 0x95;

/// Where a jump leads at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Allow,
    Deny,
}

impl Target {
    fn of(rule: &Rule) -> Self {
        match rule.allow {
            true => Self::Allow,
            false => Self::Deny,
        }
    }
}

/// A jump whose distance is not known yet.
#[derive(Debug)]
pub(super) struct Hole(usize);

/// The program so far.
#[derive(Debug)]
pub(super) struct Assembler {
    insns: Vec<Insn>,
    to_allow: Vec<Hole>,
    to_deny: Vec<Hole>,
    /// A jump leads to this instruction.
    landing: usize,
    /// A jump is too long for 16 bits.
    overflow: bool,
}

impl Assembler {
    /// Starts with the registers loaded.
    pub fn new() -> Self {
        let mut asm = Self {
            insns: Vec::with_capacity(48),
            to_allow: Vec::new(),
            to_deny: Vec::new(),
            landing: 0,
            overflow: false,
        };
        asm.emit(LOAD_WORD, 2, 1, 0, 0);
        asm.emit(MOVE_REG, 3, 2, 0, 0);
        asm.emit(AND, 2, 0, 0, 0xffff);
        asm.emit(SHIFT_RIGHT, 3, 0, 0, 16);
        asm.emit(LOAD_WORD, 4, 1, 4, 0);
        asm.emit(LOAD_WORD, 5, 1, 8, 0);
        asm
    }

    fn emit(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Hole {
        let regs = match cfg!(target_endian = "little") {
            true => dst | (src << 4),
            false => (dst << 4) | src,
        };
        self.insns.push(Insn { code, regs, off, imm });
        Hole(self.insns.len() - 1)
    }

    /// Jumps over what follows unless the device is of this type.
    pub fn skip_unless_type(&mut self, typ: i32) -> Hole {
        self.emit(JUMP_NE, 2, 0, 0, typ)
    }

    /// Jumps always.
    pub fn jump(&mut self, target: Target) {
        self.jump_if(JUMP, 0, 0, target);
    }

    fn jump_if(&mut self, code: u8, reg: u8, imm: i32, target: Target) {
        let hole = self.emit(code, reg, 0, 0, imm);
        match target {
            Target::Allow => self.to_allow.push(hole),
            Target::Deny => self.to_deny.push(hole),
        }
    }

    /// Makes a jump lead to the next instruction.
    pub fn land(&mut self, hole: Hole) {
        let distance = i16::try_from(self.insns.len() - hole.0 - 1);
        self.overflow |= distance.is_err();
        self.landing = self.insns.len();
        if let Some(insn) = self.insns.get_mut(hole.0) {
            insn.off = distance.unwrap_or(0);
        }
    }

    /// Whether the next instruction can be reached.
    pub fn falls_through(&self) -> bool {
        let straight = self.insns.last().is_none_or(|insn| insn.code != JUMP);
        straight || self.landing == self.insns.len()
    }

    /// The rules of one type of device.
    pub fn rules(&mut self, rules: &[Rule]) {
        let key = |rule: &Rule| (rule.allow, rule.numbers.0);
        for group in rules.chunk_by(|a, b| key(a) == key(b)) {
            let major = group.first().and_then(|rule| rule.numbers.0);
            let skip = match (major, group) {
                (Some(major), [rule]) if rule.numbers.1.is_none() && rule.access == 7 => {
                    self.jump_if(JUMP_EQ, 4, immediate(major), Target::of(rule));
                    continue;
                }
                (Some(major), _) => Some(self.emit(JUMP_NE, 4, 0, 0, immediate(major))),
                (None, _) => None,
            };
            group.iter().for_each(|rule| self.minor_and_access(rule));
            if let Some(skip) = skip {
                self.land(skip);
            }
        }
    }

    /// The rest of a rule whose major number has been tested.
    fn minor_and_access(&mut self, rule: &Rule) {
        let target = Target::of(rule);
        let all = rule.access == 7;
        let skip = match rule.numbers.1.map(immediate) {
            Some(minor) if all => return self.jump_if(JUMP_EQ, 5, minor, target),
            Some(minor) => Some(self.emit(JUMP_NE, 5, 0, 0, minor)),
            None => None,
        };
        let access = i32::from(rule.access);
        match target {
            _ if all => self.jump(target),
            Target::Deny => self.jump_if(JUMP_SET, 3, access, target),
            Target::Allow => {
                self.emit(AND, 3, 0, 0, !access);
                self.jump_if(JUMP_EQ, 3, 0, target);
            }
        }
        if let Some(skip) = skip {
            self.land(skip);
        }
    }

    /// Adds both endings, of which only reachable ones may exist (the verifier
    /// refuses dead code before Linux 4.20), and resolves the jumps. `None` if
    /// the program is too long.
    pub fn finish(mut self) -> Option<Vec<Insn>> {
        let to_deny = std::mem::take(&mut self.to_deny);
        let to_allow = std::mem::take(&mut self.to_allow);
        if self.falls_through() || !to_deny.is_empty() {
            self.ending(to_deny, 0);
        }
        if !to_allow.is_empty() {
            self.ending(to_allow, 1);
        }
        (!self.overflow).then_some(self.insns)
    }

    fn ending(&mut self, holes: Vec<Hole>, verdict: i32) {
        holes.into_iter().for_each(|hole| self.land(hole));
        self.emit(MOVE, 0, 0, 0, verdict);
        self.emit(EXIT, 0, 0, 0, 0);
    }
}

/// Device numbers have 12 and 20 bits; a larger one matches nothing, and -1,
/// sign-extended by the comparison, can't equal a 32-bit number either.
fn immediate(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(-1)
}
