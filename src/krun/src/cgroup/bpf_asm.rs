//! Device programs: rules in, instructions out.
//!
//! There is not a jump in them: the verifier walks every path of a program and keeps a state for each, so that a
//! program of comparisons and jumps takes it ten times as long as the same rules as arithmetic.
//!
//! Registers: r0 the access bits that are denied, r1 the context, r2 all ones unless it is a character device, r3 the
//! bits that no rule has decided yet, r4 major, r5 minor, r6 whether rules match, r7 both numbers, r8 the bits asked for.
//! The encoding is `struct bpf_insn` of linux/bpf.h; the context is `struct bpf_cgroup_dev_ctx`.

use krun_sys::bpf::Insn;

use super::devices::Rule;

/// Read a 32-bit word of the context.
const LOAD_WORD: u8 = 0x61;
const ADD: u8 = 0x04;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const SHIFT_LEFT: u8 = 0x64;
const XOR: u8 = 0xa4;
const MOVE_REG: u8 = 0xbc;
const OR_REG: u8 = 0x4c;
// On all 64 bits; an immediate is sign-extended.
const ADD64: u8 = 0x07;
const AND64: u8 = 0x57;
const XOR64: u8 = 0xa7;
const NEGATE64: u8 = 0x87;
const SHIFT_RIGHT64: u8 = 0x77;
const SHIFT_RIGHT_SIGN64: u8 = 0xc7;
const MOVE64: u8 = 0xb7;
const MOVE_REG64: u8 = 0xbf;
const AND_REG64: u8 = 0x5f;
const OR_REG64: u8 = 0x4f;
const EXIT: u8 = 0x95;

/// Bits of a minor number (linux/kdev_t.h); a major has 12.
const MINOR_BITS: u32 = 20;

/// The program so far.
#[derive(Debug)]
struct Assembler(Vec<Insn>);

/// The program of the rules for character devices and those for block devices.
pub(super) fn assemble(char: &[Rule], block: &[Rule]) -> Vec<Insn> {
    let mut asm = Assembler(Vec::with_capacity(96));
    asm.prologue();
    // There are two types only.
    asm.emit(MOVE_REG64, 3, 2, 0, 0);
    asm.emit(XOR64, 3, 0, 0, -1);
    asm.section(char);
    asm.emit(MOVE_REG64, 3, 2, 0, 0);
    asm.section(block);
    // 1 if nothing is denied: the verifier knows the range of a shift.
    asm.emit(ADD64, 0, 0, 0, -1);
    asm.emit(SHIFT_RIGHT64, 0, 0, 0, 63);
    asm.emit(EXIT, 0, 0, 0, 0);
    asm.0
}

impl Assembler {
    fn emit(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        let regs = match cfg!(target_endian = "little") {
            true => dst | (src << 4),
            false => (dst << 4) | src,
        };
        self.0.push(Insn { code, regs, off, imm });
    }

    fn prologue(&mut self) {
        self.emit(LOAD_WORD, 2, 1, 0, 0);
        self.emit(LOAD_WORD, 4, 1, 4, 0);
        self.emit(LOAD_WORD, 5, 1, 8, 0);
        self.emit(MOVE_REG, 8, 2, 0, 0);
        self.emit(SHIFT_RIGHT, 8, 0, 0, 16);
        self.emit(AND, 2, 0, 0, 0xffff);
        self.emit(XOR, 2, 0, 0, super::devices::CHAR);
        self.all_ones_unless_zero(2);
        self.emit(MOVE_REG, 7, 4, 0, 0);
        self.emit(SHIFT_LEFT, 7, 0, 0, MINOR_BITS.cast_signed());
        self.emit(OR_REG, 7, 5, 0, 0);
        self.emit(MOVE64, 0, 0, 0, 0);
    }

    /// A register of 32 bits becomes 0 or -1.
    fn all_ones_unless_zero(&mut self, reg: u8) {
        self.emit(NEGATE64, reg, 0, 0, 0);
        self.emit(SHIFT_RIGHT_SIGN64, reg, 0, 0, 63);
    }

    /// The rules of one type; r3 is -1 for a device of this type and 0 for others.
    fn section(&mut self, rules: &[Rule]) {
        self.emit(AND_REG64, 3, 8, 0, 0);
        let alike = |a: &Rule, b: &Rule| (a.access, a.allow) == (b.access, b.allow);
        rules.chunk_by(alike).for_each(|rules| self.verdict(rules));
        // What no rule has decided is denied.
        self.emit(OR_REG64, 0, 3, 0, 0);
    }

    /// Takes the access bits of rules with the same verdict out of those that are left, if one of them matches; where they
    /// deny, remembers them.
    fn verdict(&mut self, rules: &[Rule]) {
        let Some(rule) = rules.first().filter(|_| self.matched(rules)) else { return };
        if rule.access != 7 {
            self.emit(AND64, 6, 0, 0, i32::from(rule.access));
        }
        if !rule.allow {
            self.emit(MOVE_REG64, 9, 6, 0, 0);
            self.emit(AND_REG64, 9, 3, 0, 0);
            self.emit(OR_REG64, 0, 9, 0, 0);
        }
        self.emit(XOR64, 6, 0, 0, -1);
        self.emit(AND_REG64, 3, 6, 0, 0);
    }

    /// r6: -1 if the device's numbers are those of one of the rules, else 0. False if no device has them.
    fn matched(&mut self, rules: &[Rule]) -> bool {
        if rules.iter().any(|rule| rule.numbers == (None, None)) {
            self.emit(MOVE64, 6, 0, 0, -1);
            return true;
        }
        let ranges = Range::of(rules);
        if ranges.is_empty() {
            return false;
        }
        for (i, range) in ranges.iter().enumerate() {
            let reg = if i == 0 { 6 } else { 9 };
            // The distance from the start, unsigned; less the length it is negative inside of the range alone.
            self.emit(MOVE_REG, reg, range.of, 0, 0);
            self.emit(ADD, reg, 0, 0, range.start.wrapping_neg().cast_signed());
            self.emit(ADD64, reg, 0, 0, -range.length);
            if i > 0 {
                self.emit(OR_REG64, 6, 9, 0, 0);
            }
        }
        self.emit(SHIFT_RIGHT_SIGN64, 6, 0, 0, 63);
        true
    }
}

/// Numbers that follow each other, of what a register holds.
struct Range {
    of: u8,
    start: u32,
    length: i32,
}

impl Range {
    /// The rules' numbers; neighbours become one range.
    fn of(rules: &[Rule]) -> Vec<Self> {
        let mut ranges: Vec<Self> = Vec::with_capacity(rules.len());
        for (of, start) in rules.iter().filter_map(Self::numbers) {
            match ranges.last_mut() {
                Some(last) if last.of == of && last.start.checked_add_signed(last.length) == Some(start) => {
                    last.length += 1;
                }
                _ => ranges.push(Self { of, start, length: 1 }),
            }
        }
        ranges
    }

    /// The register that a rule looks at, and the value. None where no device has such numbers.
    fn numbers(rule: &Rule) -> Option<(u8, u32)> {
        match rule.numbers {
            (None, None) => None,
            (Some(major), None) => Some((4, major)),
            (None, Some(minor)) => Some((5, minor)),
            (Some(major), Some(minor)) => {
                let possible = major >> (32 - MINOR_BITS) == 0 && minor >> MINOR_BITS == 0;
                possible.then_some((7, major << MINOR_BITS | minor))
            }
        }
    }
}
