//! Standard streams.

use krun_sys::fs::{Stat, fchownat, fstat, mknodat, openat, replace_stream};
use krun_sys::mount::{fsconfig_create, fsmount, fsopen};
use krun_sys::{Errno, Fd, OwnedFd, libc};

use super::channel::{At, Birth, Fail};
use super::path;
use crate::plan::flag;
use crate::step::Step;

/// The numbers of null (mem(4)).
const NULL: (u32, u32) = (1, 3);
/// What an owner without a number in this user namespace looks like (/proc/sys/kernel/overflowuid).
const OVERFLOW_UID: u32 = 65534;

/// Takes the streams that the parent chose.
pub fn adopt(birth: &Birth<'_>) -> Result<(), Fail> {
    for (stream, number) in (0u32..).zip(birth.view.plan.fds.stdio) {
        if number >= 0 {
            birth.handed.get(number).and_then(|fd| replace_stream(fd, stream)).on(Step::Stdio, stream)?;
        }
    }
    Ok(())
}

/// Gives the streams to the process's user, so that it can reopen /dev/stdout. The host's device nodes stay the
/// host's: null is swapped for the container's, and no other one gets a new owner.
pub fn own(birth: &Birth<'_>) -> Result<(), Fail> {
    let uid = birth.view.plan.identity.uid;
    for (at, stream) in (0u32..).zip(Fd::STREAMS) {
        let st = match fstat(stream) {
            Ok(st) => st,
            // A caller may leave a stream closed.
            Err(Errno::EBADF) => continue,
            Err(errno) => return Err(Fail::new(Step::Stdio, at, errno)),
        };
        let device = st.is(libc::S_IFCHR) || st.is(libc::S_IFBLK);
        if device && st.rdev == NULL {
            replace_null(at, &st).on(Step::Stdio, at)?;
        }
        // The terminal that was opened in the container is the container's.
        let host_s = device && !birth.view.has(flag::TERMINAL);
        if host_s || st.uid == uid {
            continue;
        }
        match fchownat(stream, c"", uid, u32::MAX, libc::AT_EMPTY_PATH) {
            // No id here for the owner, a read-only or foreign file system:
            // the stream still works, only /dev/stdout cannot be reopened.
            Ok(()) | Err(Errno::EINVAL | Errno::EPERM | Errno(libc::EROFS) | Errno::ENOSYS) => {}
            Err(errno) => return Err(Fail::new(Step::Stdio, at, errno)),
        }
    }
    Ok(())
}

/// Swaps the host's null for the container's: through a descriptor of the host's node the container could change
/// its mode, owner and times (fchmod(2)).
fn replace_null(stream: u32, host_s: &Stat) -> krun_sys::Result<()> {
    let fd = match containers_null().or_else(|_| new_null()) {
        Ok(fd) => fd,
        // Nobody in this user namespace owns the host's node.
        Err(_) if host_s.uid == OVERFLOW_UID => return Ok(()),
        Err(errno) => return Err(errno),
    };
    replace_stream(fd.as_fd(), stream)
}

fn containers_null() -> krun_sys::Result<OwnedFd> {
    // No link: with the privileges of this moment one of procfs (/proc/PID/root/dev/null) would be followed to the host.
    let fd = path::open_device(c"/dev/null")?;
    match fstat(fd.as_fd()) {
        Ok(st) if st.is(libc::S_IFCHR) && st.rdev == NULL => Ok(fd),
        _ => Err(Errno::ENODEV),
    }
}

/// A null of the process's own, on a file system that is attached nowhere.
fn new_null() -> krun_sys::Result<OwnedFd> {
    let fs = fsopen(c"tmpfs")?;
    let tree = fsconfig_create(fs.as_fd()).and_then(|()| fsmount(fs.as_fd(), 0))?;
    mknodat(tree.as_fd(), c"null", libc::S_IFCHR | 0o666, libc::makedev(NULL.0, NULL.1))?;
    openat(tree.as_fd(), c"null", libc::O_RDWR | libc::O_CLOEXEC, 0)
}
