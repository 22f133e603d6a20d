//! System call conventions: their numbers and how a filter recognises them.

use oci_spec::runtime::Arch;

use super::table::{ARM_PRIVATE, NO, Row, SYSCALLS};

/// Arm's private calls lie from this number on (`__ARM_NR_BASE`).
pub(super) const ARM_PRIVATE_FROM: u32 = 0x0f_0000;

/// Set in the number of every x32 call (`__X32_SYSCALL_BIT`); its `arch` is x86_64's.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// A system call convention. The order is that of the columns of [`SYSCALLS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abi {
    X86_64,
    X86,
    X32,
    Arm,
    Aarch64,
}

/// A machine, by its native convention: it decides which others can occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// The machine krun is built for.
    pub(super) const HOST: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    pub(super) fn native(self) -> Abi {
        match self {
            Self::X86_64 => Abi::X86_64,
            Self::Aarch64 => Abi::Aarch64,
        }
    }

    /// The convention an OCI name stands for, or `None` if no process on this
    /// machine can use it.
    pub(super) fn abi(self, arch: Arch) -> Option<Abi> {
        match (self, arch) {
            (_, Arch::ScmpArchNative) => Some(self.native()),
            (Self::X86_64, Arch::ScmpArchX86_64) => Some(Abi::X86_64),
            (Self::X86_64, Arch::ScmpArchX86) => Some(Abi::X86),
            (Self::X86_64, Arch::ScmpArchX32) => Some(Abi::X32),
            (Self::Aarch64, Arch::ScmpArchAarch64) => Some(Abi::Aarch64),
            (Self::Aarch64, Arch::ScmpArchArm) => Some(Abi::Arm),
            _ => None,
        }
    }
}

impl Abi {
    /// `AUDIT_ARCH_*` of linux/audit.h: `seccomp_data.arch`.
    pub(super) fn audit_arch(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Arm => 0x4000_0028,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// Whether arguments are compared with their lower 32 bits only, as
    /// libseccomp does it for these conventions.
    pub(super) fn is_32_bit(self) -> bool {
        matches!(self, Self::X86 | Self::X32 | Self::Arm)
    }

    /// The number of a call, or `None` if this convention lacks it.
    pub(super) fn number(self, call: Call) -> Option<u32> {
        match (call, self) {
            (Call::ArmPrivate(offset), Self::Arm) => Some(ARM_PRIVATE_FROM + offset),
            (Call::ArmPrivate(_), _) => None,
            (Call::Ordinary(row), _) => match row.1[self as usize] {
                NO => None,
                n if self == Self::X32 => Some(X32_BIT | u32::from(n)),
                n => Some(u32::from(n)),
            },
        }
    }
}

/// A system call that exists in at least one convention.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Ordinary(&'static Row),
    ArmPrivate(u32),
}

impl Call {
    /// Finds a call by its kernel name.
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Ok(at) = SYSCALLS.binary_search_by(|row| row.0.cmp(name)) {
            return Some(Self::Ordinary(&SYSCALLS[at]));
        }
        let private = ARM_PRIVATE.iter().find(|row| row.0 == name)?;
        Some(Self::ArmPrivate(private.1))
    }
}

/// Calls that i386 also reaches through a multiplexer: the multiplexer's name
/// and the value of its first argument (linux/net.h, linux/ipc.h).
///
/// `socket` and most others got numbers of their own in Linux 4.3 only, and
/// `send`, `recv` and `accept` never did.
pub(super) fn multiplexed(name: &str) -> Option<(&'static str, u64)> {
    const SOCKETCALL: [&str; 20] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    const IPC: [(&str, u64); 12] = [
        ("semop", 1),
        ("semget", 2),
        ("semctl", 3),
        ("semtimedop", 4),
        ("msgsnd", 11),
        ("msgrcv", 12),
        ("msgget", 13),
        ("msgctl", 14),
        ("shmat", 21),
        ("shmdt", 22),
        ("shmget", 23),
        ("shmctl", 24),
    ];
    if let Some(at) = SOCKETCALL.iter().position(|n| *n == name) {
        return Some(("socketcall", at as u64 + 1));
    }
    IPC.iter().find(|(n, _)| *n == name).map(|(_, op)| ("ipc", *op))
}
