//! Tiny ELF files for the diagnosis of entry points: headers that the kernel
//! and the runtime read, no code that could run.

/// e_machine of x86-64, see elf(5).
pub const X86_64: u16 = 62;
/// e_machine of aarch64.
pub const AARCH64: u16 = 183;

/// The machine these tests run on.
pub fn native() -> u16 {
    if cfg!(target_arch = "aarch64") { AARCH64 } else { X86_64 }
}

/// The one they don't.
pub fn foreign() -> u16 {
    if cfg!(target_arch = "aarch64") { X86_64 } else { AARCH64 }
}

/// A 64 bit little endian executable for `machine`, with an interpreter or static.
pub fn executable(machine: u16, interpreter: Option<&str>) -> Vec<u8> {
    const EHDR: u16 = 64;
    const PHDR: u16 = 56;
    let phnum: u16 = if interpreter.is_some() { 2 } else { 1 };
    let path = interpreter.map(|i| [i.as_bytes(), b"\0"].concat()).unwrap_or_default();
    let path_at = u64::from(EHDR + 2 * PHDR);
    let mut f = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |f: &mut Vec<u8>, v: u16| f.extend(v.to_le_bytes());
    let word = |f: &mut Vec<u8>, v: u32| f.extend(v.to_le_bytes());
    let long = |f: &mut Vec<u8>, v: u64| f.extend(v.to_le_bytes());
    half(&mut f, 2); // ET_EXEC
    half(&mut f, machine);
    word(&mut f, 1);
    long(&mut f, 0x40_0000 + 240);
    long(&mut f, EHDR.into());
    long(&mut f, 0);
    word(&mut f, 0);
    for v in [EHDR, PHDR, phnum, 0, 0, 0] {
        half(&mut f, v);
    }
    let mut header = |kind: u32, offset: u64, size: u64| {
        word(&mut f, kind);
        word(&mut f, 5);
        for v in [offset, 0x40_0000 + offset, 0x40_0000 + offset, size, size, 0x1000] {
            long(&mut f, v);
        }
    };
    if interpreter.is_some() {
        header(3, path_at, path.len() as u64);
    }
    header(1, 0, 4096);
    f.resize(usize::from(EHDR + 2 * PHDR), 0);
    f.extend(path);
    f.resize(4096, 0xcc);
    f
}
