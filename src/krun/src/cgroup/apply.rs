//! Limits to interface files, with an error that says what is missing.

use nix::errno::Errno;
use oci_spec::runtime::LinuxResources;

use super::file::{read_short, write_at};
use super::resources::{Lenience, Write, bad_value, writes};
use super::{Cgroup, CgroupError, controller};

impl Cgroup {
    /// Applies all limits and the device filter.
    ///
    /// # Errors
    /// The first setting that fails, by its field and file.
    pub fn apply(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        self.set(resources)?;
        self.set_devices(resources)
    }

    /// Applies the limits of `krun update`; `resources` must be complete (see
    /// [`super::merge`]). Device rules stay as they are, as in runc.
    ///
    /// # Errors
    /// As [`Cgroup::apply`], and `rejecting memory limit` when
    /// `checkBeforeUpdate` is set and usage is above the new limit.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        if let Some(scope) = &self.location().scope {
            self.check_memory(resources)?;
            super::systemd::update(scope, resources)?;
        }
        self.set(resources)
    }

    /// Writes all interface files.
    fn set(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        self.check_memory(resources)?;
        let rounded = self.as_systemd_rounds(resources);
        let resources = rounded.as_ref().unwrap_or(resources);
        let mut buf = [0; 64];
        let weighs = resources
            .block_io()
            .as_ref()
            .is_some_and(|io| io.weight().is_some() || io.weight_device().is_some());
        let bfq = weighs && read_short(self.dir(), "io.bfq.weight", &mut buf).is_ok();
        for write in writes(resources, bfq)? {
            self.write_knob(write)?;
        }
        Ok(())
    }

    /// With the systemd driver: `resources` with the quota that systemd sets,
    /// and without a weight that it was told to ignore.
    fn as_systemd_rounds(&self, resources: &LinuxResources) -> Option<LinuxResources> {
        self.location().scope.as_ref()?;
        let mut cpu = resources.cpu().clone()?;
        if let Some(quota) = cpu.quota() {
            cpu.set_quota(Some(super::systemd::rounded_quota(quota, cpu.period())));
        }
        if cpu.idle() == Some(1) {
            cpu.set_shares(None);
        }
        let mut rounded = resources.clone();
        rounded.set_cpu(Some(cpu));
        Some(rounded)
    }

    fn write_knob(&self, write: Write) -> Result<(), CgroupError> {
        let Err(errno) = write_at(self.dir(), &write.file, write.value.as_bytes()) else {
            return Ok(());
        };
        match (write.lenience, errno) {
            (Lenience::IfInvalid, Errno::EINVAL) => return Ok(()),
            (Lenience::IfMissing, Errno::ENOENT) => {
                let strict = Write { lenience: Lenience::Strict, ..write };
                // Missing with the whole controller is not what was meant.
                return match self.refused(strict, errno) {
                    error @ CgroupError::NoController { .. } => Err(error),
                    _ => Ok(()),
                };
            }
            _ => {}
        }
        Err(self.refused(write, errno))
    }

    /// The error for a refused write: the controller's absence, if that is why.
    fn refused(&self, write: Write, errno: Errno) -> CgroupError {
        let dir = self.location().dir();
        let absent = matches!(errno, Errno::ENOENT | Errno::EACCES | Errno::EPERM);
        let (controller, _) = write.file.split_once('.').unwrap_or((&write.file, ""));
        match absent.then(|| controller::missing(self.location(), controller)) {
            Some(Some(reason)) => CgroupError::NoController {
                controller: controller.to_owned(),
                field: write.field.into_owned(),
                file: write.file.into_owned(),
                dir,
                reason,
            },
            _ => CgroupError::Set {
                field: write.field.into_owned(),
                file: write.file.into_owned(),
                value: write.value,
                dir,
                source: errno,
            },
        }
    }

    /// `memory.checkBeforeUpdate`: refuse limits that are exceeded already.
    fn check_memory(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let Some(memory) = resources.memory().filter(|m| m.check_before_update() == Some(true)) else {
            return Ok(());
        };
        let mut buf = [0; 32];
        // Best effort, as in runc: no usage to read, nothing to compare.
        let Some(usage) =
            read_short(self.dir(), "memory.current", &mut buf).ok().and_then(|text| text.parse::<i64>().ok())
        else {
            return Ok(());
        };
        for (field, what, value) in
            [("swap", "memory+swap", memory.swap()), ("limit", "memory", memory.limit())]
        {
            if let Some(max) = value.filter(|&max| max > 0 && max <= usage) {
                let text = format!("rejecting {what} limit {max} <= usage {usage}");
                return Err(bad_value(format!("linux.resources.memory.{field}"), text));
            }
        }
        Ok(())
    }
}
