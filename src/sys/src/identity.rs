//! Ids, capabilities and what keeps a process from gaining more.

use crate::process::prctl;
use crate::{Errno, OwnedFd, Result, sys};

/// setresuid(2), this thread only (which is what a child of clone3 has)
pub fn setresuid(uid: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_setresuid, uid, uid, uid) }.map(drop)
}

/// setresgid(2), this thread only
pub fn setresgid(gid: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_setresgid, gid, gid, gid) }.map(drop)
}

/// setgroups(2), this thread only
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: groups is readable for its length.
    unsafe { sys!(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }.map(drop)
}

/// Bit masks of capabilities (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapSets {
    /// What the process may do now.
    pub effective: u64,
    /// What it may make effective.
    pub permitted: u64,
    /// What a file's capabilities may add on exec.
    pub inheritable: u64,
}

/// capset(2), version 3, of the caller
pub fn capset(sets: CapSets) -> Result<()> {
    let header: [u32; 2] = [0x2008_0522, 0];
    let word = |mask: u64, high: bool| if high { (mask >> 32) as u32 } else { mask as u32 };
    let mut data = [0u32; 6];
    for high in [false, true] {
        let at = if high { 3 } else { 0 };
        data[at] = word(sets.effective, high);
        data[at + 1] = word(sets.permitted, high);
        data[at + 2] = word(sets.inheritable, high);
    }
    // SAFETY: header and data have the layout of version 3 and outlive the call.
    unsafe { sys!(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }.map(drop)
}

/// capget(2), version 3, of the caller
pub fn capget() -> Result<CapSets> {
    let mut header: [u32; 2] = [0x2008_0522, 0];
    let mut data = [0u32; 6];
    // SAFETY: header and data have the layout of version 3 and are writable.
    unsafe { sys!(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) }?;
    let join = |i: usize| u64::from(data[i]) | u64::from(data[i + 3]) << 32;
    Ok(CapSets { effective: join(0), permitted: join(1), inheritable: join(2) })
}

/// prctl(PR_CAPBSET_READ): whether the bounding set has it.
///
/// # Errors
/// EINVAL for a number that the kernel does not know.
pub fn capbset_read(cap: u32) -> Result<bool> {
    // SAFETY: this option takes an integer.
    unsafe { prctl(libc::PR_CAPBSET_READ, u64::from(cap), 0, 0) }.map(|set| set != 0)
}

/// prctl(PR_CAPBSET_DROP)
pub fn capbset_drop(cap: u32) -> Result<()> {
    // SAFETY: this option takes an integer.
    unsafe { prctl(libc::PR_CAPBSET_DROP, u64::from(cap), 0, 0) }.map(drop)
}

/// prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)
pub fn cap_ambient_raise(cap: u32) -> Result<()> {
    // SAFETY: this option takes integers.
    unsafe { prctl(libc::PR_CAP_AMBIENT, 2, u64::from(cap), 0) }.map(drop)
}

/// prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
pub fn cap_ambient_clear() -> Result<()> {
    // SAFETY: this option takes integers.
    unsafe { prctl(libc::PR_CAP_AMBIENT, 4, 0, 0) }.map(drop)
}

/// prctl(PR_SET_NO_NEW_PRIVS)
pub fn set_no_new_privs() -> Result<()> {
    // SAFETY: this option takes an integer.
    unsafe { prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0) }.map(drop)
}

/// seccomp(2), SECCOMP_SET_MODE_FILTER; the listener if one was asked for. An instruction is a `struct sock_filter` as a u64.
pub fn seccomp_set_filter(filter: &[u64], flags: u32) -> Result<Option<OwnedFd>> {
    const NEW_LISTENER: u32 = 1 << 3;
    #[repr(C)]
    struct Prog {
        len: u16,
        filter: *const u64,
    }
    // One that is longer than the kernel's limit (BPF_MAXINSNS) must not be cut to what fits.
    let len = u16::try_from(filter.len()).map_err(|_| Errno::EINVAL)?;
    let prog = Prog { len, filter: filter.as_ptr() };
    // SAFETY: prog has the layout of struct sock_fprog and outlives the call.
    let done = unsafe { sys!(libc::SYS_seccomp, 1, flags, &raw const prog) }?;
    // Without one it is 0, or with SECCOMP_FILTER_FLAG_TSYNC a thread.
    Ok((flags & NEW_LISTENER != 0).then(|| OwnedFd::new(done)))
}
