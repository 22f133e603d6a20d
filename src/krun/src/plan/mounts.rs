//! Mounts of the specification, made ready for the kernel.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use krun_spawner::plan::{FsOption, Mount as Planned, mount_flag, mount_kind};
use krun_sys::plain::Str;
use nix::libc;
use oci_spec::runtime::Mount;

use super::mount_options::Options;
use super::{Namespaces, PlanBuf, PlanError, Request};

/// Longest value that fsconfig(2) takes, with its NUL.
const FSCONFIG_MAX: usize = 256;
/// File systems without a device: read-only is a matter of the mount alone.
const VIRTUAL: &[&str] =
    &["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup2", "ramfs", "bpf", "securityfs"];
/// Files in /proc that an engine (lxcfs) may cover, as runc allows.
const PROC_FILES: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Plans all mounts, in order.
pub fn plan(buf: &mut PlanBuf, request: &Request<'_>, namespaces: &Namespaces) -> Result<(), PlanError> {
    let mounts = request.spec.mounts().as_deref().unwrap_or_default();
    let mut planned = Vec::with_capacity(mounts.len());
    let root = super::rootfs(request).unwrap_or_default();
    for (index, mount) in mounts.iter().enumerate() {
        let one = One { request, namespaces, root: &root, mount, index, options: options(mount) };
        planned.push(one.plan(buf)?);
    }
    mark_parents(&mut planned, mounts);
    buf.has_classic_mount = planned.iter().any(|mount| mount.kind == mount_kind::CLASSIC);
    buf.plan.mounts = buf.slice(&planned);
    Ok(())
}

/// A new tmpfs stays open for the mounts directly below it that follow it at once.
fn mark_parents(planned: &mut [Planned], mounts: &[Mount]) {
    let is_below = |child: &Mount, parent: &Mount| {
        clean(child.destination())
            .parent()
            .is_some_and(|above| above.as_os_str() == clean(parent.destination()).as_os_str())
    };
    for ((mount, next), planned) in mounts.iter().zip(mounts.iter().skip(1)).zip(planned) {
        if planned.kind == mount_kind::FILESYSTEM
            && mount.typ().as_deref() == Some("tmpfs")
            && is_below(next, mount)
        {
            planned.flags = planned.flags & !mount_flag::AT_ONCE | mount_flag::PARENT;
        }
    }
}

fn options(mount: &Mount) -> Options {
    Options::parse(mount.options().as_deref().unwrap_or_default())
}

/// Whether a mount binds a path of the host.
#[must_use]
pub fn is_bind(mount: &Mount) -> bool {
    let options = mount.options().as_deref().unwrap_or_default();
    mount.typ().as_deref() == Some("bind")
        || options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind"))
}

/// Whether a mount is of a file system that no path of the host leads to.
#[must_use]
pub fn is_virtual(mount: &Mount) -> bool {
    match mount.typ().as_deref() {
        None | Some("" | "none" | "cgroup") => true,
        Some(fstype) => VIRTUAL.contains(&fstype),
    }
}

struct One<'a> {
    request: &'a Request<'a>,
    namespaces: &'a Namespaces,
    root: &'a Path,
    mount: &'a Mount,
    index: usize,
    options: Options,
}

impl One<'_> {
    fn plan(&self, buf: &mut PlanBuf) -> Result<Planned, PlanError> {
        let target = self.target();
        let fstype = self.mount.typ().as_deref().unwrap_or("");
        let mut planned = Planned {
            index: u32::try_from(self.index).unwrap_or(u32::MAX),
            tree: -1,
            target: buf.path(&target),
            flags: self.flags(&target),
            propagation: self.options.propagation,
            rec_set: self.options.rec_set,
            rec_clr: self.options.rec_clear,
            ..Planned::default()
        };
        let bind = is_bind(self.mount);
        if target.as_os_str() == "/proc" && fstype != "proc" {
            self.refuse_fake_proc(bind)?;
        }
        self.refuse_what_would_be_lost(&target, fstype, bind)?;
        if self.options.remount || (!bind && matches!(fstype, "" | "none")) {
            self.remount(buf, &mut planned, fstype, bind);
        } else if bind {
            self.bind(buf, &mut planned);
        } else if fstype == "cgroup" || fstype == "cgroup2" {
            self.cgroup(buf, &mut planned);
        } else {
            self.filesystem(buf, &mut planned, fstype);
        }
        Ok(planned)
    }

    /// The destination in the container. One below the root file system's own
    /// path on the host is taken for one in it, as runc takes it.
    fn target(&self) -> PathBuf {
        let target = clean(self.mount.destination());
        match target.strip_prefix(self.root) {
            Ok(inside) if self.root != Path::new("/") => Path::new("/").join(inside),
            _ => target,
        }
    }

    fn flags(&self, target: &Path) -> u32 {
        let o = &self.options;
        let mut flags = 0;
        let mut set = |bit, on: bool| flags |= if on { bit } else { 0 };
        set(mount_flag::RECURSIVE, o.recursive);
        set(mount_flag::COPY_UP, o.copy_up);
        set(mount_flag::SOURCE_NOFOLLOW, o.source_nofollow);
        set(mount_flag::TARGET_NOFOLLOW, o.target_nofollow);
        set(mount_flag::COPY_SYMLINK, o.copy_symlink);
        set(mount_flag::PROPAGATION_RECURSIVE, o.propagation_recursive);
        set(mount_flag::PROC_TARGET, PROC_FILES.iter().any(|file| target.as_os_str() == *file));
        flags
    }

    /// A directory that poses as procfs would swallow what krun and the
    /// container write there (CVE-2019-16884, CVE-2019-19921).
    fn refuse_fake_proc(&self, bind: bool) -> Result<(), PlanError> {
        let source = self.mount.source().as_deref().unwrap_or(Path::new(""));
        let is_proc = |path: &Path| {
            nix::sys::statfs::statfs(path)
                .is_ok_and(|st| st.filesystem_type() == nix::sys::statfs::PROC_SUPER_MAGIC)
        };
        if bind && is_proc(source) {
            return Ok(());
        }
        let path = format!("mounts[{}]", self.index);
        Err(PlanError::conflict(path, "\"/proc\" cannot be mounted because it is not of type proc"))
    }

    /// What the kernel would not look at, or what nobody would see.
    fn refuse_what_would_be_lost(&self, target: &Path, fstype: &str, bind: bool) -> Result<(), PlanError> {
        let o = &self.options;
        let wrong = |member: &str, reason: String| {
            Err(PlanError::conflict(format!("mounts[{}]{member}", self.index), reason))
        };
        if let Some(option) = o.data.first().filter(|_| bind) {
            let reason = format!(
                "invalid mount: bind mounts cannot have any filesystem-specific options applied ({option:?})"
            );
            return wrong(".options", reason);
        }
        if o.copy_up && (bind || o.remount || fstype != "tmpfs") {
            return wrong(".options", "tmpcopyup is for a new tmpfs, there is none to copy to".to_owned());
        }
        let mounted = bind || !matches!(fstype, "" | "none");
        if mounted && !o.remount && target.as_os_str() == "/" {
            // The container's root is the directory below.
            let reason = "the mountpoint is on the top of rootfs, nothing would lead to it";
            return wrong(".destination", reason.to_owned());
        }
        if !mounted && !o.remount && o.propagation == 0 {
            let reason =
                "a file system expected; for anything else one of the options bind, rbind and remount";
            return wrong(".type", reason.to_owned());
        }
        Ok(())
    }

    /// Another look at what is mounted; what is the file system's is done by mount(2), which takes all at once.
    fn remount(&self, buf: &mut PlanBuf, planned: &mut Planned, fstype: &str, bind: bool) {
        let o = &self.options;
        let of_file_system = !(o.data.is_empty() && o.superblock.is_empty());
        if of_file_system && !bind {
            planned.kind = mount_kind::CLASSIC;
            planned.ms_flags = o.ms | libc::MS_REMOUNT;
            planned.fstype = buf.str(fstype);
            planned.source = self.source(buf);
            planned.data = buf.str(o.data.join(","));
            return;
        }
        planned.kind = mount_kind::REMOUNT;
        (planned.attr_set, planned.attr_clr) = (o.set, o.clear);
    }

    fn bind(&self, buf: &mut PlanBuf, planned: &mut Planned) {
        planned.kind = mount_kind::BIND;
        let source = self.request.bundle.join(self.mount.source().as_deref().unwrap_or(Path::new("")));
        planned.source = buf.path(&source);
        let in_user = self.namespaces.new_user || self.namespaces.joined_user;
        (planned.attr_set, planned.attr_clr) = self.options.bind_attributes(in_user);
        if let Some(tree) = self.request.trees.iter().find(|tree| tree.index == self.index) {
            planned.tree = tree.tree;
            planned.flags |= if tree.tree < 0 { mount_flag::ASK_TREE } else { 0 };
        }
    }

    /// cgroup v2 of the container's own namespace; or, where the kernel refuses
    /// one, the container's directory of the host's.
    fn cgroup(&self, buf: &mut PlanBuf, planned: &mut Planned) {
        let facts = self.request.facts;
        planned.fstype = buf.str("cgroup2");
        planned.flags |= mount_flag::FALLBACK_BIND | mount_flag::ORDINARY_TARGET;
        planned.attr = attr(&self.options);
        let foreign = !facts.privileged || self.namespaces.new_user || self.namespaces.joined_user;
        if foreign && !self.namespaces.private_cgroup {
            // The host's tree would be writable (CVE-2023-25809).
            planned.attr |= attr_bits(libc::MOUNT_ATTR_RDONLY);
        }
        let source = match &self.request.cgroup {
            Some(cgroup) if self.namespaces.private_cgroup => cgroup.clone(),
            _ => facts.cgroup_mount.clone(),
        };
        planned.source = self.source(buf);
        planned.fallback = buf.path(&source);
        planned.options = fs_options(buf, &[], &self.options.data);
    }

    fn filesystem(&self, buf: &mut PlanBuf, planned: &mut Planned, fstype: &str) {
        planned.fstype = buf.str(fstype);
        planned.attr = attr(&self.options);
        match fstype {
            "proc" => planned.flags |= mount_flag::ORDINARY_TARGET,
            "sysfs" => {
                planned.flags |= mount_flag::ORDINARY_TARGET | mount_flag::FALLBACK_BIND;
                planned.fallback = buf.str("/sys");
            }
            _ => {}
        }
        planned.source = self.source(buf);
        if fstype == "mqueue"
            && let Some(label) = self.label()
        {
            // Its superblock is as old as the ipc namespace: too late for an option.
            planned.label = buf.str(label);
        }
        let data = self.data(fstype);
        if fstype == "tmpfs" {
            if !data.iter().any(|option| option.starts_with("mode=")) {
                planned.flags |= mount_flag::INHERIT_MODE;
            }
            if planned.attr & attr_bits(libc::MOUNT_ATTR_RDONLY) != 0 {
                planned.attr &= !attr_bits(libc::MOUNT_ATTR_RDONLY);
                planned.flags |= mount_flag::LATE_READONLY;
            }
        }
        let long =
            |option: &String| option.split_once('=').is_some_and(|(_, value)| value.len() >= FSCONFIG_MAX);
        // fsconfig(2) knows no "iversion" for all file systems, as mount(2) does.
        if data.iter().any(long) || self.options.superblock.contains(&"iversion") {
            planned.kind = mount_kind::CLASSIC;
            planned.ms_flags = self.options.ms;
            planned.data = buf.str(data.join(","));
            return;
        }
        if self.goes_at_once(planned, fstype, &data) {
            planned.flags |= mount_flag::AT_ONCE;
            planned.ms_flags = self.options.ms;
            planned.data = buf.str(data.join(","));
        }
        planned.kind = mount_kind::FILESYSTEM;
        let mut superblock = self.options.superblock.clone();
        if !VIRTUAL.contains(&fstype) && self.options.set & libc::MOUNT_ATTR_RDONLY != 0 {
            superblock.push("ro");
        }
        planned.options = fs_options(buf, &superblock, &data);
    }

    /// Whether mount(2) does the same: not with anything that is set later, nor read-only where that would be the new
    /// file system's and not the mount's alone. There is one cgroup2 for all, and it is mounted already.
    fn goes_at_once(&self, planned: &Planned, fstype: &str, data: &[String]) -> bool {
        let later = mount_flag::COPY_UP | mount_flag::INHERIT_MODE | mount_flag::LATE_READONLY;
        let readonly = attr_bits(libc::MOUNT_ATTR_RDONLY);
        VIRTUAL.contains(&fstype)
            && planned.flags & later == 0
            && (planned.attr & readonly == 0 || fstype == "cgroup2")
            && planned.propagation | planned.rec_set | planned.rec_clr == 0
            && planned.label == Str::default()
            && self.options.superblock.is_empty()
            // A comma would part an option in two.
            && !data.iter().any(|option| option.contains(','))
            && data.iter().map(|option| option.len() + 1).sum::<usize>() < 4096
    }

    /// The file system's options, with the label of the container's mounts.
    fn data(&self, fstype: &str) -> Vec<String> {
        let mut data = self.options.data.clone();
        if let Some(label) = self.label().filter(|_| !matches!(fstype, "proc" | "sysfs" | "mqueue")) {
            data.push(format!("context={label}"));
        }
        data
    }

    /// `linux.mountLabel`
    fn label(&self) -> Option<&str> {
        let label = self.request.spec.linux().as_ref()?.mount_label().as_deref()?;
        Some(label).filter(|label| !label.is_empty())
    }

    fn source(&self, buf: &mut PlanBuf) -> Str {
        let source = self.mount.source().as_ref().filter(|source| !source.as_os_str().is_empty());
        source.map_or(Str::default(), |source| buf.path(source))
    }
}

fn attr_bits(attr: u64) -> u32 {
    // All MOUNT_ATTR_* that fsmount(2) takes are below 2^32.
    u32::try_from(attr).unwrap_or(0)
}

fn attr(options: &Options) -> u32 {
    attr_bits(options.set | options.rec_set)
}

fn fs_options(buf: &mut PlanBuf, superblock: &[&str], data: &[String]) -> krun_sys::plain::Slice<FsOption> {
    let flags: Vec<_> =
        superblock.iter().map(|name| FsOption { key: buf.str(name), value: Str::default() }).collect();
    let split = |option: &String| match option.split_once('=') {
        Some((key, value)) => FsOption { key: buf.str(key), value: buf.str(value) },
        None => FsOption { key: buf.str(option), value: Str::default() },
    };
    let all: Vec<_> = flags.into_iter().chain(data.iter().map(split).collect::<Vec<_>>()).collect();
    buf.slice(&all)
}

/// An absolute path without ".", ".." and doubled slashes, as a lexical join
/// below "/" (runc accepts relative destinations likewise).
pub fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    if is_clean(path.as_os_str().as_bytes()) {
        return path.to_owned();
    }
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out
}

/// Whether no component of an absolute path is empty or begins with a dot.
fn is_clean(path: &[u8]) -> bool {
    path.len() > 1 && path.first() == Some(&b'/') && !path.split(|byte| *byte == b'/').skip(1).any(is_odd)
}

fn is_odd(component: &[u8]) -> bool {
    matches!(component.first(), None | Some(b'.'))
}

/// Whether /dev is bound from the host: then nothing is created in it.
#[must_use]
pub fn binds_dev(request: &Request<'_>) -> bool {
    let mounts = request.spec.mounts().as_deref().unwrap_or_default();
    mounts.iter().any(|mount| is_bind(mount) && clean(mount.destination()).as_os_str() == "/dev")
}
