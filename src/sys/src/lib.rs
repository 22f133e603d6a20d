#![no_std]
//! Raw Linux system calls: the only unsafe code of the workspace.
//!
//! One module per area of the kernel; every wrapper keeps the name of its man
//! page and returns the kernel's errno. Nothing here allocates, locks or calls
//! a C library, so that every wrapper may be used in the child of a threaded
//! process between `clone3` and `execve`.

// Arguments and results travel in registers: 64-bit targets only.
#![allow(clippy::cast_possible_truncation)]

mod arch;
pub mod bpf;
#[cfg(feature = "std")]
pub mod entry;
mod errno;
pub mod fd;
pub mod fs;
pub mod handed;
#[cfg(all(feature = "std", target_env = "musl"))]
pub mod heap;
pub mod identity;
pub mod keys;
pub mod loopdev;
pub mod mem;
pub mod mount;
pub mod net;
pub mod plain;
pub mod process;
#[cfg(feature = "program")]
pub mod program;
pub mod sched;
pub mod socket;
#[cfg(feature = "std")]
pub mod spent;
pub mod tty;
pub mod window;

pub use errno::{Errno, Result};
pub use fd::{Fd, OwnedFd};
pub use libc;

/// Calls the kernel with up to six integer arguments.
///
/// The expansion is an `unsafe` call: the caller states why the arguments are
/// valid for the duration of the call.
#[macro_export]
#[doc(hidden)]
macro_rules! sys {
    ($nr:expr $(, $arg:expr)* $(,)?) => {
        $crate::sys!(@pad $nr; $($arg as usize,)* ; 0usize, 0usize, 0usize, 0usize, 0usize, 0usize)
    };
    (@pad $nr:expr; $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr, ; $($z:expr),*) => {
        $crate::Errno::check($crate::arch::syscall6($nr as usize, $a, $b, $c, $d, $e, $f))
    };
    (@pad $nr:expr; $($a:expr,)* ; $z:expr $(, $rest:expr)*) => {
        $crate::sys!(@pad $nr; $($a,)* $z, ; $($rest),*)
    };
}
