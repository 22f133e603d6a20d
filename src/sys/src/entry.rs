//! The C entry point of a program with std, without the set-up of Rust's
//! runtime: that reads /proc/self/maps to guard a stack which no krun
//! overflows, and costs sixteen system calls.

use crate::fs::{Fd, fcntl, openat};
use crate::process::sigaction_simple;
use crate::{Errno, libc};

/// Defines `main`, which calls a `fn() -> i32` and exits with its result.
/// Arguments and environment are where they always are: the C library hands
/// them to std by itself.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(_: i32, _: *const *const ::core::ffi::c_char) -> i32 {
            $crate::entry::prepare();
            ::std::process::exit($main())
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
