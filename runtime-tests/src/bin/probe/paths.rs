//! Actions on files.

use crate::{Outcome, errno_of, number, ok, proc_report, text};
use runtime_tests::raw;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Runs the action when it is one of this module.
pub fn run(name: &str, args: &[&str]) -> Option<Outcome> {
    let path = text(args, 0);
    let result = match name {
        "open-read" => OpenOptions::new().read(true).open(path).map(|_| json!({})),
        "open-write" => OpenOptions::new().write(true).open(path).map(|_| json!({})),
        "open-rw" => OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map(|_| json!({})),
        "create" => OpenOptions::new().write(true).create_new(true).open(path).map(|_| json!({})),
        "read" => read(path, number(args, 1)),
        "write" => write(path, text(args, 1), false),
        "append" => write(path, text(args, 1), true),
        "list" => fs::read_dir(path).map(|_| json!({"entries": proc_report::directory(path)})),
        "stat" => fs::symlink_metadata(path).map(|_| proc_report::describe(path)),
        "xattr" => raw::getxattr(path, text(args, 1)).map(|value| json!({"value": value})),
        "statfs" => raw::fs_magic(path).map(|m| json!({"magic": m})),
        "mkdir" => fs::create_dir(path).map(|()| json!({})),
        "rmdir" => fs::remove_dir(path).map(|()| json!({})),
        "unlink" => fs::remove_file(path).map(|()| json!({})),
        "symlink" => std::os::unix::fs::symlink(path, text(args, 1)).map(|()| json!({})),
        "link" => fs::hard_link(path, text(args, 1)).map(|()| json!({})),
        "rename" => fs::rename(path, text(args, 1)).map(|()| json!({})),
        "readlink" => fs::read_link(path).map(|p| json!({"target": p.display().to_string()})),
        "chmod" => chmod(path, number(args, 1)),
        "chown" => std::os::unix::fs::chown(path, id(args, 1), id(args, 2)).map(|()| json!({})),
        "chdir" => std::env::set_current_dir(path).map(|()| json!({})),
        "touch" => fs::write(path, "").map(|()| json!({})),
        "mknod" => mknod(args),
        "mount" => mount(args),
        "umount" => raw::umount(path, number(args, 1).try_into().unwrap_or(0)).map(|()| json!({})),
        _ => return None,
    };
    Some(result.map(|v| ok(name, args, v)).map_err(|e| errno_of(&e)))
}

fn id(args: &[&str], i: usize) -> Option<u32> {
    args.get(i).and_then(|s| s.parse().ok())
}

/// At most `limit` bytes, 64 KiB when that is 0.
fn read(path: &str, limit: i64) -> io::Result<serde_json::Value> {
    let limit = if limit > 0 { limit.unsigned_abs() } else { 65536 };
    let mut data = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut data)?;
    Ok(json!({"data": String::from_utf8_lossy(&data), "length": data.len()}))
}

fn write(path: &str, data: &str, append: bool) -> io::Result<serde_json::Value> {
    let mut f = OpenOptions::new().write(true).append(append).open(path)?;
    f.write_all(data.as_bytes()).map(|()| json!({}))
}

fn chmod(path: &str, mode: i64) -> io::Result<serde_json::Value> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode.try_into().unwrap_or(0))).map(|()| json!({}))
}

fn mknod(args: &[&str]) -> io::Result<serde_json::Value> {
    let kind = match text(args, 1) {
        "b" => libc::S_IFBLK,
        "p" => libc::S_IFIFO,
        _ => libc::S_IFCHR,
    };
    let n = |i| u32::try_from(number(args, i)).unwrap_or(0);
    raw::mknod(text(args, 0), kind | 0o666, n(2), n(3)).map(|()| json!({}))
}

/// mount SOURCE TARGET TYPE FLAGS DATA
fn mount(args: &[&str]) -> io::Result<serde_json::Value> {
    let flags = number(args, 3).unsigned_abs();
    raw::mount(text(args, 0), text(args, 1), text(args, 2), flags, text(args, 4)).map(|()| json!({}))
}
