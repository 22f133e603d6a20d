//! A filter as text, for `krun plan`.

use super::Program;
use super::action::Return;
use super::bpf::{AND, Instruction, JEQ, JGE, JGT, JUMP, LOAD, OFFSET_ARCH, OFFSET_NR, RET};

/// The program, one instruction a line; jump targets are line numbers.
pub fn dump(program: &Program) -> impl Iterator<Item = String> {
    let lines = program.instructions.iter().enumerate();
    lines.map(|(at, instruction)| format!("{at:>4}: {}", text(at, *instruction)))
}

fn text(at: usize, instruction: Instruction) -> String {
    let Instruction { code, jt, jf, k } = instruction;
    let test = |sign| {
        let (yes, no) = (at + 1 + usize::from(jt), at + 1 + usize::from(jf));
        format!("if A {sign} {k:#x} goto {yes} else {no}")
    };
    match code {
        LOAD => format!("A = {}", field(k)),
        AND => format!("A &= {k:#x}"),
        JUMP => format!("goto {}", at + 1 + k as usize),
        JEQ => test("=="),
        JGT => test(">"),
        JGE => test(">="),
        RET => format!("return {}", action(Return(k))),
        _ => format!("code {code:#x} jt {jt} jf {jf} k {k:#x}"),
    }
}

/// A word of `struct seccomp_data`.
fn field(offset: u32) -> String {
    match offset {
        OFFSET_NR => "nr".to_owned(),
        OFFSET_ARCH => "arch".to_owned(),
        16..64 => {
            let half = if offset.is_multiple_of(8) { "low" } else { "high" };
            format!("args[{}].{half}", (offset - 16) / 8)
        }
        _ => format!("data[{offset}]"),
    }
}

fn action(value: Return) -> String {
    let data = value.0 & 0xffff;
    match value.action() {
        Return::KILL_PROCESS => "KILL_PROCESS".to_owned(),
        Return::KILL_THREAD => "KILL_THREAD".to_owned(),
        Return::TRAP => "TRAP".to_owned(),
        Return::ERRNO => format!("ERRNO({data})"),
        Return::NOTIFY => "NOTIFY".to_owned(),
        Return::TRACE => format!("TRACE({data})"),
        Return::LOG => "LOG".to_owned(),
        Return::ALLOW => "ALLOW".to_owned(),
        Return(other) => format!("{other:#x}"),
    }
}
