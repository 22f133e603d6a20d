//! The device filter of the default bundle: nodes may be made, and the usual
//! ones be read and written.

use krun_sys::bpf::Insn;

const CHARACTER: i32 = 2;
const RIGHTS: [(i32, Option<i32>); 8] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(2)), // ptmx
    (136, None),  // pts
];

/// r = *(u32 *)(r1 + off)
fn load(register: u8, off: i16) -> Insn {
    Insn { code: 0x61, regs: 0x10 | register, off, imm: 0 }
}

/// if r != imm skip that many instructions
fn unless(register: u8, imm: i32, off: i16) -> Insn {
    Insn { code: 0x55, regs: register, off, imm }
}

/// return imm
fn verdict(imm: i32) -> [Insn; 2] {
    [Insn { code: 0xb7, regs: 0, off: 0, imm }, Insn { code: 0x95, regs: 0, off: 0, imm: 0 }]
}

/// The program, for `struct bpf_cgroup_dev_ctx` (linux/bpf.h).
pub fn program() -> Vec<Insn> {
    let mut code = vec![load(2, 0), load(4, 4), load(5, 8)];
    // r3 = access (high half), r2 = type (low half)
    code.push(Insn { code: 0xbf, regs: 0x23, off: 0, imm: 0 });
    code.push(Insn { code: 0x54, regs: 2, off: 0, imm: 0xffff });
    code.push(Insn { code: 0x74, regs: 3, off: 0, imm: 16 });
    // mknod alone
    code.push(unless(3, 1, 2));
    code.extend(verdict(1));
    code.push(unless(2, CHARACTER, 2 + RIGHTS.iter().map(|r| 3 + i16::from(r.1.is_some())).sum::<i16>() - 2));
    for (major, minor) in RIGHTS {
        match minor {
            Some(minor) => code.extend([unless(4, major, 3), unless(5, minor, 2)]),
            None => code.push(unless(4, major, 2)),
        }
        code.extend(verdict(1));
    }
    code.extend(verdict(0));
    code
}
