//! bpf(2), as far as the cgroup device controller of cgroup v2 needs it:
//! load a program, attach it to a cgroup, find and replace what is attached.
//! Source: linux/bpf.h and bpf(2); `BPF_PROG_TYPE_CGROUP_DEVICE` is Linux 4.15,
//! `BPF_F_REPLACE` Linux 5.6.

use core::ffi::CStr;

use crate::{Errno, Fd, OwnedFd, Result, sys};

/// `BPF_PROG_TYPE_CGROUP_DEVICE` (Linux 4.15).
pub const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
/// `BPF_CGROUP_DEVICE`, the attach type of device programs.
pub const CGROUP_DEVICE: u32 = 6;
/// Keep other programs of this cgroup and its ancestors in force.
pub const F_ALLOW_MULTI: u32 = 1 << 1;
/// Swap a named attached program for the new one in one step (Linux 5.6).
pub const F_REPLACE: u32 = 1 << 2;

const PROG_LOAD: usize = 5;
const PROG_ATTACH: usize = 8;
const PROG_DETACH: usize = 9;
const PROG_GET_FD_BY_ID: usize = 13;
const PROG_QUERY: usize = 16;

/// One instruction, laid out as `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Operation, class and source in one byte.
    pub code: u8,
    /// Source register in the high four bits, destination in the low four
    /// (little endian; the other way round on big endian machines).
    pub regs: u8,
    /// Jump distance or memory offset.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

/// A descriptor of a loaded program; closed on drop.
#[derive(Debug)]
pub struct ProgFd(OwnedFd);

impl ProgFd {
    fn number(&self) -> u32 {
        self.0.as_fd().number().cast_unsigned()
    }
}

#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The whole of `bpf_attr.query`: Linux 6.17 to 7.1 write `revision` whatever
/// size is passed.
#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    pad: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// bpf(2): `attr` must be the member of `union bpf_attr` that `cmd` reads.
fn bpf<T>(cmd: usize, attr: &mut T) -> Result<usize> {
    loop {
        // SAFETY: `attr` is a live, exclusively borrowed struct of the size
        // given; the callers below fill its pointers from live references.
        let result = unsafe { sys!(libc::SYS_bpf, cmd, core::ptr::from_mut(attr), size_of::<T>()) };
        match result {
            // A signal interrupts the verifier with EAGAIN (since Linux 4.20).
            Err(Errno::EAGAIN) if cmd == PROG_LOAD => {}
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// `BPF_PROG_LOAD`; the descriptor is close-on-exec. With `log` the verifier
/// writes its reasons there as text.
///
/// # Errors
/// The errno of bpf(2): EPERM without CAP_BPF or CAP_SYS_ADMIN in the initial
/// user namespace, EINVAL or EACCES from the verifier.
pub fn prog_load(prog_type: u32, insns: &[Insn], license: &CStr, log: Option<&mut [u8]>) -> Result<ProgFd> {
    let mut attr = LoadAttr {
        prog_type,
        insn_cnt: u32::try_from(insns.len()).map_err(|_| Errno::E2BIG)?,
        insns: insns.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
    };
    if let Some(buf) = log {
        attr.log_level = 1;
        attr.log_size = u32::try_from(buf.len()).map_err(|_| Errno::EINVAL)?;
        attr.log_buf = buf.as_mut_ptr() as u64;
    }
    bpf(PROG_LOAD, &mut attr).map(OwnedFd::new).map(ProgFd)
}

/// `BPF_PROG_ATTACH` of `prog` to the cgroup directory `cgroup`; with
/// `replace` in place of that one (Linux 5.6).
///
/// # Errors
/// The errno of bpf(2); EINVAL for `replace` before Linux 5.6.
pub fn prog_attach(cgroup: Fd<'_>, prog: &ProgFd, replace: Option<&ProgFd>) -> Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.number().cast_unsigned(),
        attach_bpf_fd: prog.number(),
        attach_type: CGROUP_DEVICE,
        attach_flags: F_ALLOW_MULTI | if replace.is_some() { F_REPLACE } else { 0 },
        replace_bpf_fd: replace.map_or(0, ProgFd::number),
    };
    bpf(PROG_ATTACH, &mut attr).map(drop)
}

/// `BPF_PROG_DETACH` of a device program from the cgroup directory `cgroup`.
///
/// # Errors
/// The errno of bpf(2); ENOENT when the program is not attached there.
pub fn prog_detach(cgroup: Fd<'_>, prog: &ProgFd) -> Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.number().cast_unsigned(),
        attach_bpf_fd: prog.number(),
        attach_type: CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    bpf(PROG_DETACH, &mut attr).map(drop)
}

/// `BPF_PROG_QUERY`: the ids of the device programs attached to `cgroup`
/// itself (not to its ancestors) go into `ids`; returns how many.
///
/// # Errors
/// The errno of bpf(2); ENOSPC when `ids` is too small (the kernel's limit is
/// 64 programs per cgroup).
pub fn prog_query(cgroup: Fd<'_>, ids: &mut [u32]) -> Result<usize> {
    let mut attr = QueryAttr {
        target_fd: cgroup.number().cast_unsigned(),
        attach_type: CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: u32::try_from(ids.len()).map_err(|_| Errno::EINVAL)?,
        ..QueryAttr::default()
    };
    bpf(PROG_QUERY, &mut attr)?;
    Ok((attr.prog_cnt as usize).min(ids.len()))
}

/// `BPF_PROG_GET_FD_BY_ID`.
///
/// # Errors
/// The errno of bpf(2): ENOENT when the program is gone, EPERM or EACCES when
/// an LSM forbids it.
pub fn prog_get_fd_by_id(id: u32) -> Result<ProgFd> {
    let mut attr = id;
    bpf(PROG_GET_FD_BY_ID, &mut attr).map(OwnedFd::new).map(ProgFd)
}
