//! Device programs: rules in, instructions out.
//!
//! There is not a jump in them: the verifier walks every path of a program and keeps a state for each, so that a
//! program of comparisons and jumps takes it ten times as long as the same rules as arithmetic.
//!
//! Registers: r0 the access bits that are denied, r1 the context, r2 all ones unless it is a character device, r3 the
//! bits that no rule has decided yet, r4 major, r5 minor, r6 a rule's match, r7 both numbers, r8 the bits asked for.
//! The encoding is `struct bpf_insn` of linux/bpf.h; the context is `struct bpf_cgroup_dev_ctx`.

use krun_sys::bpf::Insn;

use super::devices::Rule;

/// Read a 32-bit word of the context.
const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const SHIFT_LEFT: u8 = 0x64;
const XOR: u8 = 0xa4;
const MOVE_REG: u8 = 0xbc;
const OR_REG: u8 = 0x4c;
// On all 64 bits; an immediate is sign-extended.
const ADD64: u8 = 0x07;
const OR64: u8 = 0x47;
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
        rules.iter().for_each(|rule| self.rule(rule));
        // What no rule has decided is denied.
        self.emit(OR_REG64, 0, 3, 0, 0);
    }

    /// Takes a rule's access bits out of those that are left, if it matches; a denying one remembers them.
    fn rule(&mut self, rule: &Rule) {
        let access = i32::from(rule.access);
        match self.difference(rule) {
            Match::Never => return,
            Match::Always => self.emit(MOVE64, 6, 0, 0, 0),
            Match::IfZero => self.all_ones_unless_zero(6),
        }
        // r6: the bits that stay as they are.
        if rule.access != 7 {
            self.emit(OR64, 6, 0, 0, !access);
        }
        if !rule.allow {
            self.emit(MOVE_REG64, 9, 6, 0, 0);
            self.emit(XOR64, 9, 0, 0, -1);
            self.emit(AND_REG64, 9, 3, 0, 0);
            self.emit(OR_REG64, 0, 9, 0, 0);
        }
        self.emit(AND_REG64, 3, 6, 0, 0);
    }

    /// r6: 0 if the device's numbers are the rule's.
    fn difference(&mut self, rule: &Rule) -> Match {
        let (from, number) = match rule.numbers {
            (None, None) => return Match::Always,
            (Some(major), None) => (4, major),
            (None, Some(minor)) => (5, minor),
            (Some(major), Some(minor)) if major >> (32 - MINOR_BITS) == 0 && minor >> MINOR_BITS == 0 => {
                (7, major << MINOR_BITS | minor)
            }
            // No device has such numbers.
            (Some(_), Some(_)) => return Match::Never,
        };
        self.emit(MOVE_REG, 6, from, 0, 0);
        self.emit(XOR, 6, 0, 0, number.cast_signed());
        Match::IfZero
    }
}

/// When a rule matches.
enum Match {
    Never,
    Always,
    IfZero,
}
