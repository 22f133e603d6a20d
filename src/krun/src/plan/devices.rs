//! Device nodes and the links of /dev (runtime-spec, "Default Devices", "Dev symbolic links").

use std::path::Path;

use krun_spawner::plan::{Device, Link, flag};
use krun_sys::plain::Str;
use nix::libc;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use super::{Namespaces, PlanBuf, PlanError, Request, mounts, set};

/// Devices that every container has: name, major, minor.
pub const DEFAULT: &[(&str, u32, u32)] =
    &[("null", 1, 3), ("random", 1, 8), ("full", 1, 7), ("tty", 5, 0), ("zero", 1, 5), ("urandom", 1, 9)];

const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Plans nodes and links, unless /dev is the host's.
pub fn plan(buf: &mut PlanBuf, request: &Request<'_>, namespaces: &Namespaces) -> Result<(), PlanError> {
    let listed =
        request.spec.linux().as_ref().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    if mounts::binds_dev(request) {
        return Ok(());
    }
    set(buf, flag::DEVICES, true);
    let in_user = namespaces.new_user || namespaces.joined_user || request.facts.in_user_namespace;
    set(buf, flag::BIND_DEVICES, in_user);
    let mut devices = Vec::with_capacity(DEFAULT.len() + listed.len());
    for (name, major, minor) in DEFAULT {
        let path = format!("/dev/{name}");
        if listed.iter().any(|device| device.path() == Path::new(&path)) {
            continue;
        }
        let (path, name) = (buf.str(&path), buf.str(name));
        let (major, minor) = (*major, *minor);
        let mode = libc::S_IFCHR | 0o666;
        devices.push(Device { path, name, mode, major, minor, index: u32::MAX, ..Device::default() });
    }
    for (index, device) in listed.iter().enumerate() {
        devices.push(one(buf, device, index)?);
    }
    buf.plan.devices = buf.slice(&devices);
    let core = request.facts.has_kcore.then_some(("core", "/proc/kcore"));
    let links: Vec<_> = LINKS
        .iter()
        .copied()
        .chain(core)
        .map(|(name, target)| Link { name: buf.str(name), target: buf.str(target) })
        .collect();
    buf.plan.links = buf.slice(&links);
    Ok(())
}

fn one(buf: &mut PlanBuf, device: &LinuxDevice, index: usize) -> Result<Device, PlanError> {
    let kind = match device.typ() {
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
        LinuxDeviceType::P => libc::S_IFIFO,
        LinuxDeviceType::A => {
            return Err(PlanError::invalid(format!("linux.devices[{index}].type"), "a", "b, c, u or p"));
        }
    };
    let number = |value: i64, member: &str| {
        if kind == libc::S_IFIFO {
            return Ok(0);
        }
        u32::try_from(value).map_err(|_| {
            PlanError::invalid(format!("linux.devices[{index}].{member}"), value, "a device number")
        })
    };
    let text = device.path().to_string_lossy();
    let direct =
        text.strip_prefix("/dev/").filter(|name| !name.is_empty() && !name.contains('/') && *name != "..");
    let (major, minor) = (number(device.major(), "major")?, number(device.minor(), "minor")?);
    Ok(Device {
        path: buf.path(device.path()),
        name: direct.map_or(Str::default(), |name| buf.str(name)),
        mode: kind | device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
        index: u32::try_from(index).unwrap_or(u32::MAX),
        major,
        minor,
    })
}
