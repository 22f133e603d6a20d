//! The options of a mount (runtime-spec, "Linux mount options"; mount(8)), as a table.

use nix::libc;

/// A mount's options, sorted by who acts on them.
#[derive(Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // one option each
pub struct Options {
    /// Attributes of the mount to set, and to clear.
    pub set: u64,
    /// Attributes of the mount to clear.
    pub clear: u64,
    /// Attributes of the whole tree to set.
    pub rec_set: u64,
    /// Attributes of the whole tree to clear.
    pub rec_clear: u64,
    /// `MS_*` flags for mount(2), superblock flags among them.
    pub ms: u64,
    /// The last propagation type given.
    pub propagation: u64,
    /// Whether it is recursive.
    pub propagation_recursive: bool,
    /// `bind` or `rbind`.
    pub bind: bool,
    /// `rbind`.
    pub recursive: bool,
    /// `remount`.
    pub remount: bool,
    /// `tmpcopyup`.
    pub copy_up: bool,
    /// `idmap`.
    pub idmap: bool,
    /// `ridmap`.
    pub ridmap: bool,
    /// `copy-symlink`.
    pub copy_symlink: bool,
    /// `src-nofollow`.
    pub source_nofollow: bool,
    /// `dest-nofollow`.
    pub target_nofollow: bool,
    /// Superblock flags as fsconfig(2) names them.
    pub superblock: Vec<&'static str>,
    /// Whether any attribute or superblock flag was named at all.
    pub flagged: bool,
    /// What is left: the file system's own options.
    pub data: Vec<String>,
}

const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
const NODIRATIME: u64 = libc::MOUNT_ATTR_NODIRATIME;
const NOSYMFOLLOW: u64 = libc::MOUNT_ATTR_NOSYMFOLLOW;
const ATIME: u64 = libc::MOUNT_ATTR__ATIME;
const RELATIME: u64 = libc::MOUNT_ATTR_RELATIME;
const NOATIME: u64 = libc::MOUNT_ATTR_NOATIME;
const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;

/// Attribute options: name, what is set, what is cleared, the `MS_*` flag that
/// mount(2) wants set (or cleared, when nothing is set).
const ATTRIBUTES: &[(&str, u64, u64, u64)] = &[
    ("ro", RDONLY, 0, libc::MS_RDONLY),
    ("rw", 0, RDONLY, libc::MS_RDONLY),
    ("nosuid", NOSUID, 0, libc::MS_NOSUID),
    ("suid", 0, NOSUID, libc::MS_NOSUID),
    ("nodev", NODEV, 0, libc::MS_NODEV),
    ("dev", 0, NODEV, libc::MS_NODEV),
    ("noexec", NOEXEC, 0, libc::MS_NOEXEC),
    ("exec", 0, NOEXEC, libc::MS_NOEXEC),
    ("nodiratime", NODIRATIME, 0, libc::MS_NODIRATIME),
    ("diratime", 0, NODIRATIME, libc::MS_NODIRATIME),
    ("nosymfollow", NOSYMFOLLOW, 0, 0x100),
    ("symfollow", 0, NOSYMFOLLOW, 0x100),
    ("noatime", NOATIME, ATIME, libc::MS_NOATIME),
    ("atime", RELATIME, ATIME, 0),
    ("relatime", RELATIME, ATIME, libc::MS_RELATIME),
    ("norelatime", RELATIME, ATIME, 0),
    ("strictatime", STRICTATIME, ATIME, libc::MS_STRICTATIME),
    ("nostrictatime", RELATIME, ATIME, 0),
];

/// Superblock flags: name, the name for fsconfig(2), `MS_*`, set or cleared.
const SUPERBLOCK: &[(&str, &str, u64, bool)] = &[
    ("sync", "sync", libc::MS_SYNCHRONOUS, true),
    ("async", "sync", libc::MS_SYNCHRONOUS, false),
    ("dirsync", "dirsync", libc::MS_DIRSYNC, true),
    ("lazytime", "lazytime", 1 << 25, true),
    ("nolazytime", "lazytime", 1 << 25, false),
    ("mand", "mand", libc::MS_MANDLOCK, true),
    ("nomand", "mand", libc::MS_MANDLOCK, false),
    ("iversion", "iversion", libc::MS_I_VERSION, true),
    ("noiversion", "iversion", libc::MS_I_VERSION, false),
];

const PROPAGATION: &[(&str, u64, bool)] = &[
    ("private", libc::MS_PRIVATE, false),
    ("rprivate", libc::MS_PRIVATE, true),
    ("slave", libc::MS_SLAVE, false),
    ("rslave", libc::MS_SLAVE, true),
    ("shared", libc::MS_SHARED, false),
    ("rshared", libc::MS_SHARED, true),
    ("unbindable", libc::MS_UNBINDABLE, false),
    ("runbindable", libc::MS_UNBINDABLE, true),
];

/// Every option that krun itself acts on, for `krun features`.
pub fn known() -> impl Iterator<Item = String> {
    let attributes = ATTRIBUTES.iter().map(|row| row.0.to_owned());
    let recursive = ATTRIBUTES.iter().map(|row| format!("r{}", row.0));
    let superblock = SUPERBLOCK.iter().map(|row| row.0.to_owned());
    let propagation = PROPAGATION.iter().map(|row| row.0.to_owned());
    let others = [
        "bind",
        "rbind",
        "remount",
        "defaults",
        "silent",
        "loud",
        "tmpcopyup",
        "idmap",
        "ridmap",
        "copy-symlink",
        "src-nofollow",
        "dest-nofollow",
    ];
    attributes.chain(recursive).chain(superblock).chain(propagation).chain(others.map(str::to_owned))
}

impl Options {
    /// Sorts options; later ones win over earlier ones.
    pub fn parse<S: AsRef<str>>(options: &[S]) -> Options {
        let mut parsed = Options::default();
        for option in options {
            parsed.add(option.as_ref());
        }
        parsed
    }

    /// Attributes of a bind mount to set and to clear. As with mount(8), no flag
    /// at all keeps those of the source, and any flag replaces them; but flags
    /// about access times only replace each other. In a user namespace what the
    /// source has and nobody named stays: there it is locked (mount_namespaces(7)).
    /// What somebody named is done or refused by the kernel: a mount that stays read-only
    /// although `rw` was asked for would be a surprise later.
    #[must_use]
    pub fn bind_attributes(&self, in_user: bool) -> (u64, u64) {
        if !self.flagged {
            return (0, 0);
        }
        let wanted = |attr: u64, ms: u64| if self.ms & ms != 0 { attr } else { 0 };
        let plain = wanted(RDONLY, libc::MS_RDONLY)
            | wanted(NOSUID, libc::MS_NOSUID)
            | wanted(NODEV, libc::MS_NODEV)
            | wanted(NOEXEC, libc::MS_NOEXEC)
            | wanted(NOSYMFOLLOW, 0x100);
        let times = libc::MS_NOATIME | libc::MS_NODIRATIME | libc::MS_RELATIME | libc::MS_STRICTATIME;
        let (set_times, clear_times) = if self.ms & times == 0 {
            (0, 0)
        } else if self.ms & libc::MS_STRICTATIME != 0 {
            (STRICTATIME | wanted(NODIRATIME, libc::MS_NODIRATIME), ATIME | NODIRATIME)
        } else {
            let kind = if self.ms & libc::MS_NOATIME != 0 { NOATIME } else { RELATIME };
            (kind | wanted(NODIRATIME, libc::MS_NODIRATIME), ATIME | NODIRATIME)
        };
        let lockable = RDONLY | NOSUID | NODEV | NOEXEC;
        let named = if in_user { self.clear } else { !0 };
        let cleared = lockable & named | NOSYMFOLLOW;
        let set = plain | set_times;
        // The field of the access time is cleared whole before a value is set.
        (set, (cleared | clear_times) & !(set & !ATIME))
    }

    fn add(&mut self, option: &str) {
        if let Some((_, set, clear, ms)) = ATTRIBUTES.iter().find(|row| row.0 == option) {
            self.flagged = true;
            apply(&mut self.set, &mut self.clear, *set, *clear);
            let atime = libc::MS_NOATIME | libc::MS_RELATIME | libc::MS_STRICTATIME;
            // The value of relatime is 0, so that `set` does not tell it from an option that only clears.
            let access_time = *clear == ATIME && *ms != 0;
            self.ms &= !if access_time { atime } else { *ms };
            if *set != 0 || access_time {
                self.ms |= ms;
            }
            return;
        }
        let recursive = option.strip_prefix('r').and_then(|name| ATTRIBUTES.iter().find(|row| row.0 == name));
        if let Some((_, set, clear, _)) = recursive {
            apply(&mut self.rec_set, &mut self.rec_clear, *set, *clear);
            return;
        }
        if let Some((_, name, ms, on)) = SUPERBLOCK.iter().find(|row| row.0 == option) {
            self.flagged = true;
            self.superblock.retain(|flag| flag != name);
            self.ms &= !ms;
            if *on {
                self.superblock.push(name);
                self.ms |= ms;
            }
            return;
        }
        if let Some((_, ms, recursive)) = PROPAGATION.iter().find(|row| row.0 == option) {
            (self.propagation, self.propagation_recursive) = (*ms, *recursive);
            return;
        }
        self.add_other(option);
    }

    fn add_other(&mut self, option: &str) {
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "remount" => self.remount = true,
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.idmap = true,
            "ridmap" => (self.idmap, self.ridmap) = (true, true),
            "copy-symlink" => self.copy_symlink = true,
            "src-nofollow" => self.source_nofollow = true,
            "dest-nofollow" => self.target_nofollow = true,
            "" | "defaults" | "silent" | "loud" => {}
            data => self.data.push(data.to_owned()),
        }
    }
}

/// A later option undoes an earlier opposite one.
fn apply(have_set: &mut u64, have_clear: &mut u64, set: u64, clear: u64) {
    if clear == ATIME {
        *have_set = *have_set & !ATIME | set;
        *have_clear |= ATIME;
    } else {
        *have_set = *have_set & !clear | set;
        *have_clear = *have_clear & !set | clear;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_opposites_wins() {
        let parsed = Options::parse(&["ro", "rw", "nosuid"]);
        assert_eq!((parsed.set, parsed.clear), (NOSUID, RDONLY));
        let parsed = Options::parse(&["rw", "ro", "strictatime", "noatime"]);
        assert_eq!((parsed.set, parsed.clear), (RDONLY | NOATIME, ATIME));
    }

    #[test]
    fn recursive_attributes_are_kept_apart() {
        let parsed = Options::parse(&["rbind", "rro", "rnosuid", "ro"]);
        assert!(parsed.bind && parsed.recursive);
        assert_eq!((parsed.set, parsed.rec_set), (RDONLY, RDONLY | NOSUID));
        assert_eq!(Options::parse(&["rrelatime"]).rec_clear, ATIME);
    }

    #[test]
    fn flags_of_a_bind_replace_those_of_its_source() {
        let of = |options: &[&str], in_user| Options::parse(options).bind_attributes(in_user);
        assert_eq!(of(&["bind", "rprivate"], false), (0, 0));
        assert_eq!(of(&["bind", "ro"], false), (RDONLY, NOSUID | NODEV | NOEXEC | NOSYMFOLLOW));
        assert_eq!(of(&["bind", "dev"], false), (0, RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW));
        assert_eq!(of(&["bind", "ro"], true), (RDONLY, NOSYMFOLLOW));
        assert_eq!(of(&["bind", "rw", "nosuid"], true), (NOSUID, RDONLY | NOSYMFOLLOW));
        let (set, clear) = of(&["bind", "nodiratime"], false);
        assert_eq!((set, clear & (ATIME | NODIRATIME)), (RELATIME | NODIRATIME, ATIME));
        // "atime" and "norelatime" name nothing to replace the access time with.
        assert_eq!(of(&["bind", "norelatime"], false).1 & ATIME, 0);
        assert_eq!(of(&["bind", "atime"], false).1 & ATIME, 0);
        assert_eq!(of(&["bind", "noatime", "relatime"], false).0 & ATIME, RELATIME);
        assert_eq!(of(&["bind", "relatime"], true).1 & ATIME, ATIME);
    }

    #[test]
    fn what_is_unknown_belongs_to_the_file_system() {
        let parsed = Options::parse(&["mode=755", "newinstance", "sync", "async", "rslave"]);
        assert_eq!(parsed.data, ["mode=755", "newinstance"]);
        assert!(parsed.superblock.is_empty());
        assert_eq!((parsed.propagation, parsed.propagation_recursive), (libc::MS_SLAVE, true));
    }
}
