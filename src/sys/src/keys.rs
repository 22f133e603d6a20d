//! Session keyrings (keyctl(2)).

use core::ffi::CStr;

use crate::{Result, sys};

/// keyctl(KEYCTL_JOIN_SESSION_KEYRING): the serial of the keyring.
pub fn join_session_keyring(name: &CStr) -> Result<i32> {
    // SAFETY: name outlives the call.
    unsafe { sys!(libc::SYS_keyctl, 1, name.as_ptr()) }.map(|n| n as i32)
}

/// keyctl(KEYCTL_SETPERM)
pub fn setperm(key: i32, perm: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { sys!(libc::SYS_keyctl, 5, key, perm) }.map(drop)
}

/// keyctl(KEYCTL_DESCRIBE): fills buf with `type;uid;gid;perm;description`.
pub fn describe(key: i32, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: buf is writable for its length.
    unsafe { sys!(libc::SYS_keyctl, 6, key, buf.as_mut_ptr(), buf.len()) }
}
