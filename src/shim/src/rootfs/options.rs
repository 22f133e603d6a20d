//! Mount options as fstab has them.

use nix::mount::MsFlags;

use super::Fault;

/// Options, sorted by what takes them.
#[derive(Debug)]
pub struct Parsed<'a> {
    /// Flags of mount(2), without propagation.
    pub flags: MsFlags,
    /// Propagation, applied by a call of its own.
    pub propagation: MsFlags,
    /// Options of the file system.
    pub data: Vec<&'a str>,
    /// Whether the source is a file to be mounted through a loop device.
    pub loopback: bool,
    /// `container:host:size[,…]` of an idmapped mount.
    pub uidmap: Option<&'a str>,
    /// The same for groups.
    pub gidmap: Option<&'a str>,
}

/// Name, whether it clears, flag.
const FLAGS: &[(&str, bool, MsFlags)] = &[
    ("async", true, MsFlags::MS_SYNCHRONOUS),
    ("atime", true, MsFlags::MS_NOATIME),
    ("bind", false, MsFlags::MS_BIND),
    ("dev", true, MsFlags::MS_NODEV),
    ("diratime", true, MsFlags::MS_NODIRATIME),
    ("dirsync", false, MsFlags::MS_DIRSYNC),
    ("exec", true, MsFlags::MS_NOEXEC),
    ("mand", false, MsFlags::MS_MANDLOCK),
    ("noatime", false, MsFlags::MS_NOATIME),
    ("nodev", false, MsFlags::MS_NODEV),
    ("nodiratime", false, MsFlags::MS_NODIRATIME),
    ("noexec", false, MsFlags::MS_NOEXEC),
    ("nomand", true, MsFlags::MS_MANDLOCK),
    ("norelatime", true, MsFlags::MS_RELATIME),
    ("nostrictatime", true, MsFlags::MS_STRICTATIME),
    ("nosuid", false, MsFlags::MS_NOSUID),
    ("rbind", false, MsFlags::MS_BIND.union(MsFlags::MS_REC)),
    ("relatime", false, MsFlags::MS_RELATIME),
    ("remount", false, MsFlags::MS_REMOUNT),
    ("ro", false, MsFlags::MS_RDONLY),
    ("rw", true, MsFlags::MS_RDONLY),
    ("strictatime", false, MsFlags::MS_STRICTATIME),
    ("suid", true, MsFlags::MS_NOSUID),
    ("sync", false, MsFlags::MS_SYNCHRONOUS),
];

const PROPAGATION: &[(&str, MsFlags)] = &[
    ("private", MsFlags::MS_PRIVATE),
    ("rprivate", MsFlags::MS_PRIVATE.union(MsFlags::MS_REC)),
    ("shared", MsFlags::MS_SHARED),
    ("rshared", MsFlags::MS_SHARED.union(MsFlags::MS_REC)),
    ("slave", MsFlags::MS_SLAVE),
    ("rslave", MsFlags::MS_SLAVE.union(MsFlags::MS_REC)),
    ("unbindable", MsFlags::MS_UNBINDABLE),
    ("runbindable", MsFlags::MS_UNBINDABLE.union(MsFlags::MS_REC)),
];

impl<'a> Parsed<'a> {
    /// Sorts the options; a later flag wins over an earlier one.
    pub fn new(options: &'a [String]) -> Result<Self, Fault> {
        let mut parsed = Self {
            flags: MsFlags::empty(),
            propagation: MsFlags::empty(),
            data: Vec::new(),
            loopback: false,
            uidmap: None,
            gidmap: None,
        };
        for option in options {
            parsed.take(option)?;
        }
        Ok(parsed)
    }

    fn take(&mut self, option: &'a str) -> Result<(), Fault> {
        if option.starts_with("X-containerd.") {
            return Err(Fault::Option(
                option.to_owned(),
                "containerd's mount manager should have used it up",
            ));
        }
        if let Some((_, clear, flag)) = FLAGS.iter().find(|(name, ..)| *name == option) {
            self.flags.set(*flag, !clear);
        } else if let Some((_, flag)) = PROPAGATION.iter().find(|(name, _)| *name == option) {
            self.propagation |= *flag;
        } else if let Some(map) = option.strip_prefix("uidmap=") {
            self.uidmap = Some(map);
        } else if let Some(map) = option.strip_prefix("gidmap=") {
            self.gidmap = Some(map);
        } else if option == "loop" {
            self.loopback = true;
        } else if option != "defaults" {
            self.data.push(option);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options_go_where_they_belong() {
        let options: Vec<String> =
            ["rbind", "ro", "rw", "rprivate", "loop", "uidmap=0:1:2", "lowerdir=/a:/b"]
                .map(str::to_owned)
                .to_vec();
        let parsed = Parsed::new(&options).unwrap();
        assert_eq!(parsed.flags, MsFlags::MS_BIND | MsFlags::MS_REC);
        assert_eq!(parsed.propagation, MsFlags::MS_PRIVATE | MsFlags::MS_REC);
        assert_eq!((parsed.data, parsed.loopback), (vec!["lowerdir=/a:/b"], true));
        assert_eq!((parsed.uidmap, parsed.gidmap), (Some("0:1:2"), None));
    }
}
