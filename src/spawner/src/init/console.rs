//! The container's terminal.

use krun_sys::fs::{OpenHow, fstat, fstatfs_magic, openat2, replace_stream};
use krun_sys::mount::{OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, move_mount, open_tree};
use krun_sys::{Errno, Fd, OwnedFd, libc, tty};

use super::channel::{At, Birth, Fail};
use super::path::{self, Missing};
use super::rootfs::EMPTY_PATH;
use crate::plan::flag;
use crate::report::{Report, kind};
use crate::step::Step;

const DEVPTS_MAGIC: u64 = 0x1cd1;
/// Inode of ptmx in every devpts instance (fs/devpts/inode.c).
const PTMX_INODE: u64 = 2;

/// Allocates a pty in the container's own devpts, hands the master to the
/// parent and makes the slave the standard streams and /dev/console.
pub fn open(birth: &mut Birth<'_>) -> Result<(), Fail> {
    let master = open_ptmx()?;
    tty::unlock_pty(master.as_fd()).at(Step::ConsolePeer)?;
    // By the master itself: no /dev/pts/N that could be swapped (CVE-2025-52565).
    let slave = tty::pty_peer(master.as_fd()).at(Step::ConsolePeer)?;
    let process = birth.view.plan.process;
    if process.columns != 0 || process.rows != 0 {
        tty::set_winsize(slave.as_fd(), process.rows, process.columns).at(Step::ConsoleSize)?;
    }
    let number = tty::pty_number(master.as_fd()).at(Step::ConsolePeer)?;
    birth.channel.send_fd(Report::of(kind::CONSOLE, u64::from(number)), master.as_fd(), Step::ConsoleSend)?;
    drop(master);
    if birth.view.has(flag::ROOTFS) {
        mount_console(slave.as_fd())?;
    }
    for stream in 0..3 {
        replace_stream(slave.as_fd(), stream).on(Step::Stdio, stream)?;
    }
    Ok(())
}

/// Makes the terminal the session's.
pub fn control() -> Result<(), Fail> {
    tty::set_controlling(Fd::STDIN).at(Step::ConsoleAttach)
}

/// Opens /dev/pts/ptmx and makes sure that it is a devpts master: an image
/// could have put anything there.
fn open_ptmx() -> Result<OwnedFd, Fail> {
    #[allow(clippy::cast_sign_loss)] // flag bits
    let how = OpenHow {
        flags: (libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64,
        mode: 0,
        resolve: 0x10 | 0x04, // RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS
    };
    let path_only = path::open_without_links(Fd::CWD, c"/dev/pts/ptmx", 0);
    let checked = path_only.and_then(|fd| {
        let devpts = fstatfs_magic(fd.as_fd())? == DEVPTS_MAGIC && fstat(fd.as_fd())?.ino == PTMX_INODE;
        Ok(devpts)
    });
    if !checked.at(Step::ConsoleOpen)? {
        return Err(Fail::new(Step::ConsoleUntrusted, 0, Errno::EPERM));
    }
    let master = openat2(Fd::CWD, c"/dev/pts/ptmx", how).at(Step::ConsoleOpen)?;
    if fstatfs_magic(master.as_fd()).at(Step::ConsoleOpen)? != DEVPTS_MAGIC {
        return Err(Fail::new(Step::ConsoleUntrusted, 0, Errno::EPERM));
    }
    Ok(master)
}

fn mount_console(slave: Fd<'_>) -> Result<(), Fail> {
    let target =
        path::open_or_create(Fd::CWD, c"/dev/console", Missing::File, true).at(Step::ConsoleMount)?;
    let tree =
        open_tree(slave, c"", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | EMPTY_PATH).at(Step::ConsoleMount)?;
    move_mount(tree.as_fd(), target.as_fd()).at(Step::ConsoleMount)?;
    Ok(())
}
