//! The kernel's error numbers.

/// An error number as the kernel returns it (errno(3)); always positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

/// What every wrapper returns.
pub type Result<T> = core::result::Result<T, Errno>;

macro_rules! names {
    ($($name:ident),* $(,)?) => {
        #[allow(missing_docs)]
        impl Errno {
            $(pub const $name: Errno = Errno(libc::$name);)*
        }
    };
}

names!(
    EPERM,
    ENOENT,
    ESRCH,
    EINTR,
    EIO,
    ENXIO,
    EBADF,
    EAGAIN,
    ENOMEM,
    EACCES,
    EBUSY,
    EEXIST,
    EXDEV,
    ENODEV,
    ENOTDIR,
    EISDIR,
    EINVAL,
    ENOSPC,
    ERANGE,
    ENAMETOOLONG,
    ENOSYS,
    ENOTEMPTY,
    ELOOP,
    EOPNOTSUPP,
    EPROTO,
    EPIPE,
    ETIMEDOUT,
    ENOTTY,
    ECANCELED,
    ECONNRESET,
    ENOEXEC,
    ENOLCK,
    E2BIG,
);

impl Errno {
    /// Turns the kernel's return value into a result.
    #[inline(always)]
    pub(crate) fn check(ret: isize) -> Result<usize> {
        if (-4095..0).contains(&ret) { Err(Errno((-ret) as i32)) } else { Ok(ret as usize) }
    }
}
