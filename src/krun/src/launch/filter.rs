//! The compiled seccomp program beside state.json, so that exec compiles nothing.

use std::ffi::CStr;

use crate::plan::seccomp::{Instruction, Program};
use crate::state::StateDir;

/// The file's name in the state directory.
pub const FILE: &CStr = c"seccomp.bpf";

/// Flags, listener, then the instructions as the kernel reads them.
#[must_use]
pub fn to_bytes(program: &Program) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + program.instructions.len() * 8);
    bytes.extend(program.flags.to_ne_bytes());
    bytes.extend(u32::from(program.notify).to_ne_bytes());
    for i in &program.instructions {
        bytes.extend(i.code.to_ne_bytes());
        bytes.extend([i.jt, i.jf]);
        bytes.extend(i.k.to_ne_bytes());
    }
    bytes
}

/// The program of a container; `None` if the file is not what krun writes.
pub fn read(dir: &StateDir) -> Option<Program> {
    let bytes = dir.read(FILE).ok()?;
    let (header, rest) = bytes.split_at_checked(8)?;
    let word = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_ne_bytes);
    let instruction = |b: &[u8]| match *b {
        [c0, c1, jt, jf, k0, k1, k2, k3] => Some(Instruction {
            code: u16::from_ne_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        }),
        _ => None,
    };
    let instructions = rest.chunks(8).map(instruction).collect::<Option<Vec<_>>>()?;
    (!instructions.is_empty()).then_some(())?;
    Some(Program { instructions, flags: word(header.get(..4)?)?, notify: word(header.get(4..)?)? != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_survives_the_file() {
        let program = Program {
            instructions: vec![Instruction { code: 0x20, jt: 1, jf: 2, k: 0xdead_beef }],
            flags: 9,
            notify: true,
        };
        let root = std::env::temp_dir().join(format!("krun-filter-{}", std::process::id()));
        let id = crate::state::ContainerId::new("x").expect("valid");
        let dir = StateDir::create(&root, &id).expect("a directory");
        assert!(read(&dir).is_none());
        dir.write_file(FILE, &to_bytes(&program)).expect("written");
        assert_eq!(read(&dir), Some(program));
        dir.remove().expect("removed");
        std::fs::remove_dir(&root).expect("empty");
    }
}
