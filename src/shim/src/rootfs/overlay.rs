//! Overlay mounts: long option strings and idmapped lower directories.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use krun_sys::{libc, mount};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};

use super::idmap::fault;
use super::options::Parsed;
use super::{Fault, idmap, mount_at, unmount_all};

/// Mount flags as fsmount(2) has them.
const ATTRIBUTES: [(MsFlags, u64); 5] = [
    (MsFlags::MS_RDONLY, libc::MOUNT_ATTR_RDONLY),
    (MsFlags::MS_NOSUID, libc::MOUNT_ATTR_NOSUID),
    (MsFlags::MS_NODEV, libc::MOUNT_ATTR_NODEV),
    (MsFlags::MS_NOEXEC, libc::MOUNT_ATTR_NOEXEC),
    (MsFlags::MS_NOATIME, libc::MOUNT_ATTR_NOATIME),
];

/// mount(2) copies at most a page of options; the kernel adds to it.
const LONGEST: usize = 4096 - 512;

/// Mounts an overlay on `target`. With a user namespace its lower directories
/// are seen through an idmapped mount of the directory they have in common.
pub fn mount_overlay(parsed: &Parsed<'_>, userns: Option<&OwnedFd>, target: &Path) -> Result<(), Fault> {
    let Some(userns) = userns else { return mount_layers(parsed, &lower_dirs(parsed), target) };
    let layers = lower_dirs(parsed);
    let common = common_directory(&layers).ok_or_else(|| {
        Fault::Option(layers.join(":"), "the lower directories have no directory in common")
    })?;
    let mapped = Scratch::new(target)?;
    idmap::remount(Path::new(common), &mapped.0, userns, true)?;
    let layers: Vec<String> = layers
        .iter()
        .map(|layer| {
            mapped.0.join(layer.trim_start_matches(common).trim_start_matches('/')).display().to_string()
        })
        .collect();
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    // The overlay keeps its own reference to the layers: the scratch mount goes.
    mount_layers(parsed, &layers, target)
}

/// A directory beside the rootfs that carries a mount for a moment.
struct Scratch(PathBuf);

impl Scratch {
    fn new(target: &Path) -> Result<Self, Fault> {
        let mut name = target.as_os_str().to_owned();
        name.push(".idmapped");
        let path = PathBuf::from(name);
        std::fs::create_dir_all(&path).map_err(|e| Fault::Call("mkdir", errno_of(&e)))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = unmount_all(&self.0);
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn errno_of(e: &std::io::Error) -> Errno {
    Errno::from_raw(e.raw_os_error().unwrap_or_default())
}

fn lower_dirs<'a>(parsed: &Parsed<'a>) -> Vec<&'a str> {
    parsed
        .data
        .iter()
        .find_map(|o| o.strip_prefix("lowerdir="))
        .map(|dirs| dirs.split(':').collect())
        .unwrap_or_default()
}

fn mount_layers(parsed: &Parsed<'_>, layers: &[&str], target: &Path) -> Result<(), Fault> {
    let whole = data(parsed, layers);
    if whole.len() < LONGEST {
        return mount_at("overlay", target, "overlay", parsed.flags, &whole);
    }
    let common = common_directory(layers).ok_or_else(|| {
        Fault::Option("lowerdir".into(), "too long, and the layers have no directory in common")
    })?;
    let relative: Vec<&str> =
        layers.iter().map(|layer| layer.trim_start_matches(common).trim_start_matches('/')).collect();
    let short = data(parsed, &relative);
    if short.len() >= 4096 {
        return mount_by_layer(parsed, layers, target);
    }
    mount_from(Path::new(common), target, parsed, &short)
}

/// Hands the layers over one by one (`lowerdir+`, Linux 6.5).
fn mount_by_layer(parsed: &Parsed<'_>, layers: &[&str], target: &Path) -> Result<(), Fault> {
    let fs = mount::fsopen(c"overlay").map_err(fault("fsopen"))?;
    let string = |text: &str| CString::new(text).map_err(|_| Fault::Option(text.to_owned(), "contains NUL"));
    let set = |key: &str, value: &str| {
        mount::fsconfig_set_string(fs.as_fd(), &string(key)?, &string(value)?).map_err(fault("fsconfig"))
    };
    for option in parsed.data.iter().filter(|o| !o.starts_with("lowerdir=")) {
        match option.split_once('=') {
            Some((key, value)) => set(key, value)?,
            None => mount::fsconfig_set_flag(fs.as_fd(), &string(option)?).map_err(fault("fsconfig"))?,
        }
    }
    for layer in layers {
        set("lowerdir+", layer)?;
    }
    mount::fsconfig_create(fs.as_fd()).map_err(fault("fsconfig"))?;
    let attributes: u64 =
        ATTRIBUTES.iter().filter(|(flag, _)| parsed.flags.contains(*flag)).fold(0, |all, (_, a)| all | a);
    let made = mount::fsmount(fs.as_fd(), u32::try_from(attributes).unwrap_or_default())
        .map_err(fault("fsmount"))?;
    idmap::attach(made.as_fd(), target)
}

/// Mounts with relative layers, from a thread with a working directory of its
/// own.
fn mount_from(directory: &Path, target: &Path, parsed: &Parsed<'_>, data: &str) -> Result<(), Fault> {
    let mount = || {
        unshare(CloneFlags::CLONE_FS).map_err(Fault::of("unshare"))?;
        nix::unistd::chdir(directory).map_err(Fault::of("chdir"))?;
        mount_at("overlay", target, "overlay", parsed.flags, data)
    };
    std::thread::scope(|scope| scope.spawn(mount).join()).unwrap_or(Err(Fault::Call("clone", Errno::EAGAIN)))
}

fn data(parsed: &Parsed<'_>, layers: &[&str]) -> String {
    let mut options: Vec<String> =
        parsed.data.iter().filter(|o| !o.starts_with("lowerdir=")).map(|o| (*o).to_owned()).collect();
    if !layers.is_empty() {
        options.push(format!("lowerdir={}", layers.join(":")));
    }
    options.join(",")
}

/// The deepest directory that holds all layers, if that isn't the root.
fn common_directory<'a>(layers: &[&'a str]) -> Option<&'a str> {
    let (first, rest) = layers.split_first()?;
    let first: &'a str = first;
    let mut common: &'a Path = Path::new(first).parent()?;
    while !rest.iter().all(|layer| Path::new(layer).parent().is_some_and(|p| p.starts_with(common))) {
        common = common.parent()?;
    }
    common.to_str().filter(|path| !matches!(*path, "" | "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_directory_ends_at_a_slash() {
        let layers = ["/v/snapshots/12/fs", "/v/snapshots/1/fs", "/v/snapshots/123/fs"];
        assert_eq!(common_directory(&layers), Some("/v/snapshots"));
        assert_eq!(common_directory(&["/v/a", "/w/a"]), None);
        assert_eq!(common_directory(&["/v/a"]), Some("/v"));
        assert_eq!(common_directory(&[]), None);
    }
}
