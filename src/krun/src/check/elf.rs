//! The little of an ELF file that decides whether this host's kernel can start it (elf(5)).
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// What an ELF header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// `e_machine`.
    pub machine: u16,
    /// 64-bit.
    pub wide: bool,
    /// Least significant byte first.
    pub little: bool,
    /// PT_INTERP: the dynamic loader.
    pub interpreter: Option<String>,
}

const EM_386: u16 = 3;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const PT_INTERP: u32 = 3;
/// Program headers beyond this many bytes are not read: linkers write a dozen.
const MOST_HEADERS: usize = 64 << 10;

impl Elf {
    /// Reads a file that begins with the ELF magic; nothing if it is cut short.
    pub fn read(file: &File) -> Option<Self> {
        let mut head = [0_u8; 64];
        let length = file.read_at(&mut head, 0).ok()?;
        let head = head.get(..length)?;
        let wide = *head.get(4)? == 2;
        let little = *head.get(5)? == 1;
        let number = Number { little };
        let machine = number.small(head, 18)?;
        let (table, entry, count) = if wide {
            (number.large(head, 32)?, number.small(head, 54)?, number.small(head, 56)?)
        } else {
            (u64::from(number.medium(head, 28)?), number.small(head, 42)?, number.small(head, 44)?)
        };
        let size = (usize::from(entry) * usize::from(count)).min(MOST_HEADERS);
        let mut headers = vec![0_u8; size];
        let length = file.read_at(&mut headers, table).ok()?;
        headers.truncate(length);
        let interpreter = interpreter(file, &headers, usize::from(entry).max(1), wide, number);
        Some(Self { machine, wide, little, interpreter })
    }

    /// The processor, as people call it.
    pub fn processor(&self) -> String {
        let name = match self.machine {
            EM_386 => "x86 (32-bit)",
            EM_X86_64 if self.wide => "x86-64",
            EM_X86_64 => "x86-64 (x32)",
            EM_ARM => "arm (32-bit)",
            EM_AARCH64 => "aarch64",
            2 | 18 | 43 => "sparc",
            8 => "mips",
            20 => "powerpc",
            21 if self.little => "ppc64le",
            21 => "ppc64",
            22 => "s390x",
            243 if self.wide => "riscv64",
            243 => "riscv32",
            258 => "loongarch64",
            number => return format!("for ELF machine {number}"),
        };
        name.to_owned()
    }

    /// Whether a kernel of `arch` (as [`std::env::consts::ARCH`] names it) may start it by itself. 32-bit programs count
    /// as startable where the processor family has them.
    pub fn runs_on(&self, arch: &str) -> bool {
        match arch {
            "x86_64" => self.little && matches!(self.machine, EM_386 | EM_X86_64),
            "aarch64" => self.little && matches!(self.machine, EM_AARCH64 | EM_ARM),
            _ => true,
        }
    }
}

fn interpreter(file: &File, headers: &[u8], entry: usize, wide: bool, number: Number) -> Option<String> {
    let header = headers.chunks_exact(entry).find(|header| number.medium(header, 0) == Some(PT_INTERP))?;
    let (offset, size) = if wide {
        (number.large(header, 8)?, number.large(header, 32)?)
    } else {
        (u64::from(number.medium(header, 4)?), u64::from(number.medium(header, 16)?))
    };
    let mut path = vec![0_u8; usize::try_from(size.min(4096)).ok()?];
    let length = file.read_at(&mut path, offset).ok()?;
    path.truncate(length);
    let path = path.split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(path).into_owned())
}

/// Reads numbers of the file's byte order.
#[derive(Clone, Copy)]
struct Number {
    little: bool,
}

impl Number {
    fn bytes<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn small(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = Self::bytes(bytes, at)?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn medium(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = Self::bytes(bytes, at)?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn large(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = Self::bytes(bytes, at)?;
        Some(if self.little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }
}
