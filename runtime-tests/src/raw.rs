//! Raw system calls for the probe and the harness: the only unsafe code of
//! this crate. A probe has to try calls that no safe library offers, with the
//! errno as its answer.

mod descriptors;
mod files;

pub use descriptors::*;
pub use files::*;
use std::ffi::{CStr, CString};
use std::io;

/// The errno of a failed call.
pub type Errno = i32;

fn check(ret: libc::c_long) -> Result<i64, Errno> {
    if ret == -1 { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(ret) }
}

/// Makes system call `nr` with six arguments, as a test asked for it.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call does.
pub unsafe fn syscall(nr: i64, a: [usize; 6]) -> Result<i64, Errno> {
    // SAFETY: the caller vouches for the arguments.
    check(unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) })
}

/// Makes a system call whose arguments are plain numbers.
///
/// Meant for calls where a number can't be taken for memory of ours: a filter
/// or a permission check answers first, or the pointer 0 is an EFAULT.
pub fn syscall_numbers(nr: i64, a: [usize; 6]) -> Result<i64, Errno> {
    // SAFETY: numbers chosen by the test; see above.
    unsafe { syscall(nr, a) }
}

/// A system call where arguments may point to strings or to a scratch page.
#[derive(Debug)]
pub enum Arg {
    /// A number, passed as it is.
    Number(usize),
    /// A string, passed as its address.
    Text(CString),
    /// The address of a zeroed page.
    Page,
}

/// Makes system call `nr` with arguments that live until it returns.
pub fn syscall_args(nr: i64, args: &[Arg]) -> Result<i64, Errno> {
    let mut page = vec![0u64; 512];
    let mut a = [0usize; 6];
    for (slot, arg) in a.iter_mut().zip(args) {
        *slot = match arg {
            Arg::Number(n) => *n,
            Arg::Text(s) => s.as_ptr() as usize,
            Arg::Page => page.as_mut_ptr() as usize,
        };
    }
    // SAFETY: addresses are of buffers that live here; numbers as above.
    unsafe { syscall(nr, a) }
}

/// Real, effective and saved user ids.
pub fn getresuid() -> [u32; 3] {
    let mut v = [0; 3];
    // SAFETY: three valid out pointers.
    unsafe { libc::getresuid(&mut v[0], &mut v[1], &mut v[2]) };
    v
}

/// Real, effective and saved group ids.
pub fn getresgid() -> [u32; 3] {
    let mut v = [0; 3];
    // SAFETY: three valid out pointers.
    unsafe { libc::getresgid(&mut v[0], &mut v[1], &mut v[2]) };
    v
}

/// Supplementary groups.
pub fn getgroups() -> Vec<u32> {
    let mut v = vec![0u32; 65536];
    // SAFETY: room for the kernel's maximum of 65536 groups.
    let n = unsafe { libc::getgroups(65536, v.as_mut_ptr()) };
    v.truncate(usize::try_from(n).unwrap_or(0));
    v
}

/// Effective, permitted and inheritable capability masks, see capget(2).
pub fn capget() -> Result<[u64; 3], Errno> {
    let mut header = [0x2008_0522u32, 0];
    let mut data = [0u32; 6];
    // SAFETY: a version 3 header and room for its two data records.
    unsafe {
        syscall(libc::SYS_capget, [header.as_mut_ptr() as usize, data.as_mut_ptr() as usize, 0, 0, 0, 0])
    }?;
    let mask = |i: usize| u64::from(data[i]) | u64::from(data[i + 3]) << 32;
    Ok([mask(0), mask(1), mask(2)])
}

/// prctl(2) with number arguments.
pub fn prctl(option: i32, a: usize, b: usize) -> Result<i64, Errno> {
    // SAFETY: only options that take numbers are used here.
    check(libc::c_long::from(unsafe { libc::prctl(option, a, b, 0, 0) }))
}

/// The parent death signal.
pub fn pdeathsig() -> Option<i32> {
    let mut sig: i32 = 0;
    // SAFETY: a valid out pointer.
    let ret = unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &mut sig) };
    (ret == 0).then_some(sig)
}

/// Soft and hard limit of a resource, by number.
pub fn getrlimit(resource: u32) -> Result<[u64; 2], Errno> {
    let mut v = [0u64; 2];
    let old = v.as_mut_ptr() as usize;
    // SAFETY: room for one rlimit64.
    unsafe { syscall(libc::SYS_prlimit64, [0, resource as usize, 0, old, 0, 0]) }?;
    Ok(v)
}

/// Whether signal `n` is default (0), ignored (1) or handled (2).
pub fn disposition(n: i32) -> Option<usize> {
    // SAFETY: an all-zero sigaction is a valid value to be written over.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only reads the old one.
    if unsafe { libc::sigaction(n, std::ptr::null(), &mut old) } != 0 {
        return None;
    }
    Some(old.sa_sigaction.min(2))
}

/// The blocked signals as a mask, bit 0 being signal 1.
pub fn blocked_signals() -> u64 {
    let mut set = 0u64;
    let old = (&raw mut set) as usize;
    // SAFETY: room for the kernel's 8 byte set; nothing is changed.
    let ret = unsafe { syscall(libc::SYS_rt_sigprocmask, [0, 0, old, 8, 0, 0]) };
    if ret.is_ok() { set } else { 0 }
}

/// sched_getattr(2): policy, flags, nice, priority, runtime, deadline, period.
pub fn sched_getattr() -> Result<(u32, u64, i32, u32, [u64; 3]), Errno> {
    let mut attr = [0u64; 8];
    let at = attr.as_mut_ptr() as usize;
    // SAFETY: 64 bytes, more than version 0 of sched_attr.
    unsafe { syscall(libc::SYS_sched_getattr, [0, at, 64, 0, 0, 0]) }?;
    let low = |v: u64| u32::try_from(v & 0xffff_ffff).unwrap_or(0);
    Ok((
        low(attr[0] >> 32),
        attr[1],
        low(attr[2]).cast_signed(),
        low(attr[2] >> 32),
        [attr[3], attr[4], attr[5]],
    ))
}

/// The CPUs this process may use.
pub fn affinity() -> Vec<usize> {
    let mut mask = [0u64; 128];
    let at = mask.as_mut_ptr() as usize;
    // SAFETY: 1024 bytes of room.
    let ret = unsafe { syscall(libc::SYS_sched_getaffinity, [0, 1024, at, 0, 0, 0]) };
    if ret.is_err() {
        return Vec::new();
    }
    (0..8192).filter(|c| mask[c / 64] >> (c % 64) & 1 == 1).collect()
}

/// get_mempolicy(2): the mode and the first 64 nodes.
pub fn mempolicy() -> Result<(i32, u64), Errno> {
    let mut mode = 0i32;
    let mut nodes = [0u64; 16];
    let args = [(&raw mut mode) as usize, nodes.as_mut_ptr() as usize, 1024, 0, 0, 0];
    // SAFETY: an int and 1024 bits of room.
    unsafe { syscall(libc::SYS_get_mempolicy, args) }?;
    Ok((mode, nodes[0]))
}

/// Description of the session keyring, see keyctl(2).
pub fn session_keyring() -> Result<(i64, String), Errno> {
    const GET_KEYRING_ID: usize = 0;
    const DESCRIBE: usize = 6;
    const SESSION: usize = usize::MAX - 2; // KEY_SPEC_SESSION_KEYRING, -3
    let id = syscall_numbers(libc::SYS_keyctl, [GET_KEYRING_ID, SESSION, 0, 0, 0, 0])?;
    let mut buf = [0u8; 512];
    let at = buf.as_mut_ptr() as usize;
    // SAFETY: a buffer with its length.
    unsafe { syscall(libc::SYS_keyctl, [DESCRIBE, SESSION, at, 511, 0, 0]) }?;
    let text = CStr::from_bytes_until_nul(&buf).map(|c| c.to_string_lossy().into_owned());
    Ok((id, text.unwrap_or_default()))
}

/// sysname, nodename, release, machine and domainname of uname(2).
pub fn uname() -> [String; 5] {
    // SAFETY: arrays of bytes, valid when zero.
    let mut u: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: a valid out pointer.
    unsafe { libc::uname(&mut u) };
    [&u.sysname, &u.nodename, &u.release, &u.machine, &u.domainname].map(|f| {
        let bytes: Vec<u8> = f.iter().map(|c| c.to_ne_bytes()[0]).take_while(|c| *c != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Sets the umask and returns the old one.
pub fn umask(mask: u32) -> u32 {
    // SAFETY: a number.
    unsafe { libc::umask(mask) }
}

/// Forks; the child runs `child` and exits with its result.
pub fn fork(child: impl FnOnce() -> i32) -> Result<i32, Errno> {
    // SAFETY: the probe has one thread.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        // SAFETY: leaves without running the parent's exit handlers.
        0 => unsafe { libc::_exit(child()) },
        pid => Ok(pid),
    }
}

/// waitpid(2): the pid and raw status, or None when `nohang` and nothing yet.
pub fn waitpid(pid: i32, nohang: bool) -> Result<Option<(i32, i32)>, Errno> {
    let mut status = 0;
    let flags = if nohang { libc::WNOHANG } else { 0 };
    // SAFETY: a valid out pointer.
    match unsafe { libc::waitpid(pid, &mut status, flags) } {
        -1 => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        0 => Ok(None),
        got => Ok(Some((got, status))),
    }
}

/// kill(2).
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: numbers.
    check(libc::c_long::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

/// Makes this process adopt the orphans below it, as engines do.
pub fn become_subreaper() {
    let _ = prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0);
}

/// unshare(2).
pub fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: a number.
    if unsafe { libc::unshare(flags) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `f` in the child of a [`std::process::Command`] before its exec.
pub fn before_exec(
    cmd: &mut std::process::Command,
    f: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the closures of this crate make system calls only.
    unsafe { cmd.pre_exec(f) };
}

/// setrlimit(2) by number, for use in [`before_exec`].
pub fn setrlimit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let new = [soft, hard];
    // SAFETY: one rlimit64.
    unsafe { syscall(libc::SYS_prlimit64, [0, resource as usize, new.as_ptr() as usize, 0, 0, 0]) }.map(drop)
}

/// clock_gettime(2).
pub fn clock_gettime(clock: i32, ts: &mut libc::timespec) -> Result<(), Errno> {
    // SAFETY: a valid out pointer.
    check(libc::c_long::from(unsafe { libc::clock_gettime(clock, ts) })).map(drop)
}

/// sched_setaffinity(2) of this thread.
pub fn set_affinity(mask: &[u64]) -> Result<(), Errno> {
    // SAFETY: a mask and its size in bytes.
    unsafe { syscall(libc::SYS_sched_setaffinity, [0, size_of_val(mask), mask.as_ptr() as usize, 0, 0, 0]) }
        .map(drop)
}

/// Becomes an ordinary user without further groups, for use in [`before_exec`].
pub fn become_user(id: u32) -> Result<(), Errno> {
    let id = id as usize;
    syscall_numbers(libc::SYS_setgroups, [0; 6])?;
    syscall_numbers(libc::SYS_setresgid, [id, id, id, 0, 0, 0])?;
    syscall_numbers(libc::SYS_setresuid, [id, id, id, 0, 0, 0]).map(drop)
}

/// setuid(2) of this thread alone, for use in [`before_exec`].
pub fn setuid(uid: u32) -> Result<(), Errno> {
    syscall_numbers(libc::SYS_setuid, [uid as usize, 0, 0, 0, 0, 0]).map(drop)
}
