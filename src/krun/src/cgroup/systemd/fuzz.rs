//! The D-Bus codec and what else is made of untrusted text, for runtime-tests/fuzz.

use oci_spec::runtime::LinuxResources;

pub use super::wire::{Kind, Message, Method, Value, Writer, call, parse, rest_len};
use super::{CgroupError, Properties, SystemdError, bus, props, unit, variant};

/// The property that an annotation `org.systemd.property.NAME` sets.
///
/// # Errors
/// What is wrong, as text.
pub fn property(name: &str, text: &str) -> Result<(String, Value), String> {
    variant::property(name, text)
}

/// The socket's path in a D-Bus address.
///
/// # Errors
/// It names none.
pub fn socket_path(address: &str) -> Result<String, SystemdError> {
    bus::socket_path(address)
}

/// The path of the cgroup that `linux.cgroupsPath` names.
///
/// # Errors
/// It is no `slice:prefix:name`.
pub fn unit_path(given: &str, rootless: bool) -> Result<String, CgroupError> {
    unit::unit_of(Some(given), "id", rootless).map(|(_, path)| path)
}

/// `linux.resources` as properties of a unit.
///
/// # Errors
/// A value that can't be converted.
pub fn properties(resources: &LinuxResources, version: u32) -> Result<Value, CgroupError> {
    let mut all = Properties::default();
    props::of(resources, version, true, &mut all)?;
    Ok(all.into_value())
}
