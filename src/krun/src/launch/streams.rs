//! Standard streams that are devices of the host.
//!
//! Through a descriptor of a device node the container could change its mode, owner and times (fchmod(2)). So the
//! node is opened again through a mount of its own that is read-only: the device works, the node is out of reach.

use std::os::fd::{AsRawFd, OwnedFd};

use krun_sys::Fd;
use krun_sys::fs::fstat;
use krun_sys::mount::{MountAttr, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, mount_setattr, open_tree};
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use oci_spec::runtime::Process;

/// The numbers that go into a plan, and the descriptors that were opened for them.
#[derive(Debug)]
pub struct Streams {
    /// stdin, stdout, stderr; -1 inherits.
    pub numbers: [i32; 3],
    opened: Vec<OwnedFd>,
}

/// Opens again what is a device of the host among krun's own streams, where they are the container's (-1). What can't
/// be opened so (an ordinary user may clone no mount) stays as it is: it is the caller's to hand out.
pub fn of_the_host(numbers: [i32; 3], process: Option<&Process>) -> Streams {
    let mut streams = Streams { numbers, opened: Vec::new() };
    // It gets a terminal of the container's own instead.
    if process.is_some_and(|process| process.terminal() == Some(true)) {
        return streams;
    }
    for (number, own) in streams.numbers.iter_mut().zip(Fd::STREAMS) {
        if let Some(again) = (*number < 0).then(|| open_again(own)).flatten() {
            *number = again.as_raw_fd();
            streams.opened.push(again);
        }
    }
    streams
}

/// Opens a device again that has no effect of its own when it is opened.
fn open_again(stream: Fd<'static>) -> Option<OwnedFd> {
    let st = fstat(stream).ok().filter(|st| st.is(libc::S_IFCHR))?;
    // null is the child's to replace; memory devices; terminals, but not the master of a new one (devices.txt).
    let known = match st.rdev {
        (1, 3) | (5, 2) => false,
        (1 | 4 | 5 | 136..=143, _) => true,
        _ => false,
    };
    if !known {
        return None;
    }
    let empty = libc::AT_EMPTY_PATH.cast_unsigned();
    let node = open_tree(stream, c"", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | empty).ok()?;
    mount_setattr(node.as_fd(), c"", empty, &MountAttr::DEVICE).ok()?;
    let flags = OFlag::from_bits_truncate(krun_sys::fs::status_flags(stream).ok()?);
    let kept = flags & (OFlag::O_ACCMODE | OFlag::O_APPEND | OFlag::O_NONBLOCK);
    let path = format!("/proc/self/fd/{}", node.as_fd().number());
    open(path.as_str(), kept | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty()).ok()
}
