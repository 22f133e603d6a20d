//! The interpreter that a program names: that of a script (`#!`, execve(2)) and that of an ELF file (PT_INTERP, elf(5)).
//!
//! The kernel looks it up by itself, so that a program could lead it through a magic link of procfs. krun looks
//! first. What cannot be read here (a program without read permission) is left to the kernel: no descriptor of the
//! host is open by then, and krun-init's own file is no program any more.

use core::ffi::CStr;

use krun_sys::fs::{fstat, pread};
use krun_sys::{Errno, Fd, OwnedFd, Result, libc};

use super::path::{PATH_MAX, open_to_read, open_without_magic_links};

/// How many interpreters of interpreters the kernel follows (fs/exec.c).
const DEEPEST: u32 = 5;
/// What the kernel reads of a script's first line (BINPRM_BUF_SIZE, Linux 5.1).
const HEAD: usize = 256;
/// Program headers that are looked at at once.
const HEADERS: usize = 16;

/// What a file's first bytes say of its interpreter.
enum Named {
    /// It has none.
    Nothing,
    /// It is a script: its name stands in the first line.
    Script,
    /// It is an ELF file: its name lies at this offset.
    At(u64),
}

/// Follows the interpreters of the program at `path`, a regular file.
///
/// # Errors
/// ELOOP for one that is reached through a magic link; everything else is the kernel's to say.
pub fn follow(path: &CStr) -> Result<()> {
    let Ok(file) = open_to_read(path) else { return Ok(()) };
    match named(file.as_fd()) {
        Named::Nothing => Ok(()),
        named => follow_from(file, named),
    }
}

#[inline(never)] // its buffer is not for the usual stack frame
fn follow_from(mut file: OwnedFd, mut this: Named) -> Result<()> {
    let mut name = [0u8; PATH_MAX];
    for _ in 0..DEEPEST {
        let Some(path) = read_name(file.as_fd(), &this, &mut name) else { return Ok(()) };
        match open_without_magic_links(path) {
            Ok(fd) if fstat(fd.as_fd()).is_ok_and(|st| st.is(libc::S_IFREG)) => {}
            Ok(_) => return Ok(()),
            Err(Errno::ELOOP) => return Err(Errno::ELOOP),
            Err(_) => return Ok(()),
        }
        match open_to_read(path) {
            Ok(next) => file = next,
            Err(_) => return Ok(()),
        }
        this = named(file.as_fd());
    }
    Ok(())
}

fn named(file: Fd<'_>) -> Named {
    let mut head = [0u8; HEAD];
    let Ok(n) = pread(file, &mut head, 0) else { return Named::Nothing };
    match head.get(..n) {
        Some([b'#', b'!', ..]) => Named::Script,
        Some(elf @ [0x7f, b'E', b'L', b'F', ..]) => {
            elf_interpreter(file, elf).map_or(Named::Nothing, Named::At)
        }
        _ => Named::Nothing,
    }
}

/// The name, cut at its end.
fn read_name<'a>(file: Fd<'_>, named: &Named, buf: &'a mut [u8; PATH_MAX]) -> Option<&'a CStr> {
    let (offset, len) = match named {
        Named::Nothing => return None,
        Named::Script => (2, HEAD.saturating_sub(2)),
        Named::At(offset) => (*offset, PATH_MAX),
    };
    let n = pread(file, buf.get_mut(..len)?, offset).ok()?;
    let text = buf.get(..n)?;
    let range = match named {
        Named::Script => first_word(text),
        _ => 0..text.iter().position(|byte| *byte == 0)?,
    };
    let (start, end) = (range.start, range.end);
    *buf.get_mut(end)? = 0;
    CStr::from_bytes_until_nul(buf.get(start..)?).ok().filter(|name| !name.is_empty())
}

/// Where the first word of the line lies.
fn first_word(text: &[u8]) -> core::ops::Range<usize> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let rest = text.get(start..).unwrap_or(&[]);
    let len = rest.iter().position(|byte| blank(byte) || matches!(byte, b'\n' | 0)).unwrap_or(rest.len());
    start..start.saturating_add(len)
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

/// The offset of the name in the file.
fn elf_interpreter(file: Fd<'_>, head: &[u8]) -> Option<u64> {
    let layout = if head.get(4) == Some(&1) { ELF32 } else { ELF64 };
    let mut at = number(head, layout.phoff, layout.word())?;
    let mut left = number(head, layout.phnum, 2)?;
    let mut headers = [0u8; HEADERS * ELF64.header];
    while left > 0 {
        let n = pread(file, &mut headers, at).ok()?;
        let read = headers.get(..n)?.chunks_exact(layout.header);
        if read.len() == 0 {
            return None;
        }
        for header in read {
            if left == 0 {
                return None;
            }
            if number(header, 0, 4) == Some(PT_INTERP) {
                return number(header, layout.offset, layout.word());
            }
            left = left.saturating_sub(1);
            at = at.saturating_add(layout.header as u64);
        }
    }
    None
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
