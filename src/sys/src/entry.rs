//! The C entry point of a program with std, without the set-up of Rust's
//! runtime: that reads /proc/self/maps to guard a stack which no krun
//! overflows, and costs sixteen system calls.

use crate::fs::{Fd, fcntl, openat};
use crate::process::sigaction_simple;
use crate::{Errno, libc};

/// Defines `main`, which calls a `fn() -> i32` and exits with its result, at once: what is to be
/// flushed is flushed by then, and what the C library does at exit is for others. Arguments and environment are where they always are: the C library hands
/// them to std by itself.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(_: i32, _: *const *const ::core::ffi::c_char) -> i32 {
            $crate::entry::prepare();
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

/// What of the runtime's set-up is wanted: descriptors 0 to 2 are open, so that
/// no file of ours becomes a container's stdio, and SIGPIPE is an errno.
#[doc(hidden)]
pub fn prepare() {
    for fd in 0..3 {
        if fcntl(Fd(fd), libc::F_GETFD, 0) == Err(Errno::EBADF) {
            // The lowest free number is this one.
            let _ = openat(Fd::CWD, c"/dev/null", libc::O_RDWR, 0);
        }
    }
    let _ = sigaction_simple(libc::SIGPIPE, true);
}
