//! The C entry point of a program with std, without the set-up of Rust's
//! runtime: that reads /proc/self/maps to guard a stack which no krun
//! overflows, and costs sixteen system calls.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::fs::{is_cloexec, openat};
use crate::process::sigaction_simple;
use crate::{Errno, Fd, OwnedFd, libc};

/// Defines `main`, which calls a `fn() -> i32` and exits with its result, at once: what is to be
/// flushed is flushed by then, and what the C library does at exit is for others. The arguments
/// are in [`arguments`](crate::entry::arguments) (std has them only where the C library is glibc),
/// the environment is where it always is.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(argc: i32, argv: *const *const ::core::ffi::c_char) -> i32 {
            // SAFETY: this is what the C library hands to main.
            unsafe { $crate::entry::prepare(argc, argv) };
            $crate::process::exit($main())
        }

        // glibc's start asks /proc/self/exe for the directory of a program, in case it loads libraries. A static one
        // does not, and the first look into /proc is 30 us of a process that lives for 800. -1 is "unknown".
        #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
        #[unsafe(no_mangle)]
        extern "C" fn _dl_get_origin() -> *const ::core::ffi::c_char {
            ::core::ptr::without_provenance(usize::MAX)
        }
    };
}

static ARGC: AtomicUsize = AtomicUsize::new(0);
static ARGV: AtomicPtr<*const c_char> = AtomicPtr::new(core::ptr::null_mut());

/// The program's arguments, its own name first; none in a program without [`entry!`](crate::entry!).
pub fn arguments() -> impl Iterator<Item = &'static CStr> {
    let (count, first) = (ARGC.load(Ordering::Relaxed), ARGV.load(Ordering::Relaxed));
    // SAFETY: prepare() was handed `count` strings, which the kernel put there for the whole life of the process.
    (0..count).map(move |i| unsafe { CStr::from_ptr(*first.add(i)) })
}

/// What of the runtime's set-up is wanted: the arguments are kept, descriptors 0 to 2 are open, so
/// that no file of ours becomes a container's stdio, and SIGPIPE is an errno.
///
/// # Safety
/// The arguments are those of main.
#[doc(hidden)]
pub unsafe fn prepare(argc: i32, argv: *const *const c_char) {
    ARGV.store(argv.cast_mut(), Ordering::Relaxed);
    ARGC.store(usize::try_from(argc).unwrap_or(0), Ordering::Relaxed);
    for fd in 0..3 {
        if is_cloexec(fd) == Err(Errno::EBADF) {
            // The lowest free number is this one.
            let _ = openat(Fd::CWD, c"/dev/null", libc::O_RDWR, 0).map(OwnedFd::leak);
        }
    }
    let _ = sigaction_simple(libc::SIGPIPE, true);
}
