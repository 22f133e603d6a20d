//! The interpreter that a program names: that of a script (`#!`, execve(2)) and that of an ELF file (PT_INTERP, elf(5)).
//!
//! The kernel looks it up by itself, so that a program could lead it through a magic link of procfs. krun looks
//! first. What cannot be read here (a program without read permission) is left to the kernel: no descriptor of the
//! host is open by then, and krun-init's own file is no program any more.

use core::ffi::CStr;

use krun_sys::fs::{close, pread, read};
use krun_sys::{Errno, Fd, Result};

use super::path::{PATH_MAX, open_to_read, open_without_magic_links};

/// How many interpreters of interpreters the kernel follows (fs/exec.c).
const DEEPEST: u32 = 5;
/// What the kernel reads of a script's first line (BINPRM_BUF_SIZE, Linux 5.1).
const HEAD: usize = 256;
/// Program headers that are looked at at once.
const HEADERS: usize = 16;

/// Follows the interpreters of the program at `path`.
///
/// # Errors
/// ELOOP for one that is reached through a magic link; everything else is the kernel's to say.
#[inline(never)] // its buffers are not for the usual stack frame
pub fn follow(path: &CStr) -> Result<()> {
    let (mut name, mut next) = ([0u8; PATH_MAX], [0u8; PATH_MAX]);
    let bytes = path.to_bytes_with_nul();
    let Some(room) = name.get_mut(..bytes.len()) else { return Ok(()) };
    room.copy_from_slice(bytes);
    for _ in 0..DEEPEST {
        let Ok(path) = CStr::from_bytes_until_nul(&name) else { return Ok(()) };
        let Ok(file) = open_to_read(path) else { return Ok(()) };
        let found = interpreter(file, &mut next);
        close(file);
        if !found {
            return Ok(());
        }
        let Ok(path) = CStr::from_bytes_until_nul(&next) else { return Ok(()) };
        match open_without_magic_links(path) {
            Ok(fd) => close(fd),
            Err(Errno::ELOOP) => return Err(Errno::ELOOP),
            Err(_) => return Ok(()),
        }
        (name, next) = (next, [0; PATH_MAX]);
    }
    Ok(())
}

/// Writes the path of the file's interpreter, with a NUL; `false` if it has none.
fn interpreter(file: Fd, to: &mut [u8; PATH_MAX]) -> bool {
    let mut head = [0u8; HEAD];
    let Ok(n) = read(file, &mut head) else { return false };
    match head.get(..n) {
        Some([b'#', b'!', line @ ..]) => copy(script(line), to),
        Some(elf @ [0x7f, b'E', b'L', b'F', ..]) => elf_interpreter(file, elf, to),
        _ => false,
    }
}

fn copy(text: &[u8], to: &mut [u8; PATH_MAX]) -> bool {
    let text = text.split(|byte| *byte == 0).next().unwrap_or(&[]);
    let fits = !text.is_empty() && text.len() < PATH_MAX;
    if let Some(room) = to.get_mut(..text.len()).filter(|_| fits) {
        room.copy_from_slice(text);
    }
    fits
}

/// The first word of the line.
fn script(line: &[u8]) -> &[u8] {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    line.get(start..).unwrap_or(&[]).split(blank).next().unwrap_or(&[])
}

/// Where the fields of the two classes of ELF files lie (elf(5)).
struct Layout {
    phoff: usize,
    phnum: usize,
    /// Size of a program header, and in it the file offset of the segment.
    header: usize,
    offset: usize,
    wide: bool,
}

const ELF32: Layout = Layout { phoff: 28, phnum: 44, header: 32, offset: 4, wide: false };
const ELF64: Layout = Layout { phoff: 32, phnum: 56, header: 56, offset: 8, wide: true };
const PT_INTERP: u64 = 3;

fn elf_interpreter(file: Fd, head: &[u8], to: &mut [u8; PATH_MAX]) -> bool {
    let layout = if head.get(4) == Some(&1) { ELF32 } else { ELF64 };
    let (Some(mut at), Some(mut left)) =
        (number(head, layout.phoff, layout.word()), number(head, layout.phnum, 2))
    else {
        return false;
    };
    let mut headers = [0u8; HEADERS * ELF64.header];
    while left > 0 {
        let Ok(n) = pread(file, &mut headers, at) else { return false };
        let read = headers.get(..n).unwrap_or(&[]).chunks_exact(layout.header);
        if read.len() == 0 {
            return false;
        }
        for header in read {
            if left == 0 {
                return false;
            }
            if number(header, 0, 4) == Some(PT_INTERP) {
                let Some(offset) = number(header, layout.offset, layout.word()) else { return false };
                let mut path = [0u8; PATH_MAX];
                let Ok(n) = pread(file, &mut path, offset) else { return false };
                return copy(path.get(..n).unwrap_or(&[]), to);
            }
            left = left.saturating_sub(1);
            at = at.saturating_add(layout.header as u64);
        }
    }
    false
}

impl Layout {
    /// Size of an address or offset in bytes.
    fn word(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }
}

/// A little endian number of `len` bytes: both processors are.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
