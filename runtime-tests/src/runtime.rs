//! The runtime under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Which runtime it is: what `--version` says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Krun,
    /// The reference, in Go.
    Runc,
    /// The one in C.
    Crun,
    /// Another.
    Other,
}

/// A runtime's program, kind and the specification version it names.
#[derive(Debug)]
pub struct Runtime {
    /// The program.
    pub path: PathBuf,
    /// Which one it is.
    pub kind: Kind,
    /// `spec:` of `--version`, as (major, minor).
    pub spec: (u32, u32),
    /// All that `--version` printed.
    pub version: String,
}

/// The runtime of this test run, asked once.
pub fn under_test() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::ask(&chosen()))
}

/// `KRUN_UNDER_TEST`, else the krun built beside this test program.
fn chosen() -> PathBuf {
    if let Some(p) = std::env::var_os("KRUN_UNDER_TEST").filter(|p| !p.is_empty()) {
        return PathBuf::from(p);
    }
    beside("krun")
}

/// A program of the workspace: the folder above this test program's `deps`.
fn beside(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let dir = exe.parent().and_then(Path::parent).unwrap_or(Path::new(""));
    dir.join(name)
}

/// The shim: `KRUN_SHIM_UNDER_TEST`, else the one built beside this test program.
pub fn shim_path() -> PathBuf {
    std::env::var_os("KRUN_SHIM_UNDER_TEST").map_or_else(|| beside("containerd-shim-krun-v2"), PathBuf::from)
}

/// The probe: `KRUN_PROBE`, else the one built beside this test program.
pub fn probe_path() -> PathBuf {
    std::env::var_os("KRUN_PROBE").map_or_else(|| beside("probe"), PathBuf::from)
}

/// A static busybox: `KRUN_BUSYBOX`, else Debian's place.
pub fn busybox_path() -> Option<PathBuf> {
    let path = std::env::var_os("KRUN_BUSYBOX").map_or_else(|| "/bin/busybox".into(), PathBuf::from);
    path.exists().then_some(path)
}

impl Runtime {
    fn ask(path: &Path) -> Runtime {
        let out = Command::new(path).arg("--version").output();
        let text = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        assert!(!text.is_empty(), "the runtime under test, {}, doesn't answer --version", path.display());
        let kind = match text.split(' ').next() {
            Some("krun") => Kind::Krun,
            Some("runc") => Kind::Runc,
            Some("crun") => Kind::Crun,
            _ => Kind::Other,
        };
        let spec = text.lines().find_map(|l| l.strip_prefix("spec: ")).unwrap_or("1.0.0");
        let mut parts = spec.split(['.', '-']).map(|p| p.parse().unwrap_or(0));
        let spec = (parts.next().unwrap_or(1), parts.next().unwrap_or(0));
        Runtime { path: path.to_owned(), kind, spec, version: text }
    }
}
