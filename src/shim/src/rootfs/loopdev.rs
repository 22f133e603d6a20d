//! Mounting a file through a loop device.

use std::fs::{File, OpenOptions};

use krun_sys::{Fd, loopdev};
use nix::errno::Errno;
use nix::mount::MsFlags;

use super::Fault;
use super::options::Parsed;

/// Tries to get a free device before someone else takes it.
const TRIES: usize = 100;

/// An attached device; it lets go of its file when the mount ends, or at once
/// if nothing mounts it.
#[derive(Debug)]
pub struct Device {
    /// Its path below `/dev`.
    pub path: String,
    _open: File,
}

/// Attaches `source` to a free loop device.
pub fn attach(source: &str, parsed: &Parsed<'_>) -> Result<Device, Fault> {
    let read_only = parsed.flags.contains(MsFlags::MS_RDONLY);
    let file = open(source, read_only)?;
    let control = open("/dev/loop-control", false)?;
    let mut flags = loopdev::LO_FLAGS_AUTOCLEAR;
    if read_only {
        flags |= loopdev::LO_FLAGS_READ_ONLY;
    }
    if parsed.data.contains(&"direct-io") {
        flags |= loopdev::LO_FLAGS_DIRECT_IO;
    }
    for _ in 0..TRIES {
        let number =
            loopdev::loop_ctl_get_free(Fd::of(&control)).map_err(fault("ioctl LOOP_CTL_GET_FREE"))?;
        let path = format!("/dev/loop{number}");
        let device = open(&path, read_only)?;
        match loopdev::loop_configure(Fd::of(&device), Fd::of(&file), flags) {
            Ok(()) => return Ok(Device { path, _open: device }),
            Err(krun_sys::Errno::EBUSY) => {}
            Err(e) => return Err(fault("ioctl LOOP_CONFIGURE")(e)),
        }
    }
    Err(Fault::Call("ioctl LOOP_CONFIGURE", Errno::EBUSY))
}

fn open(path: &str, read_only: bool) -> Result<File, Fault> {
    let error =
        |e: std::io::Error| Fault::Call("open", Errno::from_raw(e.raw_os_error().unwrap_or_default()));
    OpenOptions::new().read(true).write(!read_only).open(path).map_err(error)
}

fn fault(call: &'static str) -> impl Fn(krun_sys::Errno) -> Fault {
    move |e| Fault::Call(call, Errno::from_raw(e.0))
}
