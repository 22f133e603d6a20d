//! Where the benchmark works: a tmpfs of its own in a private mount namespace.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use runtime_tests::{Config, host, raw, runtime};

use super::profile;

/// How many mounts a busy host has.
const MANY: usize = 1000;

/// The directory, and what lies in it.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
    /// The default bundle, with /bin/true.
    pub plain: PathBuf,
    /// The same with an engine's default seccomp profile; none if there is no
    /// profile on this machine.
    pub filtered: Option<PathBuf>,
    /// The same with a program that stays.
    pub sleeper: PathBuf,
}

impl Place {
    /// Enters a private mount namespace and makes the bundles.
    pub fn make() -> Result<Place, String> {
        host::enter_private_mounts();
        let dir = std::env::temp_dir().join(format!("krun-bench-{}", std::process::id()));
        let text = dir.display().to_string();
        fs::create_dir_all(&dir).map_err(|e| format!("{text}: {e}"))?;
        raw::mount("tmpfs", &text, "tmpfs", 0, "mode=755").map_err(|e| format!("tmpfs on {text}: {e}"))?;
        let busybox = runtime::busybox_path()
            .ok_or("a static busybox is needed (KRUN_BUSYBOX, or Debian's busybox-static)")?;
        // From here on the directory is removed whatever happens.
        let mut place = Place { dir, plain: PathBuf::new(), filtered: None, sleeper: PathBuf::new() };
        let plain = config(&["/bin/true"]);
        let dir = place.dir.clone();
        let bundle = |name: &str, config: Config| -> io::Result<PathBuf> {
            make_bundle(dir.join(name), &busybox, &config)
        };
        let filtered = profile::engines_default();
        let made = (|| {
            place.plain = bundle("plain", plain.clone())?;
            place.filtered = filtered
                .map(|profile| bundle("filtered", plain.set("/linux/seccomp", profile)))
                .transpose()?;
            place.sleeper = bundle("sleeper", config(&["/bin/sleep", "1000000"]))?;
            Ok::<_, io::Error>(place)
        })();
        made.map_err(|e| format!("bundles in {text}: {e}"))
    }

    /// A state root, or another directory of the benchmark.
    pub fn subdirectory(&self, name: &str) -> Result<PathBuf, String> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(dir)
    }

    /// Gives the host many mounts from the first scenario on that wants them.
    pub fn prepare(&self, many: bool) -> Result<(), String> {
        let base = self.dir.join("mounts");
        if !many || base.exists() {
            return Ok(());
        }
        let source = self.subdirectory("mounted")?;
        for i in 0..MANY {
            let target = self.subdirectory(&format!("mounts/{i}"))?.display().to_string();
            raw::mount(&source.display().to_string(), &target, "", libc::MS_BIND, "")
                .map_err(|e| format!("bind on {target}: {e}"))?;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let text = self.dir.display().to_string();
        if raw::umount(&text, libc::MNT_DETACH).is_ok() {
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

/// A root file system of one program, and config.json.
fn make_bundle(dir: PathBuf, busybox: &Path, config: &Config) -> io::Result<PathBuf> {
    let root = dir.join("rootfs");
    for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::copy(busybox, root.join("bin/busybox"))?;
    for name in ["true", "sleep"] {
        symlink("busybox", root.join("bin").join(name))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(dir.join("config.json"), config.value().to_string())?;
    Ok(dir)
}

/// The default configuration, which every runtime's `spec` prints alike.
fn config(args: &[&str]) -> Config {
    Config::default().args(args).set("/root/readonly", true)
}
