//! Why can't this program be started? Looked at from outside, in the container's root file system, with the host's eyes.
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::binfmt;
use super::elf::Elf;
use super::look::Found;

/// How many interpreters of scripts are followed; the kernel gives up after five.
const DEEPEST: u32 = 5;
/// What a shebang line may hold (Linux 5.1: BINPRM_BUF_SIZE).
const HEAD: usize = 256;

/// Why a program can't be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecFault {
    /// In none of the directories of PATH.
    #[error("exec: {name:?}: executable file not found in $PATH ({path})")]
    NotInPath {
        /// The name.
        name: String,
        /// The container's PATH.
        path: String,
    },
    /// A name with a slash that isn't there.
    #[error("exec: {name:?}: no such file or directory in the root file system")]
    Missing {
        /// The name.
        name: String,
    },
    /// A directory.
    #[error("exec: {name:?}: is a directory")]
    Directory {
        /// The name.
        name: String,
    },
    /// A device, a FIFO or a socket.
    #[error("exec: {name:?}: is {what}")]
    Special {
        /// The name.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// No execute permission for anybody.
    #[error("exec: {name:?}: permission denied: its mode is {mode:04o}, which nobody may execute")]
    Mode {
        /// The file.
        name: String,
        /// Its permission bits.
        mode: u32,
    },
    /// For another processor.
    #[error("{name} is {found}, this host is {host}; binfmt_misc has no interpreter for it")]
    Processor {
        /// The file.
        name: String,
        /// What it is for.
        found: String,
        /// What this host is.
        host: String,
    },
    /// Its dynamic loader isn't there.
    #[error("{name} needs the ELF interpreter {interpreter}, which is not in the root file system ({hint})")]
    Loader {
        /// The file.
        name: String,
        /// Its PT_INTERP.
        interpreter: String,
        /// What that usually means.
        hint: &'static str,
    },
    /// The program of its first line isn't there.
    #[error("{name} is a script for {interpreter}, which is not in the root file system{hint}")]
    Script {
        /// The script.
        name: String,
        /// The program of its `#!` line.
        interpreter: String,
        /// What may be wrong with that line.
        hint: &'static str,
    },
    /// Neither ELF nor script.
    #[error("{name} is {what}: neither an ELF program nor a script that begins with #!")]
    Format {
        /// The file.
        name: String,
        /// What it looks like.
        what: &'static str,
    },
}

impl ExecFault {
    /// Whether it only says that the file isn't there, or is a directory: the kernel's error says that too.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotInPath { .. } | Self::Missing { .. } | Self::Directory { .. })
    }
}

/// Says why `args0` can't be started in `rootfs`, if it can be told from outside. `path` is the container's PATH, `cwd`
/// its working directory. Nothing is said about files below `mounted`, the destinations of mounts that hide the rootfs.
#[must_use]
pub fn diagnose_exec(
    rootfs: &Path,
    args0: &str,
    path: Option<&str>,
    cwd: &Path,
    mounted: &[PathBuf],
) -> Option<ExecFault> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = File::from(open(rootfs, flags, Mode::empty()).ok()?);
    let looker = Looker { root: &root, mounted };
    if args0.contains('/') {
        return looker.judge(&absolute(cwd, args0), args0, 0);
    }
    // execvpe(3): without PATH a default one.
    let path = path.unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut fault = None;
    for directory in path.split(':') {
        let candidate = absolute(cwd, directory).join(args0);
        match looker.judge(&candidate, &candidate.display().to_string(), 0) {
            Some(ExecFault::Missing { .. } | ExecFault::Directory { .. }) => {}
            // execvpe(3): where it may not execute a file it goes on, and remembers.
            Some(denied @ (ExecFault::Mode { .. } | ExecFault::Special { .. })) => {
                fault = fault.or(Some(denied));
            }
            found => return found,
        }
    }
    fault.or_else(|| Some(ExecFault::NotInPath { name: args0.to_owned(), path: path.to_owned() }))
}

fn absolute(cwd: &Path, path: &str) -> PathBuf {
    Path::new("/").join(cwd).join(path)
}

struct Looker<'a> {
    root: &'a File,
    mounted: &'a [PathBuf],
}

impl Looker<'_> {
    fn is_hidden(&self, path: &Path) -> bool {
        self.mounted.iter().any(|mount| path.starts_with(mount) && mount != Path::new("/"))
    }

    /// What is wrong with the file at `path`; `name` is what it is called in messages.
    fn judge(&self, path: &Path, name: &str, depth: u32) -> Option<ExecFault> {
        if self.is_hidden(path) || depth > DEEPEST {
            return None;
        }
        let name = name.to_owned();
        let found = match Found::find(self.root, path) {
            Ok(found) => found,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Some(ExecFault::Missing { name }),
            // Without openat2 (before Linux 5.6), or without permission: nothing can be told.
            Err(_) => return None,
        };
        if found.is_directory() {
            return Some(ExecFault::Directory { name });
        }
        if let Some(what) = found.special() {
            return Some(ExecFault::Special { name, what });
        }
        let mode = found.mode();
        if mode & 0o111 == 0 {
            return Some(ExecFault::Mode { name, mode });
        }
        let file = found.open()?;
        let mut head = [0_u8; HEAD];
        let length = file.read_at(&mut head, 0).ok()?;
        let head = head.get(..length)?;
        if binfmt::handles(Path::new("/proc/sys/fs/binfmt_misc"), head, &name) {
            return None;
        }
        match head {
            [0x7f, b'E', b'L', b'F', ..] => self.elf(&file, name, depth),
            [b'#', b'!', line @ ..] => self.script(line, name, depth),
            [] => Some(ExecFault::Format { name, what: "empty" }),
            [b'M', b'Z', ..] => Some(ExecFault::Format { name, what: "a program for Windows" }),
            text if text.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
                Some(ExecFault::Format { name, what: "text" })
            }
            _ => Some(ExecFault::Format { name, what: "data" }),
        }
    }

    fn elf(&self, file: &File, name: String, depth: u32) -> Option<ExecFault> {
        let Some(elf) = Elf::read(file) else {
            return Some(ExecFault::Format { name, what: "an ELF file that is cut short" });
        };
        let host = std::env::consts::ARCH;
        if !elf.runs_on(host) {
            let host = host.replace("x86_64", "x86-64");
            return Some(ExecFault::Processor { name, found: elf.processor(), host });
        }
        let interpreter = elf.interpreter?;
        match self.judge(Path::new(&absolute(Path::new("/"), &interpreter)), &interpreter, depth + 1)? {
            ExecFault::Missing { .. } => {
                let hint = if interpreter.contains("musl") {
                    "a program for musl, in an image without it?"
                } else {
                    "a program for glibc, in an image without it?"
                };
                Some(ExecFault::Loader { name, interpreter, hint })
            }
            fault => Some(fault),
        }
    }

    fn script(&self, line: &[u8], name: String, depth: u32) -> Option<ExecFault> {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
        let line = line.get(start..).unwrap_or_default();
        let interpreter = line.split(blank).next().unwrap_or_default();
        let interpreter = String::from_utf8_lossy(interpreter).into_owned();
        if interpreter.is_empty() {
            return Some(ExecFault::Format { name, what: "a script with an empty #! line" });
        }
        match self.judge(&absolute(Path::new("/"), &interpreter), &interpreter, depth + 1)? {
            ExecFault::Missing { .. } => {
                let dos = interpreter.ends_with('\r');
                let hint = if dos { "; its lines end with CR LF, as on Windows" } else { "" };
                let interpreter = interpreter.trim_end().to_owned();
                Some(ExecFault::Script { name, interpreter, hint })
            }
            fault => Some(fault),
        }
    }
}

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;
