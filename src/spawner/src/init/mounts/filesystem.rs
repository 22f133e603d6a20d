//! Mounts of new file systems: at once where that is enough, else piece by piece.

use core::ffi::CStr;

use krun_sys::fs::{fchdir, fsetxattr, fstat, openat};
use krun_sys::mount::{
    MountAttr, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, mount, mount_setattr, open_tree,
};
use krun_sys::{Errno, Fd, OwnedFd, libc};

use super::super::channel::{At, Fail, index};
use super::super::path::Missing;
use super::super::rootfs::EMPTY_PATH;
use super::super::tmpcopyup;
use super::{One, RECURSIVE};
use crate::plan::mount_flag;
use crate::step::Step;

impl One<'_, '_> {
    /// A tmpfs that others will be mounted in comes back open.
    pub(super) fn filesystem(&self) -> Result<Option<OwnedFd>, Fail> {
        let mode_below = self.has(mount_flag::INHERIT_MODE) && self.exists();
        let target = self.target(Missing::Directory, self.makes_proc())?;
        if self.has(mount_flag::AT_ONCE) && self.at_once(target.as_fd()).is_ok() {
            return Ok(None);
        }
        let tree = match self.new_filesystem(target.as_fd(), mode_below) {
            Err(fail) if self.has(mount_flag::FALLBACK_BIND) && refused(fail) => {
                return self.fallback_bind(target.as_fd()).map(|()| None);
            }
            tree => tree?,
        };
        if self.has(mount_flag::COPY_UP) {
            tmpcopyup::copy(target.as_fd(), tree.as_fd()).on(Step::MountCopyUp, self.i)?;
        }
        self.label(tree.as_fd())?;
        self.move_to(tree.as_fd(), target.as_fd())?;
        Ok(self.has(mount_flag::PARENT).then_some(tree))
    }

    /// On the working directory, since mount(2) takes paths only. Whatever fails does so again, and says
    /// why, in the steps of the usual way.
    fn at_once(&self, target: Fd<'_>) -> krun_sys::Result<()> {
        fchdir(target)?;
        let (source, fstype, data) =
            (self.text(self.m.source), self.text(self.m.fstype), self.text(self.m.data));
        // The kernel copies a page from there on, and does so byte by byte where the map ends.
        let mut near = [0u8; 256];
        let bytes = data.to_bytes_with_nul();
        let data = match near.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                CStr::from_bytes_until_nul(&near).unwrap_or(c"")
            }
            None => data,
        };
        mount(source, c".", fstype, self.m.ms_flags, data)
    }

    fn label(&self, tree: Fd<'_>) -> Result<(), Fail> {
        if !self.m.label.is_some() {
            return Ok(());
        }
        let root = openat(tree, c".", libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)
            .on(Step::MountLabel, self.i)?;
        let label = self.text(self.m.label).to_bytes_with_nul();
        fsetxattr(root.as_fd(), c"security.selinux", label).on(Step::MountLabel, self.i)
    }

    fn new_filesystem(&self, target: Fd<'_>, mode_below: bool) -> Result<OwnedFd, Fail> {
        let fs = fsopen(self.text(self.m.fstype)).on(Step::MountFsopen, self.i)?;
        if self.m.source.is_some() {
            match fsconfig_set_string(fs.as_fd(), c"source", self.text(self.m.source)) {
                // Some file systems (cgroup2 before 5.10) know no source.
                Ok(()) | Err(Errno::EINVAL) => {}
                Err(errno) => return Err(Fail::new(Step::MountOption, self.i, errno)),
            }
        }
        for (n, option) in self.birth.view.arena.slice(self.m.options).iter().enumerate() {
            let key = self.text(option.key);
            let set = if option.value.is_some() {
                fsconfig_set_string(fs.as_fd(), key, self.text(option.value))
            } else {
                fsconfig_set_flag(fs.as_fd(), key)
            };
            set.on(Step::MountOption, self.i).map_err(|fail| fail.with_detail(u64::from(index(n))))?;
        }
        if mode_below {
            self.inherit_mode(fs.as_fd(), target)?;
        }
        fsconfig_create(fs.as_fd()).on(Step::MountCreate, self.i)?;
        fsmount(fs.as_fd(), self.m.attr).on(Step::MountFsmount, self.i)
    }

    /// A tmpfs gets the permissions of the directory that it covers.
    fn inherit_mode(&self, fs: Fd<'_>, target: Fd<'_>) -> Result<(), Fail> {
        let mode = fstat(target).on(Step::MountTarget, self.i)?.mode & 0o7777;
        let mut octal = [b'0'; 6];
        for (digit, shift) in octal.iter_mut().skip(1).zip([9u32, 6, 3, 0]) {
            *digit = b'0'.wrapping_add(u8::try_from((mode >> shift) & 7).unwrap_or(0));
        }
        if let Some(end) = octal.last_mut() {
            *end = 0;
        }
        let text = CStr::from_bytes_until_nul(&octal).unwrap_or(c"0755");
        fsconfig_set_string(fs, c"mode", text).on(Step::MountOption, self.i)
    }

    /// A user namespace that does not own the network or cgroup namespace may
    /// not mount sysfs or cgroup2: it gets the host's, bound.
    fn fallback_bind(&self, target: Fd<'_>) -> Result<(), Fail> {
        let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | RECURSIVE;
        let source = self.text(self.m.fallback);
        let tree = open_tree(Fd::CWD, source, flags).on(Step::MountSource, self.i)?;
        let attr = MountAttr { attr_set: u64::from(self.m.attr), ..MountAttr::default() };
        mount_setattr(tree.as_fd(), c"", EMPTY_PATH | RECURSIVE, &attr).on(Step::MountAttr, self.i)?;
        self.move_to(tree.as_fd(), target)
    }
}

/// Whether the kernel refused the file system itself.
fn refused(fail: Fail) -> bool {
    let by_kernel = [Errno::EPERM.0, Errno::EBUSY.0, Errno::ENODEV.0].contains(&fail.0.errno);
    let whole = [Step::MountFsopen, Step::MountCreate, Step::MountFsmount].map(|s| s as u16);
    by_kernel && whole.contains(&fail.0.step)
}
