//! `linux.netDevices`: interfaces of the host that become the container's (runtime-spec, "Network Devices").

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use oci_spec::runtime::Spec;

use super::LaunchError;
use super::netlink::{Address, Netlink};

/// Interfaces to move, in the order of their names.
#[derive(Debug, Default)]
pub struct NetDevices(Vec<Device>);

#[derive(Debug)]
struct Device {
    name: String,
    inside: String,
}

impl NetDevices {
    /// Those of a specification.
    #[must_use]
    pub fn new(spec: &Spec) -> NetDevices {
        let listed = spec.linux().as_ref().and_then(|linux| linux.net_devices().as_ref());
        let mut devices: Vec<_> = listed
            .into_iter()
            .flatten()
            .map(|(name, device)| Device {
                name: name.clone(),
                inside: device.name().clone().filter(|new| !new.is_empty()).unwrap_or_else(|| name.clone()),
            })
            .collect();
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        NetDevices(devices)
    }

    /// Whether there is nothing to move.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves them into the network namespace of process `pid`, keeps their addresses, switches them on. What was moved
    /// before a failure comes back, or, if it is virtual, ends with the namespace: the kernel sees to it. So the
    /// likeliest failure, a name that is taken, is looked for before anything moves.
    ///
    /// # Errors
    /// [`LaunchError::NetDevice`].
    pub fn move_to(&self, pid: i32) -> Result<(), LaunchError> {
        if self.is_empty() {
            return Ok(());
        }
        let path = format!("/proc/{pid}/ns/net");
        let namespace: OwnedFd = std::fs::File::open(&path).map_err(LaunchError::file("open", &path))?.into();
        inside(&namespace, &path, || self.0.iter().try_for_each(|device| is_free(device, &path)))?;
        let mut moved = Vec::with_capacity(self.0.len());
        for device in &self.0 {
            moved.push((device, leave(device, &namespace, &path)?));
        }
        inside(&namespace, &path, || {
            moved.iter().try_for_each(|(device, addresses)| arrive(device, addresses, &path))
        })
    }
}

/// Does something in a network namespace: in a thread of its own, since a socket belongs to the namespace in which it
/// was made.
fn inside(
    namespace: &OwnedFd,
    path: &str,
    work: impl FnOnce() -> Result<(), LaunchError> + Send,
) -> Result<(), LaunchError> {
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            krun_sys::process::setns(krun_sys::Fd::of(namespace), NEWNET)
                .map_err(|e| failed(path, "join the network namespace", "setns", e.0))?;
            work()
        });
        thread.join()
    });
    done.unwrap_or(Err(LaunchError::Usage("the thread that moves network devices ended")))
}

/// Whether nobody has the name in the namespace that this thread is in.
fn is_free(device: &Device, path: &str) -> Result<(), LaunchError> {
    let Device { name, inside } = device;
    let what = format!("fail to move network device {name} to network namespace {path}: {inside}");
    let netlink = Netlink::open().map_err(|errno| failed(name, "open a socket", "netlink", errno as i32))?;
    match netlink.index_of(inside) {
        Err(Errno::ENODEV) => Ok(()),
        Ok(_) => Err(failed(name, &what, "netlink", Errno::EEXIST as i32)),
        Err(errno) => Err(failed(name, &what, "netlink", errno as i32)),
    }
}

/// CLONE_NEWNET
const NEWNET: u64 = 0x4000_0000;

fn failed(name: &str, what: &str, call: &'static str, errno: i32) -> LaunchError {
    LaunchError::NetDevice {
        name: name.to_owned(),
        what: what.to_owned(),
        call,
        source: Errno::from_raw(errno),
    }
}

/// Takes an interface out of the host's namespace; its addresses.
fn leave(device: &Device, namespace: &OwnedFd, path: &str) -> Result<Vec<Address>, LaunchError> {
    let Device { name, inside } = device;
    let or = |what: String| move |errno: Errno| failed(name, &what, "netlink", errno as i32);
    let netlink = Netlink::open().map_err(or("open a socket".to_owned()))?;
    let index = netlink
        .index_of(name)
        .map_err(or(format!("link not found for interface {name} on runtime namespace")))?;
    // Nobody on the host should see it come and go while it is on.
    netlink.set_up(index, false).map_err(or("fail to set link down".to_owned()))?;
    let addresses = netlink.addresses(index).map_err(or("fail to get ip addresses".to_owned()))?;
    netlink
        .move_to(index, inside, namespace)
        .map_err(or(format!("fail to move network device {name} to network namespace {path}")))?;
    Ok(addresses)
}

/// Sets an interface up in the namespace that this thread is in. Its addresses were lost on the way.
fn arrive(device: &Device, addresses: &[Address], path: &str) -> Result<(), LaunchError> {
    let Device { name, inside } = device;
    let or = |what: String| move |errno: Errno| failed(name, &what, "netlink", errno as i32);
    let netlink = Netlink::open().map_err(or("open a socket".to_owned()))?;
    let index = netlink
        .index_of(inside)
        .map_err(or(format!("link not found for interface {inside} on namespace {path}")))?;
    for address in addresses.iter().filter(|address| address.is_portable()) {
        netlink
            .add_address(index, address)
            .map_err(or(format!("fail to set up an address on namespace {path}")))?;
    }
    netlink.set_up(index, true).map_err(or(format!("fail to set up interface {inside} on namespace {path}")))
}
