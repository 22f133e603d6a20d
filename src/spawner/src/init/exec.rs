//! The end of the story: the program is found, the gate opens, krun-init is gone.

use core::ffi::CStr;

use krun_sys::fs::{faccessat2, fstat, openat, read};
use krun_sys::{Errno, Fd, libc, process};

use super::channel::{At, Birth, Fail};
use super::interpreter;
use super::path::open_without_magic_links;
use crate::report::{Report, kind};
use crate::step::Step;

/// Finds the program, so that a missing one fails `create` and not `start`;
/// and its HOME.
pub fn find(birth: &mut Birth<'_>) -> Result<&'static CStr, Fail> {
    let (arena, plan) = (birth.view.arena, birth.view.plan);
    let mut worst = Errno::ENOENT;
    for candidate in arena.slice(plan.process.candidates) {
        let path = arena.cstr(*candidate);
        match executable(path) {
            Ok(()) => {
                if plan.process.find_home != 0 {
                    home(plan.identity.uid, birth.home);
                }
                return Ok(path);
            }
            // As a shell does: go on looking, but remember what was there.
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            // A link of procfs, or links in a circle, which the kernel says in the same way.
            Err(Errno::ELOOP) => return Err(Fail::new(Step::MagicLink, 0, Errno::ELOOP)),
            Err(errno) => worst = errno,
        }
    }
    Err(Fail::new(Step::Lookup, 0, worst))
}

fn executable(path: &CStr) -> krun_sys::Result<()> {
    let fd = open_without_magic_links(path)?;
    let allowed = || faccessat2(fd.as_fd(), c"", libc::X_OK, libc::AT_EACCESS | libc::AT_EMPTY_PATH);
    let is_regular = fstat(fd.as_fd()).and_then(|st| match st.mode & libc::S_IFMT {
        libc::S_IFDIR => Err(Errno::EISDIR),
        kind => allowed().map(|()| kind == libc::S_IFREG),
    })?;
    drop(fd);
    if is_regular { interpreter::follow(path) } else { Ok(()) }
}

/// A container that has not started can be ended as one that has; execve takes the handlers away.
pub fn end_by_signals() -> Result<(), Fail> {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        process::sigaction_exit(signal).at(Step::SignalReset)?;
    }
    Ok(())
}

/// Says that all is well and waits for `start`. The FIFO is open for writing
/// here too, so that it does not read as ended before anyone came.
pub fn stand_at_gate(birth: &mut Birth<'_>) -> Result<(), Fail> {
    birth.channel.say(Report::of(kind::GATE, 0), Step::Gate)?;
    birth.channel.past_gate();
    birth.channel.await_gate().at(Step::Gate)
}

/// Becomes the program.
pub fn go(birth: &Birth<'_>, program: &CStr) -> Fail {
    let (arena, process) = (birth.view.arena, birth.view.plan.process);
    let errno = process::execve(program, arena.slice(process.argv), arena.slice(process.envp));
    Fail::new(Step::Exec, 0, errno)
}

/// Writes "HOME=…" of the user's line in /etc/passwd (passwd(5)), else "HOME=/".
fn home(uid: u32, out: &mut [u8]) {
    // The first lines are the system's users, and most images have few.
    if !home_within(&mut [0; 1024], uid, out) {
        home_in_long(uid, out);
    }
}

#[inline(never)] // its buffer is not for the usual stack frame
fn home_in_long(uid: u32, out: &mut [u8]) {
    home_within(&mut [0; 16384], uid, out);
}

/// Looks at as much of the file as `text` holds; `false` if that was not
/// enough: the user was not found in it, and there is more.
fn home_within(text: &mut [u8], uid: u32, out: &mut [u8]) -> bool {
    let mut len = 0usize;
    if let Ok(fd) = openat(Fd::CWD, c"/etc/passwd", libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK, 0) {
        while let Some(rest) = text.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match read(fd.as_fd(), rest) {
                Ok(0) | Err(_) => break,
                Ok(n) => len = len.saturating_add(n),
            }
        }
    }
    let all = len < text.len();
    let text = text.get(..len).unwrap_or(&[]);
    // A line that is cut off could name a wrong directory.
    let end = if all { len } else { text.iter().rposition(|b| *b == b'\n').unwrap_or(0) };
    let lines = text.get(..end).unwrap_or(&[]).split(|b| *b == b'\n');
    let found = lines.filter_map(|line| directory_of(line, uid)).find(|dir| !dir.is_empty());
    let mut at = 0usize;
    for byte in b"HOME=".iter().chain(found.unwrap_or(b"/")).chain(&[0]) {
        if let Some(slot) = out.get_mut(at) {
            *slot = *byte;
        }
        at = at.saturating_add(1);
    }
    if let Some(last) = out.last_mut() {
        *last = 0;
    }
    all || found.is_some()
}

/// Field 6 of a line whose field 3 is this uid.
fn directory_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|b| *b == b':');
    let id = core::str::from_utf8(fields.nth(2)?).ok()?.parse::<u32>().ok()?;
    (id == uid).then_some(())?;
    fields.nth(2)
}
