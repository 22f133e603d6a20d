//! Where a container's cgroup lies: the mount point of cgroup v2 and the
//! meaning of `linux.cgroupsPath`.

use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use serde::{Deserialize, Serialize};

use super::CgroupError;
use super::file::read_at;
use super::systemd;

/// Who makes the cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// krun itself, with mkdir(2).
    Cgroupfs,
    /// systemd, asked over D-Bus for a transient scope.
    Systemd,
    /// Nobody: the container stays in the caller's cgroup.
    Disabled,
}

/// The systemd unit of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The unit's name: `PREFIX-NAME.scope`, or `NAME.slice`.
    pub unit: String,
    /// The slice it is in, as systemd wants it named.
    pub slice: String,
    /// The user's own service manager, not the system's.
    pub user_bus: bool,
}

/// A container's cgroup; kept in state.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Who makes and removes it.
    pub driver: Driver,
    /// The path below `mount`: absolute, normalised, without a trailing slash.
    pub path: String,
    /// Where cgroup2 is mounted.
    pub mount: PathBuf,
    /// The unit, with the systemd driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// A rootless container whose config.json names no cgroup: it may run
    /// without one if it has no limits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl Location {
    /// The cgroup's directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        let mut dir = self.mount.clone();
        dir.push(self.path.trim_start_matches('/'));
        dir
    }
}

/// Where cgroup v2 is mounted: `/sys/fs/cgroup`, on a hybrid host
/// `/sys/fs/cgroup/unified`, else where mountinfo says. One statfs(2) in the
/// usual case.
///
/// # Errors
/// [`CgroupError::NoMount`].
pub fn mountpoint() -> Result<PathBuf, CgroupError> {
    for dir in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        if statfs(dir).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC) {
            return Ok(PathBuf::from(dir));
        }
    }
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mount_of_table(&table).ok_or(CgroupError::NoMount)
}

/// The first cgroup2 mount in the text of a mountinfo file; proc(5).
pub(super) fn mount_of_table(table: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let target = mount.split(' ').nth(4)?;
        source.starts_with("cgroup2 ").then(|| PathBuf::from(unescape(target)))
    })
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescape(field: &str) -> String {
    let mut rest = field;
    let mut text = String::with_capacity(field.len());
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = after.get(..3).and_then(|oct| u8::from_str_radix(oct, 8).ok());
        match code {
            Some(code) => text.push(char::from(code)),
            None => text.push('\\'),
        }
        rest = code.and(after.get(3..)).unwrap_or(after);
    }
    text.push_str(rest);
    text
}

/// Where the cgroup of the container `id` belongs. `linux.cgroupsPath` is for
/// the cgroupfs driver a path below the mount point if it is absolute, and a
/// sibling of krun's own cgroup if it is relative (a cgroup with processes
/// can't have limited children), and for the systemd driver
/// `slice:prefix:name`. Without it: the relative path `ID`, or the scope
/// `krun-ID.scope`. `mount` is what [`mountpoint`] says.
///
/// # Errors
/// No cgroup2 mount, or a path that doesn't fit the driver.
pub fn locate(
    mount: Result<PathBuf, CgroupError>,
    cgroups_path: Option<&str>,
    id: &str,
    driver: Driver,
    rootless: bool,
) -> Result<Location, CgroupError> {
    let given = cgroups_path.filter(|path| !path.is_empty());
    let mut location = Location {
        driver,
        path: String::new(),
        mount: PathBuf::new(),
        scope: None,
        optional: rootless && given.is_none(),
    };
    if driver == Driver::Disabled {
        return Ok(location);
    }
    location.mount = mount?;
    if driver == Driver::Systemd {
        let (scope, path) = systemd::unit_of(given, id, rootless)?;
        // A user's units lie below that user's service manager.
        let above = if rootless { systemd::user_manager_cgroup()? } else { String::new() };
        location.path = clean(&format!("{above}{path}"))?;
        location.scope = Some(scope);
        return Ok(location);
    }
    location.path = match given {
        Some(path) if path.starts_with('/') => clean(path)?,
        inner => beside_own(&clean(inner.unwrap_or(id))?)?,
    };
    Ok(location)
}

/// The path `inner` below the parent of krun's own cgroup.
fn beside_own(inner: &str) -> Result<String, CgroupError> {
    let own = own()?;
    let parent = Path::new(&own).parent().unwrap_or(Path::new("/"));
    clean(&format!("{}{inner}", parent.display()))
}

/// krun's own cgroup: the `0::` line of /proc/self/cgroup (cgroups(7)).
///
/// # Errors
/// The file can't be read or has no such line.
pub fn own() -> Result<String, CgroupError> {
    let file = "/proc/self/cgroup";
    let text = read_at(AT_FDCWD, file).map_err(|errno| CgroupError::file("read", file, errno))?;
    let line = text.lines().find_map(|line| line.strip_prefix("0::"));
    line.map(str::to_owned).ok_or(CgroupError::NoMount)
}

/// A path below the mount point: absolute, without `.`, `..`, empty parts.
/// `..` stops at the root, as in a chroot. The mount point itself is refused.
pub(super) fn clean(path: &str) -> Result<String, CgroupError> {
    let error = |reason| CgroupError::Path { path: path.to_owned(), reason };
    if path.bytes().any(|b| b == 0 || b == b'\n') {
        return Err(error("must not contain NUL or a line feed"));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part if part.len() > 255 => return Err(error("a name is longer than 255 bytes")),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(error("must not be the root of the cgroup hierarchy"));
    }
    let mut clean = String::with_capacity(path.len() + 1);
    for part in parts {
        clean.push('/');
        clean.push_str(part);
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn clean_normalises() {
        for (given, wanted) in [
            ("/krun/abc", "/krun/abc"),
            ("abc", "/abc"),
            ("//a/./b//", "/a/b"),
            ("/../../../a/../b", "/b"),
            ("../../etc", "/etc"),
            ("/...", "/..."),
        ] {
            assert_eq!(clean(given).unwrap(), wanted, "{given}");
        }
        for bad in ["", "/", "/..", "a/..", ".", "a\0b", "a\nb"] {
            assert!(clean(bad).is_err(), "{bad:?}");
        }
        assert!(clean(&"x".repeat(256)).is_err());
    }

    /// Whatever comes in, the result stays below the mount, names no odd
    /// part and is its own normal form.
    #[test]
    fn clean_never_leaves_the_mount() {
        let words = ["..", ".", "", "a", "b:c", "…", "/", "x y", "..a", "a..", "\0"];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut path = String::new();
            for _ in 0..(seed >> 61) + 1 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                path.push_str(words[usize::try_from(seed % 11).unwrap()]);
                if seed & 0x10000 != 0 {
                    path.push('/');
                }
            }
            let Ok(cleaned) = clean(&path) else { continue };
            assert!(cleaned.starts_with('/') && !cleaned.ends_with('/'));
            let odd = |part: &str| matches!(part, "" | "." | "..");
            assert!(!cleaned[1..].split('/').any(odd), "{path:?} -> {cleaned:?}");
            assert_eq!(clean(&cleaned).unwrap(), cleaned);
        }
    }

    #[test]
    fn absolute_and_default_paths() {
        let at = |path, rootless| locate(mountpoint(), path, "c1", Driver::Cgroupfs, rootless).unwrap();
        assert_eq!(at(Some("/a/b"), false).path, "/a/b");
        assert!(at(None, true).optional && !at(Some("/x"), true).optional);
        let beside = at(Some("a/b"), false).path;
        let own = own().unwrap();
        let parent = Path::new(&own).parent().unwrap_or(Path::new("/"));
        assert_eq!(beside, parent.join("a/b").to_str().unwrap());
        let default = parent.join("c1");
        assert_eq!(at(None, false).path, default.to_str().unwrap());
        assert_eq!(at(Some(""), false).path, default.to_str().unwrap());
        let off = locate(Err(CgroupError::NoMount), None, "c1", Driver::Disabled, false).unwrap();
        assert_eq!(off.path, "");
    }

    #[test]
    fn mountinfo_is_searched_and_unescaped() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             41 31 0:38 / /mnt/a\\040b rw shared:3 - cgroup2 none rw\n";
        assert_eq!(mount_of_table(table), Some(PathBuf::from("/mnt/a b")));
        assert_eq!(mount_of_table(""), None);
    }
}
