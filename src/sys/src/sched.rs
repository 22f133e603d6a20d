//! Scheduling, priorities, memory policy, execution domain.

use crate::{Result, sys};

/// `struct sched_attr` (sched_setattr(2), Linux 3.14; with utilisation clamps 5.3).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SchedAttr {
    /// Size of this structure.
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nice value, for SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// Priority, for SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub runtime: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub deadline: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub period: u64,
}

/// sched_setattr(2) of the caller
pub fn sched_setattr(mut attr: SchedAttr) -> Result<()> {
    attr.size = size_of::<SchedAttr>() as u32;
    // SAFETY: attr outlives the call.
    unsafe { sys!(libc::SYS_sched_setattr, 0, &raw const attr, 0) }.map(drop)
}

/// sched_setaffinity(2); a bit per processor. `pid` 0 is the caller.
pub fn sched_setaffinity(pid: i32, mask: &[u64]) -> Result<()> {
    // SAFETY: mask is readable for its length.
    unsafe { sys!(libc::SYS_sched_setaffinity, pid, size_of_val(mask), mask.as_ptr()) }.map(drop)
}

/// sched_getaffinity(2); what the kernel does not fill stays as it was. `pid` 0 is the caller.
pub fn sched_getaffinity(pid: i32, mask: &mut [u64]) -> Result<()> {
    // SAFETY: mask is writable for its length.
    unsafe { sys!(libc::SYS_sched_getaffinity, pid, size_of_val(mask), mask.as_mut_ptr()) }.map(drop)
}

/// ioprio_set(2) of the caller
pub fn ioprio_set(ioprio: i32) -> Result<()> {
    // SAFETY: no memory is passed; 1 is IOPRIO_WHO_PROCESS.
    unsafe { sys!(libc::SYS_ioprio_set, 1, 0, ioprio) }.map(drop)
}

/// personality(2)
pub fn personality(persona: u64) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_personality, persona) }.map(drop)
}

/// set_mempolicy(2); `nodes` is a bit per NUMA node.
pub fn set_mempolicy(mode: i32, nodes: &[u64]) -> Result<()> {
    // No nodes are a null pointer: the kernel takes maxnode - 1 bits, so that 0 would be all of them.
    let (mask, bits) =
        if nodes.is_empty() { (core::ptr::null(), 0) } else { (nodes.as_ptr(), nodes.len() * 64 + 1) };
    // SAFETY: null, or readable for its length.
    unsafe { sys!(libc::SYS_set_mempolicy, mode, mask, bits) }.map(drop)
}
