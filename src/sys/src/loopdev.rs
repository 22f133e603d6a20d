//! Loop devices: block devices made of files (loop(4)).

use crate::{Fd, Result, sys};

const LOOP_CTL_GET_FREE: u32 = 0x4c82;
const LOOP_CONFIGURE: u32 = 0x4c0a;
/// The device refuses writes.
pub const LO_FLAGS_READ_ONLY: u32 = 1;
/// The device lets go of its file when its last user closes it.
pub const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// The device bypasses the page cache of its file.
pub const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_config` with the `struct loop_info64` inside it (Linux 5.8).
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    // lo_device, lo_inode, lo_rdevice, lo_offset, lo_sizelimit
    numbers: [u64; 5],
    // lo_number, lo_encrypt_type, lo_encrypt_key_size, lo_flags
    words: [u32; 4],
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// ioctl(LOOP_CTL_GET_FREE): the number of an unused device, made if need be.
pub fn loop_ctl_get_free(control: Fd<'_>) -> Result<u32> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_ioctl, control.number(), LOOP_CTL_GET_FREE, 0) }.map(|n| n as u32)
}

/// ioctl(LOOP_CONFIGURE), Linux 5.8: makes `device` show `file`, with `LO_FLAGS_*`.
pub fn loop_configure(device: Fd<'_>, file: Fd<'_>, flags: u32) -> Result<()> {
    let config = LoopConfig {
        fd: file.number() as u32,
        block_size: 0,
        numbers: [0; 5],
        words: [0, 0, 0, flags],
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
        reserved: [0; 8],
    };
    // SAFETY: config is a struct loop_config and outlives the call.
    unsafe { sys!(libc::SYS_ioctl, device.number(), LOOP_CONFIGURE, &raw const config) }.map(drop)
}
