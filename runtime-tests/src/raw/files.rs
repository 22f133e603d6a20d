//! Calls about mounts and files.

use std::ffi::CString;
use std::io;

fn c_string(s: &str) -> io::Result<CString> {
    CString::new(s).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// mount(2); empty strings stand for null.
pub fn mount(source: &str, target: &str, fstype: &str, flags: u64, data: &str) -> io::Result<()> {
    let (s, t, f, d) = (c_string(source)?, c_string(target)?, c_string(fstype)?, c_string(data)?);
    let ptr = |c: &CString| {
        if c.is_empty() { std::ptr::null() } else { c.as_ptr() }
    };
    // SAFETY: valid strings or null.
    let ret = unsafe { libc::mount(ptr(&s), ptr(&t), ptr(&f), flags, ptr(&d).cast()) };
    if ret == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// umount2(2).
pub fn umount(target: &str, flags: i32) -> io::Result<()> {
    let t = c_string(target)?;
    // SAFETY: a valid string.
    if unsafe { libc::umount2(t.as_ptr(), flags) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The f_type of statfs(2).
pub fn fs_magic(path: &str) -> io::Result<i64> {
    let p = c_string(path)?;
    // SAFETY: plain numbers, valid when zero.
    let mut st: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a valid string and out pointer.
    if unsafe { libc::statfs(p.as_ptr(), &mut st) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[allow(clippy::unnecessary_cast, reason = "unsigned for musl")]
    Ok(st.f_type as i64)
}

/// getxattr(2), as text without its NUL.
pub fn getxattr(path: &str, name: &str) -> io::Result<String> {
    let (p, n) = (c_string(path)?, c_string(name)?);
    let mut value = vec![0u8; 4096];
    // SAFETY: valid strings, and room for the length given.
    let len = unsafe { libc::getxattr(p.as_ptr(), n.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    value.truncate(len);
    Ok(String::from_utf8_lossy(&value).trim_end_matches('\0').to_owned())
}

/// mknod(2); mode includes the type.
pub fn mknod(path: &str, mode: u32, major: u32, minor: u32) -> io::Result<()> {
    let p = c_string(path)?;
    // SAFETY: a valid string.
    let ret = unsafe { libc::mknod(p.as_ptr(), mode, libc::makedev(major, minor)) };
    if ret == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// lchown(2).
pub fn chown(path: &std::path::Path, uid: u32, gid: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
}
