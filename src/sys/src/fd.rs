//! Descriptors by their owners, as in `std::os::fd`, for programs without std too.
//!
//! Whoever opens a descriptor gets an [`OwnedFd`], which closes it when it is dropped. All others borrow
//! it as an [`Fd`], which cannot outlive the owner:
//!
//! ```compile_fail,E0505
//! let owner = krun_sys::fs::memfd_create(c"plan", 0).unwrap();
//! let borrowed = owner.as_fd();
//! drop(owner);
//! let _ = krun_sys::fs::write(borrowed, b"into somebody else's file");
//! ```
//!
//! Nothing closes a borrowed descriptor, and no number is made one:
//!
//! ```compile_fail,E0308
//! fn closes(_: krun_sys::OwnedFd) {}
//! closes(krun_sys::Fd::STDIN);
//! ```
//! ```compile_fail,E0423
//! let _ = krun_sys::fs::write(krun_sys::Fd(7), b"");
//! ```

use core::marker::PhantomData;

use crate::{libc, sys};

/// A descriptor that somebody else owns and that stays open for `'fd`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fd<'fd> {
    number: i32,
    owner: PhantomData<&'fd OwnedFd>,
}

impl Fd<'static> {
    /// The current directory for the *at calls (openat(2)).
    pub const CWD: Self = Self::new(libc::AT_FDCWD);
    /// Standard input. Nobody owns the standard streams; a closed one is EBADF.
    pub const STDIN: Self = Self::new(libc::STDIN_FILENO);
    /// Standard output.
    pub const STDOUT: Self = Self::new(libc::STDOUT_FILENO);
    /// Standard error.
    pub const STDERR: Self = Self::new(libc::STDERR_FILENO);
    /// All standard streams, each at its number.
    pub const STREAMS: [Self; 3] = [Self::STDIN, Self::STDOUT, Self::STDERR];
}

impl Fd<'_> {
    /// Whoever calls it knows that the number has an owner, who keeps it open for that long.
    pub(crate) const fn new(number: i32) -> Self {
        Fd { number, owner: PhantomData }
    }

    /// Its number, for texts and messages.
    pub const fn number(self) -> i32 {
        self.number
    }
}

/// A descriptor; dropping it closes it.
#[repr(transparent)]
#[derive(Debug)]
pub struct OwnedFd(i32);

impl OwnedFd {
    /// Whoever calls it has got the number from the kernel, and gives it to nobody else.
    pub(crate) const fn new(number: usize) -> Self {
        OwnedFd(number as i32)
    }

    /// The descriptor, to be used as long as its owner is there.
    pub const fn as_fd(&self) -> Fd<'_> {
        Fd::new(self.0)
    }

    /// Leaves it open for the rest of the process.
    pub const fn leak(self) -> Fd<'static> {
        let number = self.0;
        core::mem::forget(self);
        Fd::new(number)
    }
}

impl Drop for OwnedFd {
    /// close(2). An error leaves nothing to be done.
    fn drop(&mut self) {
        // SAFETY: no memory is passed, and the number is nobody else's.
        let _ = unsafe { sys!(libc::SYS_close, self.0) };
    }
}

#[cfg(feature = "std")]
mod with_std {
    extern crate std;

    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};

    use super::{Fd, OwnedFd};

    impl<'fd> Fd<'fd> {
        /// The descriptor of what std or another library owns.
        pub fn of(owner: &'fd impl AsFd) -> Self {
            owner.as_fd().into()
        }
    }

    impl<'fd> From<BorrowedFd<'fd>> for Fd<'fd> {
        fn from(fd: BorrowedFd<'fd>) -> Self {
            Fd::new(fd.as_raw_fd())
        }
    }

    impl AsFd for OwnedFd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            // SAFETY: it is open as long as its owner is there, and never -1.
            unsafe { BorrowedFd::borrow_raw(self.0) }
        }
    }

    impl From<OwnedFd> for std::os::fd::OwnedFd {
        fn from(fd: OwnedFd) -> Self {
            // SAFETY: the number has no other owner from here on, and is never -1.
            unsafe { Self::from_raw_fd(fd.leak().number()) }
        }
    }

    impl From<std::os::fd::OwnedFd> for OwnedFd {
        fn from(fd: std::os::fd::OwnedFd) -> Self {
            OwnedFd(fd.into_raw_fd())
        }
    }
}
