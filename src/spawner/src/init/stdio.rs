//! Standard streams.

use krun_sys::fs::{close, dup3, fchownat, fstat, openat};
use krun_sys::{Errno, Fd, libc};

use super::channel::{At, Birth, Fail};
use crate::plan::flag;
use crate::step::Step;

const NULL: (u32, u32) = (1, 3);

/// Takes the streams that the parent chose.
pub fn adopt(birth: &Birth<'_>) -> Result<(), Fail> {
    for (stream, fd) in (0i32..).zip(birth.view.plan.fds.stdio) {
        if fd >= 0 {
            dup3(Fd(fd), Fd(stream), 0).on(Step::Stdio, stream.unsigned_abs())?;
        }
    }
    Ok(())
}

/// Gives the streams to the process's user, so that it can reopen
/// /dev/stdout; and swaps the host's /dev/null for the container's.
pub fn own(birth: &Birth<'_>) -> Result<(), Fail> {
    let uid = birth.view.plan.identity.uid;
    for stream in 0i32..3 {
        let at = stream.unsigned_abs();
        let st = match fstat(Fd(stream)) {
            Ok(st) => st,
            // A caller may leave a stream closed.
            Err(Errno::EBADF) => continue,
            Err(errno) => return Err(Fail::new(Step::Stdio, at, errno)),
        };
        if st.is(libc::S_IFCHR) && st.rdev == NULL {
            if birth.view.has(flag::REOPEN_NULL) {
                reopen_null(stream).on(Step::Stdio, at)?;
            }
            continue;
        }
        if st.uid == uid {
            continue;
        }
        match fchownat(Fd(stream), c"", uid, u32::MAX, libc::AT_EMPTY_PATH) {
            // No id here for the owner, a read-only or foreign file system:
            // the stream still works, only /dev/stdout cannot be reopened.
            Ok(()) | Err(Errno::EINVAL | Errno::EPERM | Errno(libc::EROFS) | Errno::ENOSYS) => {}
            Err(errno) => return Err(Fail::new(Step::Stdio, at, errno)),
        }
    }
    Ok(())
}

fn reopen_null(stream: i32) -> krun_sys::Result<()> {
    let fd = match openat(Fd::CWD, c"/dev/null", libc::O_RDWR | libc::O_CLOEXEC, 0) {
        // A container without /dev/null keeps the host's.
        Err(Errno::ENOENT | Errno::ENXIO | Errno::EACCES | Errno::EPERM) => return Ok(()),
        done => done?,
    };
    let st = fstat(fd)?;
    if st.is(libc::S_IFCHR) && st.rdev == NULL {
        dup3(fd, Fd(stream), 0)?;
    }
    close(fd);
    Ok(())
}
