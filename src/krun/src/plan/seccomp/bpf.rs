//! Classic BPF: the instruction and a small assembler.
//!
//! The assembler works from the last instruction to the first. Classic BPF only
//! jumps forward, so every target is already in place when its jump is written,
//! and distances are known without a second pass.

/// `BPF_MAXINSNS` of linux/bpf_common.h.
pub(super) const MAX_INSTRUCTIONS: usize = 4096;

/// `BPF_LD | BPF_W | BPF_ABS`: A = 32 bits of `struct seccomp_data` at offset k.
pub(super) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`: A &= k.
pub(super) const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`: skip k instructions.
pub(super) const JUMP: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`
pub(super) const JEQ: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`
pub(super) const JGT: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`
pub(super) const JGE: u16 = 0x35;
/// `BPF_RET | BPF_K`
pub(super) const RET: u16 = 0x06;

/// Offset of `nr` in `struct seccomp_data`.
pub(super) const OFFSET_NR: u32 = 0;
/// Offset of `arch` in `struct seccomp_data`.
pub(super) const OFFSET_ARCH: u32 = 4;

/// Offset of the lower half of argument `index`; the upper half follows it
/// (both machines are little-endian).
pub(super) fn offset_argument(index: u8) -> u32 {
    16 + 8 * u32::from(index)
}

/// One classic BPF instruction, laid out as `struct sock_filter` (linux/filter.h).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Class, mode and operation.
    pub code: u16,
    /// Instructions to skip if the comparison holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// An instruction that is already in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// Collects a program backwards.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    /// The most recent `RET` of each value.
    returns: Vec<(u32, Label)>,
}

impl Assembler {
    /// Farthest conditional target that is used as it is. Two below what eight
    /// bits hold: bringing one target nearer moves the other away.
    const REACH: usize = 253;

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }

    /// How many instructions the next one has to skip to get to `label`.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label.0 - 1
    }

    /// A place that ends the filter with `value`, near enough for a conditional jump.
    pub(super) fn ret(&mut self, value: u32) -> Label {
        let known = self.returns.iter().position(|(v, _)| *v == value);
        if let Some(at) = known {
            let label = self.returns[at].1;
            if self.distance(label) <= Self::REACH {
                return label;
            }
            self.returns.swap_remove(at);
        }
        let label = self.push(RET, 0, 0, value);
        self.returns.push((value, label));
        label
    }

    /// `label` itself, or a stepping stone to it within a conditional jump's reach.
    fn near(&mut self, label: Label) -> Label {
        let distance = self.distance(label);
        if distance <= Self::REACH {
            return label;
        }
        match self.reversed[label.0] {
            Instruction { code: RET, k, .. } => self.ret(k),
            _ => self.jump(label),
        }
    }

    fn jump(&mut self, label: Label) -> Label {
        // Bounded by the length of the program, which is checked at the end.
        let k = u32::try_from(self.distance(label)).unwrap_or(u32::MAX);
        self.push(JUMP, 0, 0, k)
    }

    /// `if A <code> k { goto yes } else { goto no }`.
    pub(super) fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.near(yes), self.near(no));
        let skip = |label| u8::try_from(self.distance(label)).unwrap_or(u8::MAX);
        let (jt, jf) = (skip(yes), skip(no));
        self.push(code, jt, jf, k)
    }

    /// Loads the word at `offset` into A and goes on at `next`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.straight(LOAD, offset, next)
    }

    /// A &= `mask`, and on at `next`.
    pub(super) fn and(&mut self, mask: u32, next: Label) -> Label {
        self.straight(AND, mask, next)
    }

    /// An instruction that falls through: `next` has to follow it at once.
    fn straight(&mut self, code: u16, k: u32, next: Label) -> Label {
        if self.distance(next) != 0 {
            self.jump(next);
        }
        self.push(code, 0, 0, k)
    }

    /// The program, first instruction first. It starts with what was written last.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }
}
