//! A walk over a cgroup and all that is below it.
//!
//! A container with a writable cgroup nests as deep and as wide as it likes
//! (cgroup.max.depth has no limit unless the host sets one). So the walk goes
//! down and up with one open directory, and what it has to remember is on the
//! heap: neither RLIMIT_NOFILE nor the stack ends it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::file::open_at;

/// What the walk has come to.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A cgroup, before those below it; the top comes first.
    Enter(BorrowedFd<'a>),
    /// A cgroup below the top, by its parent and its name, after those below it.
    Leave(BorrowedFd<'a>, &'a CStr),
    /// One that can't be opened, by its parent and its name.
    Shut(BorrowedFd<'a>, &'a CStr, Errno),
}

/// Whether a cgroup was removed while it was looked at.
pub(super) const fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV)
}

/// Visits `top` and every cgroup below it. Those that come or go meanwhile are
/// visited or not.
///
/// # Errors
/// The visitor's; the errno of openat(2) or getdents(2).
pub(super) fn walk(
    top: BorrowedFd<'_>,
    mut visit: impl FnMut(Step<'_>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut here = match open_dir_at(top, c".") {
        Err(errno) if is_gone(errno) => return Ok(()),
        other => other?,
    };
    visit(Step::Enter(here.as_fd()))?;
    let mut todo = children(here.as_fd())?;
    // The names from the top to here, each with its siblings that are still to be visited.
    let mut above: Vec<(CString, Vec<CString>)> = Vec::new();
    loop {
        if let Some(name) = todo.pop() {
            match open_dir_at(here.as_fd(), &name) {
                Ok(child) => here = child,
                Err(errno) if is_gone(errno) => continue,
                Err(errno) => {
                    visit(Step::Shut(here.as_fd(), &name, errno))?;
                    continue;
                }
            }
            visit(Step::Enter(here.as_fd()))?;
            let below = children(here.as_fd())?;
            above.push((name, std::mem::replace(&mut todo, below)));
        } else {
            let Some((name, siblings)) = above.pop() else { return Ok(()) };
            // Always the same parent: cgroup v2 renames no directory. It is found even from one that was removed.
            here = open_dir_at(here.as_fd(), c"..")?;
            visit(Step::Leave(here.as_fd(), &name))?;
            todo = siblings;
        }
    }
}

fn open_dir_at(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_at(dir, name, OFlag::O_DIRECTORY)
}

/// Names of the sub-cgroups of `dir`: any bytes, whatever the container chose.
fn children(dir: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    match names(dir) {
        Err(errno) if is_gone(errno) => Ok(Vec::new()),
        other => other,
    }
}

fn names(dir: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let own = open_dir_at(dir, c".")?;
    let mut names = Vec::new();
    for entry in Dir::from_fd(own)?.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == Some(Type::Directory) && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::cgroup::mountpoint;

    /// The order is the same from one walk to the next, and a cgroup that goes while the walk is in it
    /// takes nothing else along.
    #[test]
    fn the_walk_finds_its_way_back_from_a_cgroup_that_was_removed() {
        let top = mountpoint().unwrap().join(format!("krun-walk-{}", std::process::id()));
        for sub in ["a/b/c", "a/d", "e/f"] {
            fs::create_dir_all(top.join(sub)).unwrap();
        }
        let dir = fs::File::open(&top).unwrap();
        let mut left = Vec::new();
        let mut removed = false;
        walk(dir.as_fd(), |step| {
            match step {
                // The first that has nothing below it is the deepest on the way.
                Step::Enter(_) if !removed => removed = fs::remove_dir(top.join("a/b/c")).is_ok(),
                Step::Leave(parent, name) => {
                    left.push(name.to_string_lossy().into_owned());
                    let _ = nix::unistd::unlinkat(parent, name, nix::unistd::UnlinkatFlags::RemoveDir);
                }
                _ => {}
            }
            Ok(())
        })
        .unwrap();
        left.sort_unstable();
        assert_eq!(left, ["a", "b", "d", "e", "f"]);
        fs::remove_dir(top).unwrap();
    }

    #[test]
    fn each_cgroup_may_go_while_the_walk_is_in_it() {
        let top = mountpoint().unwrap().join(format!("krun-walk-in-{}", std::process::id()));
        fs::create_dir_all(top.join("a/b")).unwrap();
        let dir = fs::File::open(&top).unwrap();
        let mut entered = 0;
        walk(dir.as_fd(), |step| {
            if let Step::Enter(_) = step {
                entered += 1;
                if entered == 3 {
                    fs::remove_dir(top.join("a/b")).unwrap();
                    fs::remove_dir(top.join("a")).unwrap();
                }
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(entered, 3);
        fs::remove_dir(top).unwrap();
    }
}
