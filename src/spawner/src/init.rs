//! The child's half: the story of a container's birth, told from top to bottom.
//!
//! It runs as krun-init in the container's process and never returns: it ends
//! in the container's program or in a [`Report`] that says which step failed.

mod channel;
mod console;
mod descriptors;
mod devices;
mod exec;
mod helper;
mod hooks;
mod identity;
mod interpreter;
mod labels;
mod masks;
mod mounts;
mod namespaces;
mod path;
mod rootfs;
mod sched;
mod stdio;
mod tmpcopyup;

use core::ffi::CStr;

use krun_sys::fs::close_range_on_exec;
use krun_sys::handed::{Handed, Start};
use krun_sys::{libc, mem, process};

use crate::plan::{ADDRESS, FILE_OFFSET, View, flag};
use crate::report::{Report, kind};
use crate::step::Step;
use channel::{At, Birth, Channel, Fail};

/// Exit code of a child that has reported why it failed.
const FAILED: i32 = 1;

/// The child's entry: `argument` is the number of the descriptor of the file that this program and the plan are in.
pub fn main(argument: Option<&'static CStr>, start: Start) -> ! {
    let Some((view, home, mut handed)) = argument.and_then(number).and_then(|fd| map_plan(start, fd)) else {
        // Not started by krun, or by another krun: there is nobody to tell.
        process::exit(FAILED)
    };
    let Some(mut channel) = Channel::new(&view, &mut handed) else { process::exit(FAILED) };
    let Err(fail) = birth(&view, &mut channel, handed, home);
    channel.fail(fail);
    process::exit(FAILED)
}

/// A container's birth. The order is runc's, which engines and hooks rely on.
///
/// Whatever needs the host's privileges or files comes before the program is looked up: from there on the process
/// has no descriptor of the host's and no capability that its program does not get, but for the few that loading
/// the filter may need (`identity::kept`).
fn birth(
    view: &View<'static>,
    channel: &mut Channel,
    handed: Handed,
    home: &'static mut [u8],
) -> Result<core::convert::Infallible, Fail> {
    let plan = view.plan;
    hide(view)?;
    if view.has(flag::CLONE_LAST) {
        // While /proc is the host's: no file of the container's is asked. They apply to the next execve only.
        labels::apparmor(view)?;
        labels::selinux(view)?;
    }
    if view.has(flag::HELPER) {
        helper::join(view, channel, &handed)?;
        if !view.has(flag::CLONE_LAST) {
            helper::become_container(view, channel)?;
        }
    }
    let birth = &mut Birth { view, channel, handed, root: None, home };

    namespaces::enter(birth)?;
    namespaces::keyring(birth)?;
    if view.has(flag::ROOTFS) {
        rootfs::prepare(birth)?;
        mounts::mount_all(birth)?;
        devices::create_all(birth)?;
    }
    if view.has(flag::AWAIT_HOOKS) {
        birth.channel.ask(kind::HOOKS, 0, Step::Hooks)?;
    }
    hooks::run_create_container(birth)?;
    if view.has(flag::ROOTFS) {
        labels::sysctls(birth)?;
        masks::mask_all(birth)?;
        masks::protect_all(birth)?;
    }
    rootfs::change_root(birth)?;
    stdio::adopt(birth)?;
    if view.has(flag::TERMINAL) {
        console::open(birth)?;
    }
    if view.has(flag::ROOTFS) {
        mounts::late_readonly(birth)?;
        rootfs::finish(birth)?;
    }
    namespaces::names(birth)?;
    if !view.has(flag::CLONE_LAST) {
        labels::apparmor(view)?;
    }
    if view.has(flag::NO_NEW_PRIVS) {
        krun_sys::identity::set_no_new_privs().at(Step::NoNewPrivs)?;
    }
    if !view.has(flag::CLONE_LAST) {
        lead(birth)?;
        labels::selinux(view)?;
    }
    identity::set_limits(birth)?;
    stdio::own(birth)?;
    descriptors::close_all(birth)?;
    identity::assume(birth)?;
    let program = exec::find(birth)?;
    sched::last_affinity(birth)?;
    process::sigsetmask(0).at(Step::SignalReset)?;
    krun_sys::fs::umask(plan.identity.umask);
    if view.has(flag::CLONE_LAST) {
        helper::become_process(birth)?;
        identity::set_process_limit(birth)?;
        lead(birth)?;
    }
    if view.has(flag::GATE) {
        exec::end_by_signals()?;
    }
    identity::load_filter(birth)?;
    identity::settle(birth)?;
    if view.has(flag::GATE) {
        exec::stand_at_gate(birth)?;
    }
    hooks::run_start_container(birth)?;
    Err(exec::go(birth, program))
}

/// What belongs to the process itself and can't be had from the helper: its session with its terminal, its
/// scheduling; and the parent's part, which works on its pid.
fn lead(birth: &mut Birth<'_>) -> Result<(), Fail> {
    if birth.view.has(flag::SETSID) && birth.view.has(flag::CLONE_LAST) {
        namespaces::new_session()?;
    }
    if birth.view.has(flag::TERMINAL) {
        console::control()?;
    }
    sched::apply(birth)?;
    if birth.view.has(flag::READY_AHEAD) {
        birth.channel.await_reply(kind::READY, Step::Ready)
    } else {
        birth.channel.ask(kind::READY, 0, Step::Ready)
    }
}

/// First acts: nobody may look into this process, nothing may leak out of it.
fn hide(view: &View<'_>) -> Result<(), Fail> {
    if !view.has(flag::DUMPABLE_FOR_MAPS) {
        process::set_dumpable(false).at(Step::Dumpable)?;
    }
    let first = view.plan.fds.preserve.saturating_add(3);
    close_range_on_exec(first).at(Step::CloseOnExec)?;
    if view.has(flag::RESET_THP) {
        process::set_thp_disable(false).at(Step::ThpReset)?;
    }
    // Ignored by Rust's runtime in the parent, and ignored signals survive exec.
    process::sigaction_simple(libc::SIGPIPE, false).at(Step::SignalReset)?;
    krun_sys::fs::umask(0);
    Ok(())
}

/// Maps the plan and splits off the bytes in which HOME may be written.
fn map_plan(start: Start, number: i32) -> Option<(View<'static>, &'static mut [u8], Handed)> {
    let (file, unlisted) = start.instructions(number)?;
    let bytes = mem::map_sealed_at(ADDRESS, file.as_fd(), FILE_OFFSET).ok()?;
    let len = bytes.len();
    // From here on nobody can have this file as a program, under whatever name (/proc/self/exe as an argument or
    // as an interpreter): the plan in it is not for a process of the container.
    krun_sys::fs::fchmod(file.as_fd(), 0).ok()?;
    drop(file);
    let (plan, home) = bytes.split_at_mut(len.checked_sub(crate::plan::HOME_LEN)?);
    let view = View::new(plan)?;
    let handed = unlisted.list(view.arena.slice(view.plan.inherit));
    Some((view, home, handed))
}

/// A decimal number.
fn number(text: &CStr) -> Option<i32> {
    core::str::from_utf8(text.to_bytes()).ok()?.parse().ok()
}

/// A report of a failed step, for those who have no plan yet.
pub(crate) fn failure(step: Step, errno: krun_sys::Errno) -> Report {
    Report { step: step as u16, errno: errno.0, ..Report::of(kind::FAILED, 0) }
}
