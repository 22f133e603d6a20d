//! Names of errno values, as tests and reports write them.

macro_rules! names {
    ($($n:ident)*) => {
        /// The name of an errno, `E<number>` when it isn't in the list.
        pub fn name(errno: i32) -> String {
            match errno { $(libc::$n => stringify!($n).to_owned(),)* n => format!("E{n}") }
        }
    };
}

names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK
    EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE
    EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENODATA EOVERFLOW
    EUSERS ENOTSOCK EOPNOTSUPP EAFNOSUPPORT EADDRINUSE ENETUNREACH ECONNREFUSED ETIMEDOUT EHOSTUNREACH
    ESTALE EDQUOT ENOKEY EKEYREVOKED
}
