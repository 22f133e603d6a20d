//! The systemd driver: the container's cgroup is a transient scope that
//! systemd makes, asked over D-Bus. systemd's own words come back in errors.

mod bus;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod props;
mod unit;
mod variant;
mod wire;

use std::collections::HashMap;

use oci_spec::runtime::LinuxResources;

use self::bus::Bus;
use self::props::Properties;
use self::wire::Value;
use super::{Cgroup, CgroupError, Location, Scope};

pub(super) use props::rounded_quota;
pub(super) use unit::unit_of;

/// systemd or the way to it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// Nobody listens.
    #[error("cannot reach systemd over D-Bus at {address}")]
    Connect {
        /// The socket's path.
        address: String,
        /// Why.
        source: std::io::Error,
    },

    /// The user's bus can't be found.
    #[error("no user D-Bus: set DBUS_SESSION_BUS_ADDRESS, or XDG_RUNTIME_DIR with a socket \"bus\" in it")]
    NoUserBus,

    /// An address of another kind than `unix:path=`.
    #[error("D-Bus address {0:?}: only unix:path= is supported")]
    Address(String),

    /// The bus refused our credentials.
    #[error("D-Bus at {address} refused authentication: {answer}")]
    Auth {
        /// The socket's path.
        address: String,
        /// The bus's answer.
        answer: String,
    },

    /// The connection broke.
    #[error("D-Bus connection to {address}")]
    Connection {
        /// The socket's path.
        address: String,
        /// Why.
        source: std::io::Error,
    },

    /// What came was no D-Bus message.
    #[error("malformed D-Bus message from {0}")]
    Malformed(String),

    /// No answer in 30 s.
    #[error("timed out waiting for systemd at {0}")]
    Timeout(String),

    /// systemd answered with an error.
    #[error("{member}: {text} ({name})")]
    Refused {
        /// The method called.
        member: String,
        /// The error's D-Bus name.
        name: String,
        /// systemd's message.
        text: String,
    },

    /// Something failed about a unit.
    #[error("systemd unit {unit:?}: {error}")]
    Unit {
        /// The unit.
        unit: String,
        /// What.
        error: Box<SystemdError>,
    },

    /// The unit's job did not succeed.
    #[error("systemd unit {unit:?}: could not be started: job result {result:?}")]
    Job {
        /// The unit.
        unit: String,
        /// systemd's result: failed, canceled, timeout, dependency, …
        result: String,
    },

    /// An annotation that is no valid property.
    #[error("annotation {name}={value} {reason}")]
    Annotation {
        /// The annotation.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: String,
    },
}

impl SystemdError {
    fn unit(self, scope: &Scope) -> Self {
        Self::Unit { unit: scope.unit.clone(), error: Box::new(self) }
    }

    fn is_named(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name.ends_with(wanted))
    }
}

fn string(text: &str) -> Value {
    Value::Str(text.to_owned())
}

impl Cgroup {
    /// Makes the container's cgroup with the systemd driver: a transient scope
    /// around the process `pid`, with the limits of `resources` as properties
    /// and the annotations `org.systemd.property.*`. [`Cgroup::apply`] then
    /// sets what properties don't express.
    ///
    /// # Errors
    /// The cgroup exists and is in use, or systemd refuses: with its words.
    pub fn start_scope(
        location: Location,
        id: &str,
        pid: u32,
        resources: Option<&LinuxResources>,
        annotations: Option<&HashMap<String, String>>,
    ) -> Result<Self, CgroupError> {
        let Some(scope) = location.scope.clone() else {
            return Err(CgroupError::Disabled);
        };
        super::tree::vet_existing(&location, resources)?;
        let mut bus = Bus::connect(scope.user_bus)?;
        let props = scope_properties(&mut bus, &scope, id, pid, resources, annotations)?;
        start(&mut bus, &scope, props)?;
        let scoped = Self::open(location.clone()).and_then(|cgroup| {
            cgroup.enable_controllers(resources);
            cgroup.guard_devices(resources)?;
            Ok(cgroup)
        });
        // The process that waits in the scope dies with the caller's failure.
        scoped.inspect_err(|_| drop(stop(&scope)))
    }
}

/// The properties of a new scope.
fn scope_properties(
    bus: &mut Bus,
    scope: &Scope,
    id: &str,
    pid: u32,
    resources: Option<&LinuxResources>,
    annotations: Option<&HashMap<String, String>>,
) -> Result<Properties, CgroupError> {
    let mut props = Properties::default();
    props.push("Description", string(&format!("krun container {id}")));
    if scope.unit.ends_with(".slice") {
        props.push("Wants", Value::strings([scope.slice.as_str()]));
    } else {
        props.push("Slice", string(&scope.slice));
        props.push("Delegate", Value::Bool(true));
    }
    props.push("PIDs", Value::Array("u".to_owned(), vec![Value::U32(pid)]));
    for accounting in ["MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"] {
        props.push(accounting, Value::Bool(true));
    }
    props.push("DefaultDependencies", Value::Bool(false));
    let version = version_for(bus, resources);
    if let Some(resources) = resources {
        props::of(resources, version, true, &mut props)?;
        // Can't be changed once the scope runs.
        let group = resources.unified().as_ref().and_then(|u| u.get("memory.oom.group"));
        let policy = match group.map(|value| value.trim()) {
            Some("0") => Some("continue"),
            Some("1") => Some("kill"),
            _ => None,
        };
        if let Some(policy) = policy.filter(|_| version >= 253) {
            props.push("OOMPolicy", string(policy));
        }
    }
    let mut annotations: Vec<_> = annotations.into_iter().flatten().collect();
    annotations.sort();
    for (key, value) in annotations {
        let Some(name) = key.strip_prefix(variant::PREFIX) else { continue };
        let (name, value) = variant::property(name, value).map_err(|reason| SystemdError::Annotation {
            name: key.clone(),
            value: value.clone(),
            reason,
        })?;
        props.push(&name, value);
    }
    Ok(props)
}

/// systemd's version, asked only if a property depends on it.
fn version_for(bus: &mut Bus, resources: Option<&LinuxResources>) -> u32 {
    let depends = resources.is_some_and(|r| r.cpu().is_some() || r.unified().is_some());
    if !depends {
        return u32::MAX;
    }
    // Unknown counts as new: what systemd doesn't know it refuses, nothing is left out in silence.
    let Ok(text) = bus.property("Version") else { return u32::MAX };
    let digits = text.trim_start_matches(['"', 'v']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).and_then(|d| d.parse().ok()).unwrap_or(0)
}

/// StartTransientUnit, and its job awaited. A failed unit of the same name is
/// cleared away once.
fn start(bus: &mut Bus, scope: &Scope, props: Properties) -> Result<(), SystemdError> {
    bus.subscribe().map_err(|err| err.unit(scope))?;
    let none = Value::Array("(sa(sv))".to_owned(), Vec::new());
    let args = [string(&scope.unit), string("replace"), props.into_value(), none];
    let mut answer = bus.manager("StartTransientUnit", &args);
    if answer.as_ref().is_err_and(|err| err.is_named(".UnitExists")) {
        let _ = bus.manager("ResetFailedUnit", &args[..1]);
        answer = bus.manager("StartTransientUnit", &args);
    }
    let result = answer.and_then(|body| await_job(bus, &body)).map_err(|err| err.unit(scope))?;
    if result == "done" {
        return Ok(());
    }
    let _ = bus.manager("ResetFailedUnit", &args[..1]);
    Err(SystemdError::Job { unit: scope.unit.clone(), result })
}

fn await_job(bus: &mut Bus, body: &[Value]) -> Result<String, SystemdError> {
    match body {
        [Value::Path(job), ..] => bus.job(job),
        _ => Err(SystemdError::Malformed("systemd".to_owned())),
    }
}

/// Stops the unit and forgets its failure; one that is gone is fine.
pub(super) fn stop(scope: &Scope) -> Result<(), SystemdError> {
    let mut bus = Bus::connect(scope.user_bus).map_err(|err| err.unit(scope))?;
    bus.subscribe().map_err(|err| err.unit(scope))?;
    let args = [string(&scope.unit), string("replace")];
    match bus.manager("StopUnit", &args).and_then(|body| await_job(&mut bus, &body)) {
        Ok(_) => {}
        Err(err) if err.is_named(".NoSuchUnit") => return Ok(()),
        Err(err) => return Err(err.unit(scope)),
    }
    let _ = bus.manager("ResetFailedUnit", &args[..1]);
    Ok(())
}

/// Sets the unit's properties from `resources` until the next reboot; device
/// rules stay.
pub(super) fn update(scope: &Scope, resources: &LinuxResources) -> Result<(), CgroupError> {
    let mut bus = Bus::connect(scope.user_bus).map_err(|err| err.unit(scope))?;
    let mut props = Properties::default();
    let version = version_for(&mut bus, Some(resources));
    props::of(resources, version, false, &mut props)?;
    let args = [string(&scope.unit), Value::Bool(true), props.into_value()];
    bus.manager("SetUnitProperties", &args).map_err(|err| err.unit(scope))?;
    Ok(())
}

/// Has systemd move a process into the unit's sub-cgroup `sub` ("" for none).
pub(super) fn attach(scope: &Scope, sub: &str, pid: i32) -> Result<(), SystemdError> {
    let mut bus = Bus::connect(scope.user_bus).map_err(|err| err.unit(scope))?;
    let pids = vec![Value::U32(pid.cast_unsigned())];
    let args = [string(&scope.unit), string(&format!("/{sub}")), Value::Array("u".to_owned(), pids)];
    bus.manager("AttachProcessesToUnit", &args).map_err(|err| err.unit(scope))?;
    Ok(())
}

/// The cgroup of the user's service manager, below which its units lie.
pub(super) fn user_manager_cgroup() -> Result<String, SystemdError> {
    Bus::connect(true)?.property("ControlGroup")
}
