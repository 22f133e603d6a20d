//! Processes: clone, exec, namespaces, waiting.

use core::ffi::{CStr, c_char};

use crate::{Errno, Fd, OwnedFd, Result, sys};

/// clone3(2): reset all handled signals in the child (Linux 5.5). The libc
/// crate types the constant too narrowly.
pub const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
/// clone3(2): start the child in the cgroup of `cgroup` (Linux 5.7).
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// What is asked of clone3(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneArgs<'fd> {
    /// `CLONE_*` flags; those that share memory or descriptors are refused here.
    pub flags: u64,
    /// Signal sent to the parent on exit.
    pub exit_signal: u64,
    /// Directory of the cgroup that the child is born in (Linux 5.7); its parent's without one.
    pub cgroup: Option<Fd<'fd>>,
}

/// `struct clone_args` (clone3(2), Linux 5.7 with `cgroup`).
#[repr(C, align(8))]
#[derive(Default)]
struct RawArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of a clone3 the caller finds itself on.
#[derive(Debug)]
pub enum Side {
    /// The child, with a copy of the caller's memory and of its descriptors.
    Child,
    /// The parent: the child's pid, and its pidfd.
    Parent {
        /// The child's pid in the caller's pid namespace.
        pid: i32,
        /// Its pidfd, close-on-exec.
        pidfd: OwnedFd,
    },
}

/// clone3(2) with the semantics of fork(2): memory and descriptors are copied, never shared.
///
/// # Errors
/// EINVAL for flags that share them; otherwise the kernel's.
pub fn clone3(args: CloneArgs<'_>) -> Result<Side> {
    let mut pidfd: i32 = -1;
    let pid = clone(args, Some(&mut pidfd))?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    Ok(Side::Parent { pid: pid as i32, pidfd: OwnedFd::new(pidfd as usize) })
}

/// As [`clone3`], without a pidfd: the child's pid, none in the child.
///
/// # Errors
/// As [`clone3`].
pub fn clone3_by_pid(args: CloneArgs<'_>) -> Result<Option<i32>> {
    clone(args, None).map(|pid| (pid != 0).then_some(pid as i32))
}

fn clone(args: CloneArgs<'_>, pidfd: Option<&mut i32>) -> Result<usize> {
    const SHARING: u64 = (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_THREAD | libc::CLONE_FILES) as u64;
    // What these do goes by addresses and descriptors that are set here or not at all.
    const SET_HERE: u64 = (libc::CLONE_SETTLS
        | libc::CLONE_PIDFD
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_SETTID
        | libc::CLONE_CHILD_CLEARTID) as u64
        | CLONE_INTO_CGROUP;
    if args.flags & (SHARING | SET_HERE) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut raw = RawArgs { flags: args.flags, exit_signal: args.exit_signal, ..RawArgs::default() };
    if let Some(pidfd) = pidfd {
        raw.flags |= libc::CLONE_PIDFD as u64;
        raw.pidfd = core::ptr::from_mut(pidfd) as u64;
    }
    if let Some(cgroup) = args.cgroup {
        raw.flags |= CLONE_INTO_CGROUP;
        raw.cgroup = cgroup.number() as u64;
    }
    // SAFETY: raw and pidfd outlive the call; the child has its own copy of
    // the stack, as after fork(2), since no memory is shared.
    unsafe { sys!(libc::SYS_clone3, &raw const raw, size_of::<RawArgs>()) }
}

/// execveat(2) of an open file, with a name and one argument, and an empty environment.
pub fn execveat(fd: Fd<'_>, name: &CStr, argument: &CStr) -> Errno {
    let argv = [name.as_ptr(), argument.as_ptr(), core::ptr::null()];
    let envp: [*const c_char; 1] = [core::ptr::null()];
    // SAFETY: both arrays end in a null pointer, and the strings outlive the call.
    match unsafe {
        sys!(libc::SYS_execveat, fd.number(), c"".as_ptr(), argv.as_ptr(), envp.as_ptr(), libc::AT_EMPTY_PATH)
    } {
        Ok(_) => Errno::EPROTO,
        Err(e) => e,
    }
}

/// execve(2) with argument and environment arrays of addresses, each ending in 0.
pub fn execve(path: &CStr, argv: &[u64], envp: &[u64]) -> Errno {
    if argv.last() != Some(&0) || envp.last() != Some(&0) {
        return Errno::EINVAL;
    }
    // SAFETY: path is a C string; an address that the kernel cannot read is
    // EFAULT, and the arrays end in 0.
    match unsafe { sys!(libc::SYS_execve, path.as_ptr(), argv.as_ptr(), envp.as_ptr()) } {
        Ok(_) => Errno::EPROTO,
        Err(e) => e,
    }
}

/// exit_group(2)
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: no memory is passed.
        let _ = unsafe { sys!(libc::SYS_exit_group, code) };
    }
}

/// setns(2); a namespace's descriptor, or a pidfd with several flags (Linux 5.8).
pub fn setns(fd: Fd<'_>, flags: u64) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_setns, fd.number(), flags) }.map(drop)
}

/// unshare(2)
pub fn unshare(flags: u64) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_unshare, flags) }.map(drop)
}

/// setsid(2)
pub fn setsid() -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_setsid) }.map(drop)
}

/// getpid(2)
pub fn getpid() -> i32 {
    // SAFETY: no memory is passed; it cannot fail.
    unsafe { sys!(libc::SYS_getpid) }.unwrap_or(0) as i32
}

/// getppid(2)
pub fn getppid() -> i32 {
    // SAFETY: no memory is passed; it cannot fail.
    unsafe { sys!(libc::SYS_getppid) }.unwrap_or(0) as i32
}

/// kill(2)
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_kill, pid, signal) }.map(drop)
}

/// pidfd_open(2), Linux 5.3
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_pidfd_open, pid, 0) }.map(OwnedFd::new)
}

/// pidfd_send_signal(2), Linux 5.1
pub fn pidfd_send_signal(pidfd: Fd<'_>, signal: i32) -> Result<()> {
    // SAFETY: the null siginfo is allowed.
    unsafe { sys!(libc::SYS_pidfd_send_signal, pidfd.number(), signal, 0, 0) }.map(drop)
}

/// pidfd_getfd(2), Linux 5.6: a copy of another process's descriptor.
pub fn pidfd_getfd(pidfd: Fd<'_>, target: i32) -> Result<OwnedFd> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_pidfd_getfd, pidfd.number(), target, 0) }.map(OwnedFd::new)
}

/// How a child ended (waitid(2)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// waitid(2) for the exit of a child named by its pidfd (P_PIDFD, Linux 5.4),
/// whatever signal it was cloned with; `None` with `WNOHANG` while it lives.
pub fn waitid_pidfd(pidfd: Fd<'_>, flags: i32) -> Result<Option<Exit>> {
    // SAFETY: an all-zero siginfo is valid.
    let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
    let flags = flags | libc::WEXITED | libc::__WALL;
    // SAFETY: info is writable.
    unsafe { sys!(libc::SYS_waitid, libc::P_PIDFD, pidfd.number(), &raw mut info, flags, 0) }?;
    // SAFETY: waitid filled the child fields, or left them zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok(match (pid, info.si_code) {
        (0, _) => None,
        (_, libc::CLD_EXITED) => Some(Exit::Code(status)),
        _ => Some(Exit::Signal(status)),
    })
}

/// prctl(2).
///
/// # Safety
/// The option takes integers, or pointers that are valid for it.
pub(crate) unsafe fn prctl(option: i32, a: u64, b: u64, c: u64) -> Result<i32> {
    // SAFETY: the caller's promise.
    unsafe { sys!(libc::SYS_prctl, option, a, b, c, 0) }.map(|n| n as i32)
}

/// prctl(PR_SET_DUMPABLE): whether others may look into this process (ptrace(2)).
pub fn set_dumpable(on: bool) -> Result<()> {
    // SAFETY: this option takes an integer.
    unsafe { prctl(libc::PR_SET_DUMPABLE, u64::from(on), 0, 0) }.map(drop)
}

/// prctl(PR_SET_KEEPCAPS): keep the permitted capabilities over a change of user.
pub fn set_keepcaps(on: bool) -> Result<()> {
    // SAFETY: this option takes an integer.
    unsafe { prctl(libc::PR_SET_KEEPCAPS, u64::from(on), 0, 0) }.map(drop)
}

/// prctl(PR_SET_THP_DISABLE): no transparent huge pages for this process and its children.
pub fn set_thp_disable(on: bool) -> Result<()> {
    // SAFETY: this option takes an integer.
    unsafe { prctl(libc::PR_SET_THP_DISABLE, u64::from(on), 0, 0) }.map(drop)
}

/// prctl(PR_SET_CHILD_SUBREAPER): orphans below this process become its children.
pub fn set_child_subreaper(on: bool) -> Result<()> {
    // SAFETY: this option takes an integer.
    unsafe { prctl(libc::PR_SET_CHILD_SUBREAPER, u64::from(on), 0, 0) }.map(drop)
}

/// prctl(PR_SET_PDEATHSIG): the signal that this process gets when the thread that made it ends.
pub fn set_pdeathsig(signal: i32) -> Result<()> {
    // SAFETY: this option takes an integer.
    unsafe { prctl(libc::PR_SET_PDEATHSIG, u64::from(signal.unsigned_abs()), 0, 0) }.map(drop)
}

/// rt_sigprocmask(2) with SIG_SETMASK; bit n-1 is signal n.
pub fn sigsetmask(mask: u64) -> Result<()> {
    // SAFETY: mask outlives the call; 8 is the kernel's size of a signal set.
    unsafe { sys!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0, 8) }.map(drop)
}

/// signalfd4(2): a new descriptor, close-on-exec and non-blocking; bit n-1 is signal n.
pub fn signalfd(mask: u64) -> Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: mask outlives the call; 8 is the kernel's size of a signal set.
    unsafe { sys!(libc::SYS_signalfd4, -1i32, &raw const mask, 8, flags) }.map(OwnedFd::new)
}

/// rt_sigaction(2) to SIG_DFL or SIG_IGN, without flags
pub fn sigaction_simple(signal: i32, ignore: bool) -> Result<()> {
    // The kernel's struct sigaction: handler, flags, restorer, mask.
    let act: [u64; 4] = [u64::from(ignore), 0, 0, 0];
    // SAFETY: act outlives the call; SIG_DFL is 0 and SIG_IGN is 1.
    unsafe { sys!(libc::SYS_rt_sigaction, signal, act.as_ptr(), 0, 8) }.map(drop)
}

/// rt_sigaction(2) to a handler that ends the process with 128 plus the signal.
/// The first process of a pid namespace would not die of it otherwise
/// (pid_namespaces(7)).
pub fn sigaction_exit(signal: i32) -> Result<()> {
    extern "C" fn die(signal: i32) -> ! {
        exit(signal.wrapping_add(128))
    }
    // x86_64 wants a restorer for a return that never comes.
    const SA_RESTORER: u64 = 0x0400_0000;
    let handler = die as *const () as u64;
    let act: [u64; 4] = [handler, SA_RESTORER, handler, 0];
    // SAFETY: act is the kernel's struct sigaction and outlives the call; the
    // handler makes one system call and does not return.
    unsafe { sys!(libc::SYS_rt_sigaction, signal, act.as_ptr(), 0, 8) }.map(drop)
}

/// sethostname(2)
pub fn sethostname(name: &CStr) -> Result<()> {
    // SAFETY: name outlives the call.
    unsafe { sys!(libc::SYS_sethostname, name.as_ptr(), name.count_bytes()) }.map(drop)
}

/// setdomainname(2)
pub fn setdomainname(name: &CStr) -> Result<()> {
    // SAFETY: name outlives the call.
    unsafe { sys!(libc::SYS_setdomainname, name.as_ptr(), name.count_bytes()) }.map(drop)
}

/// prlimit64(2), set only; `pid` 0 is the caller.
pub fn prlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let lim = [soft, hard];
    // SAFETY: lim is a struct rlimit64 and outlives the call.
    unsafe { sys!(libc::SYS_prlimit64, pid, resource, lim.as_ptr(), 0) }.map(drop)
}
