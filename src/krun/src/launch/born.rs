//! The host's side of the conversation with a child that is being born.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use krun_spawner::parent::Host;
use krun_sys::{Errno, Fd, OwnedFd as Opened, window};
use oci_spec::runtime::{Hook, LinuxResources};

use super::idmap::Maps;
use super::intel_rdt::Groups;
use super::limits::Limits;
use super::net_devices::NetDevices;
use super::terminal::clear_onlcr;
use super::timing::Timing;
use super::trees::Sources;
use super::{Agent, LaunchError};
use crate::cgroup::{Cgroup, Location};
use crate::state::process::Identity;
use crate::state::{State, StateDir, Template};

/// What a child may ask for while it waits.
#[derive(Debug)]
pub struct Born<'a> {
    /// Its limits.
    pub limits: Limits,
    /// Id maps of a new user namespace.
    pub maps: Option<Maps>,
    /// Its state.json. None for exec.
    pub record: Option<Record<'a>>,
    /// The state, for hooks and agents.
    pub state: State,
    /// prestart and createRuntime hooks, in this order.
    pub hooks: [Vec<Hook>; 2],
    /// The cgroup that the process is moved into, where it is not born in it.
    pub cgroup: Joins<'a>,
    /// Who gets the seccomp listener.
    pub agent: Option<Agent>,
    /// The terminal's master, once the child has made it.
    pub console: Option<OwnedFd>,
    /// What takes the output of startContainer hooks; none where nobody reads it.
    pub hook_output: Option<Fd<'a>>,
    /// The size that the terminal gets before the program can look at it: the
    /// caller's, in the foreground.
    pub size: Option<(u16, u16)>,
    /// resctrl groups that the process is put into.
    pub rdt: Option<Groups>,
    /// Interfaces that become the container's.
    pub devices: NetDevices,
    /// Notes when each conversation ended.
    pub timing: Timing,
    /// krun stays and copies between the container's terminal and its own.
    pub stays: bool,
    /// Mounts whose sources may have to be opened while the child waits.
    pub sources: Option<Sources<'a>>,
    /// The status that hooks and agents are told.
    pub status: &'static str,
}

/// What was written down about the container before it had a process.
#[derive(Debug)]
pub struct Record<'a> {
    /// Its state directory.
    pub dir: &'a StateDir,
    /// state.json, open for writing.
    pub file: OwnedFd,
    /// What is in it, with room for the process's identity.
    pub template: Template,
    /// The template has changed since.
    pub stale: bool,
}

impl Record<'_> {
    /// Writes down which process it is. Allocates nothing.
    fn identify(&mut self, process: Identity) -> nix::Result<()> {
        self.template.patch(process);
        match self.stale {
            true => self.dir.write_bytes(&self.template.bytes),
            false => self.template.write_numbers(&self.file),
        }
    }
}

/// How a process comes into its cgroup.
#[derive(Debug)]
pub enum Joins<'a> {
    /// It is born there, or has none.
    Born,
    /// It is moved into an existing one.
    Moved(&'a Cgroup, Option<&'a str>),
    /// systemd makes a scope around it.
    Scope(Box<Scope<'a>>),
}

/// What systemd is asked for.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Where.
    pub location: Location,
    /// With which limits.
    pub resources: Option<&'a LinuxResources>,
    /// `org.systemd.property.*` among them.
    pub annotations: Option<HashMap<String, String>>,
    /// The uid that it is given to.
    pub owner: Option<u32>,
    /// The cgroup, once systemd has made it.
    pub made: Option<Cgroup>,
}

/// Runs `work` outside of the window in which nothing is allocated: the child
/// waits for the answer meanwhile.
fn pause<T>(work: impl FnOnce() -> T) -> T {
    window::leave();
    let done = work();
    window::enter();
    done
}

impl Host for Born<'_> {
    type Error = LaunchError;

    fn born(&mut self, pid: i32, pidfd: Fd<'_>) {
        self.state.head.set_identity(Identity::of(pid, pidfd));
    }

    fn join_cgroup(&mut self, pid: i32) -> Result<(), LaunchError> {
        pause(|| match &mut self.cgroup {
            Joins::Born => Ok(()),
            Joins::Moved(cgroup, sub) => Ok(cgroup.add_pid(*sub, pid)?),
            Joins::Scope(scope) => {
                let (location, annotations) = (scope.location.clone(), scope.annotations.as_ref());
                let number = pid.unsigned_abs();
                let cgroup =
                    Cgroup::start_scope(location, &self.state.head.id, number, scope.resources, annotations)?;
                if let Some(resources) = scope.resources {
                    cgroup.apply(resources)?;
                }
                if let Some(uid) = scope.owner {
                    cgroup.chown(uid, None)?;
                }
                // systemd says where the scope came to lie.
                self.state.head.cgroup = cgroup.location().clone();
                if let Some(record) = &mut self.record {
                    (record.template, record.stale) = (self.state.render_template(), true);
                }
                scope.made = Some(cgroup);
                Ok(())
            }
        })
    }

    fn write_maps(&mut self, pid: i32) -> Result<(), LaunchError> {
        pause(|| self.maps.as_ref().map_or(Ok(()), |maps| maps.write(pid)))?;
        self.timing.mark("id maps");
        Ok(())
    }

    fn tree(&mut self, pid: i32, index: u32) -> Result<Opened, LaunchError> {
        pause(|| {
            let wanted = self.sources.as_ref().ok_or(LaunchError::Usage("exec mounts nothing"))?;
            wanted.open_in_namespace_of(pid, index as usize).map(Opened::from)
        })
    }

    fn hook_output(&mut self) -> Result<Opened, LaunchError> {
        self.hook_output.ok_or(Errno::EBADF).and_then(krun_sys::fs::dup).map_err(|Errno(errno)| {
            window::leave();
            LaunchError::call("pass the file for the hooks' output on", "fcntl", errno)
        })
    }

    fn run_hooks(&mut self, pid: i32) -> Result<(), LaunchError> {
        self.timing.mark("mounts");
        pause(|| {
            self.devices.move_to(pid)?;
            let [prestart, create_runtime] = &self.hooks;
            super::hooks::run("prestart", prestart, &self.state, self.status)?;
            super::hooks::run("createRuntime", create_runtime, &self.state, self.status)
        })?;
        self.timing.mark("hooks");
        Ok(())
    }

    fn ready(&mut self, pid: i32) -> Result<(), LaunchError> {
        if let Some(rdt) = &self.rdt {
            pause(|| rdt.add(pid))?;
        }
        self.limits.set(pid)?;
        let Some(record) = &mut self.record else { return Ok(()) };
        record.identify(self.state.head.identity()).map_err(|errno| {
            window::leave();
            LaunchError::call(
                format!("write {}/state.json", record.dir.path().display()),
                "write",
                errno as i32,
            )
        })
    }

    fn console(&mut self, master: Opened, _number: u32) -> Result<(), LaunchError> {
        if let Some((rows, columns)) = self.size {
            let _ = krun_sys::tty::set_winsize(master.as_fd(), rows, columns);
        }
        let master = OwnedFd::from(master);
        if self.stays {
            // Now, before anything is written. A terminal that refuses still works.
            let _ = clear_onlcr(&master);
        }
        self.console = Some(master);
        Ok(())
    }

    fn listener(&mut self, pidfd: Fd<'_>, fd: i32) -> Result<(), LaunchError> {
        pause(|| {
            let Some(agent) = &self.agent else { return Ok(()) };
            let failed = |Errno(errno)| LaunchError::call("take the seccomp listener", "pidfd_getfd", errno);
            let listener = krun_sys::process::pidfd_getfd(pidfd, fd).map_err(failed)?;
            agent.send(&listener.into(), self.state.head.pid, &self.state, self.status)
        })
    }
}
