//! Classic BPF as the kernel checks and runs it for seccomp.

use crate::plan::seccomp::Instruction;
use crate::plan::seccomp::bpf::{AND, JEQ, JGE, JGT, JUMP, LOAD, RET};

/// `struct seccomp_data` (the instruction pointer is never looked at).
#[derive(Clone, Copy, Debug)]
pub struct Data {
    pub nr: u32,
    pub arch: u32,
    pub args: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.nr,
            4 => self.arch,
            16..=60 if offset.is_multiple_of(4) => {
                let argument = self.args[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
            }
            _ => panic!("load at {offset}"),
        }
    }
}

/// What bpf_check_classic() and seccomp_check_filter() of the kernel ask for.
pub fn check(program: &[Instruction]) {
    assert!((1..=4096).contains(&program.len()), "{} instructions", program.len());
    for (at, i) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        match i.code {
            LOAD | AND => assert!(left > 0),
            JUMP => assert!((i.k as usize) < left, "{at}: jump out of the program"),
            JEQ | JGT | JGE => {
                assert!(usize::from(i.jt.max(i.jf)) < left, "{at}: branch out of the program");
            }
            RET => {}
            code => panic!("{at}: code {code:#x}"),
        }
    }
    assert_eq!(program.last().unwrap().code, RET);
}

/// Runs the program; the value it returns and how many instructions that took.
pub fn run(program: &[Instruction], data: &Data) -> (u32, usize) {
    let (mut at, mut a, mut steps) = (0, 0, 0);
    loop {
        let i = program[at];
        at += 1;
        steps += 1;
        let holds = match i.code {
            LOAD => {
                a = data.word(i.k);
                continue;
            }
            AND => {
                a &= i.k;
                continue;
            }
            JUMP => {
                at += i.k as usize;
                continue;
            }
            RET => return (i.k, steps),
            JEQ => a == i.k,
            JGT => a > i.k,
            JGE => a >= i.k,
            code => panic!("code {code:#x}"),
        };
        at += usize::from(if holds { i.jt } else { i.jf });
    }
}
