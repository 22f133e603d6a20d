//! A bundle on disk: a root filesystem with the probe and busybox, config.json.

use crate::{Config, raw, runtime};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

const DIRS: [&str; 12] =
    ["proc", "sys", "dev", "tmp", "etc", "bin", "usr/bin", "sbin", "root", "home/user", "var", "mnt"];
const APPLETS: [&str; 14] =
    ["sh", "true", "false", "cat", "ls", "echo", "sleep", "id", "mount", "ps", "kill", "stat", "env", "test"];

/// Held by whoever writes a program, shared by whoever starts a process: a child that is between its
/// fork and its exec has a copy of the descriptor that writes, and the program is ETXTBSY meanwhile.
pub(crate) static WRITING: RwLock<()> = RwLock::new(());

/// Copies a program that will be executed.
fn copy_program(from: &Path, to: &Path) -> io::Result<u64> {
    let _alone = WRITING.write().unwrap_or_else(PoisonError::into_inner);
    fs::copy(from, to)
}

/// Where a bundle lies.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The bundle's directory.
    pub dir: PathBuf,
}

impl Bundle {
    /// Makes a bundle in a new directory.
    pub fn make(dir: &Path, config: &Config) -> io::Result<Bundle> {
        let bundle = Bundle { dir: dir.to_owned() };
        let root = bundle.rootfs();
        for d in DIRS {
            fs::create_dir_all(root.join(d))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        // A copy each: attacks write to what they find.
        copy_program(&runtime::probe_path(), &root.join("probe"))?;
        if let Some(busybox) = runtime::busybox_path() {
            copy_program(&busybox, &root.join("bin/busybox"))?;
            for a in APPLETS {
                symlink("busybox", root.join("bin").join(a))?;
            }
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
        )?;
        fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n")?;
        raw::chown(&root.join("home/user"), 1000, 1000)?;
        bundle.write(config)?;
        Ok(bundle)
    }

    /// The root filesystem.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// A path of the container, as the host sees it.
    pub fn inside(&self, path: &str) -> PathBuf {
        self.rootfs().join(path.trim_start_matches('/'))
    }

    /// Writes config.json anew.
    pub fn write(&self, config: &Config) -> io::Result<()> {
        self.write_text(&config.value().to_string())
    }

    /// Writes config.json as this very text.
    pub fn write_text(&self, text: &str) -> io::Result<()> {
        fs::write(self.dir.join("config.json"), text)
    }

    /// Adds a file with a mode.
    pub fn add(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
        let p = self.inside(path);
        if let Some(dir) = p.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&p, content)?;
        fs::set_permissions(&p, fs::Permissions::from_mode(mode))
    }
}
