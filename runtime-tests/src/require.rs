//! What a test needs of the host, and the record of what was skipped.

use crate::runtime::{self, Kind};
use crate::{host, raw};
use std::io::Write;
use std::path::Path;

/// One need. A host or runtime without it skips the test, with the reason.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// A cgroup v2 controller at the root.
    Controller(&'static str),
    /// A host without that controller: what is said of it then.
    NoController(&'static str),
    /// A kernel at least this new.
    Kernel(u32, u32),
    /// A capability of ours: name and number.
    Capability(&'static str, u32),
    /// A program on PATH.
    Program(&'static str),
    /// A path that exists, `/sys/kernel/security/apparmor` say.
    Path(&'static str),
    /// A filesystem that the kernel knows.
    Filesystem(&'static str),
    /// A runtime that knows this version of the OCI runtime specification.
    Spec(u32, u32),
    /// krun itself: what no other runtime has.
    Krun,
    /// krun or runc: behaviour of the reference that others don't share.
    RuncLike,
    /// At least so many CPUs.
    Cpus(usize),
    /// A static busybox for the root filesystem.
    Busybox,
    /// Swap space that is switched on.
    Swap,
    /// A kernel where root may make user namespaces.
    UserNamespace,
    /// An enabled Linux security module.
    Lsm(&'static str),
    /// A system call that the kernel has.
    Syscall(&'static str),
    /// A line of /proc/filesystems or a file that tells of a block device to throttle.
    BlockDevice,
    /// Huge pages can be reserved here.
    HugePages,
    /// So many huge pages of 2 MiB lie ready.
    FreeHugePages(u32),
    /// A kind of network interface that the kernel and iproute2's `ip` can make.
    Interface(&'static str),
}

impl Need {
    /// Why it isn't met here; None when it is.
    pub fn missing(self) -> Option<String> {
        let (met, reason) = match self {
            Need::Controller(c) => {
                (host::controllers().iter().any(|h| h == c), format!("no cgroup v2 controller {c}"))
            }
            Need::NoController(c) => {
                (!host::controllers().iter().any(|h| h == c), format!("there is a cgroup v2 controller {c}"))
            }
            Need::Kernel(a, b) => (host::kernel() >= (a, b), format!("kernel older than {a}.{b}")),
            Need::Capability(name, n) => (host::has_capability(n), format!("the tests lack CAP_{name}")),
            Need::Program(p) => (host::has_program(p), format!("no program {p}")),
            Need::Path(p) => (Path::new(p).exists(), format!("no {p}")),
            Need::Filesystem(f) => (has_line("/proc/filesystems", f), format!("no filesystem {f}")),
            Need::Spec(a, b) => {
                let spec = runtime::under_test().spec;
                (
                    spec >= (a, b),
                    format!("the runtime under test follows spec {}.{}, not {a}.{b}", spec.0, spec.1),
                )
            }
            Need::Krun => (is(&[Kind::Krun]), "the runtime under test isn't krun".into()),
            Need::RuncLike => {
                (is(&[Kind::Krun, Kind::Runc]), "the runtime under test isn't runc-like".into())
            }
            Need::Cpus(n) => (raw::affinity().len() >= n, format!("fewer than {n} CPUs")),
            Need::Busybox => (runtime::busybox_path().is_some(), "no busybox".into()),
            Need::Swap => (has_swap(), "no swap".into()),
            Need::UserNamespace => (Path::new("/proc/self/ns/user").exists(), "no user namespaces".into()),
            Need::Lsm(name) => (has_lsm(name), format!("no LSM {name}")),
            Need::Syscall(name) => (has_syscall(name), format!("no system call {name}")),
            Need::BlockDevice => (host_block_device().is_some(), "no block device".into()),
            Need::Interface(kind) => (can_make_interface(kind), format!("no {kind} interfaces")),
            Need::FreeHugePages(n) => {
                let free =
                    std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
                let free = free.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0u32);
                (free >= n, format!("fewer than {n} huge pages are reserved"))
            }
            Need::HugePages => {
                (Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists(), "no 2 MB pages".into())
            }
        };
        (!met).then_some(reason)
    }
}

fn is(kinds: &[Kind]) -> bool {
    kinds.contains(&runtime::under_test().kind)
}

fn has_line(file: &str, word: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|l| l.split_whitespace().last() == Some(word))
}

/// In a network namespace of a thread of its own, so that nobody sees it.
fn can_make_interface(kind: &str) -> bool {
    let kind = kind.to_owned();
    let ip = |args: &[&str]| std::process::Command::new("ip").args(args).output();
    let made = std::thread::spawn(move || {
        let iproute2 = ip(&["-V"]).is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("iproute2"));
        iproute2
            && raw::unshare(libc::CLONE_NEWNET).is_ok()
            && ip(&["link", "add", "kt-probe", "type", &kind]).is_ok_and(|o| o.status.success())
    });
    made.join().unwrap_or(false)
}

fn has_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|t| t.lines().count() > 1)
}

fn has_lsm(name: &str) -> bool {
    std::fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|t| t.trim().split(',').any(|l| l == name))
}

fn has_syscall(name: &str) -> bool {
    let Some(nr) = crate::syscalls::number(name) else {
        return false;
    };
    raw::syscall_numbers(nr, [usize::MAX; 6]) != Err(libc::ENOSYS)
}

/// The first disk that isn't a loop or ram device, as `major:minor`.
pub fn host_block_device() -> Option<String> {
    let mut names: Vec<_> = std::fs::read_dir("/sys/block").ok()?.flatten().map(|e| e.file_name()).collect();
    names.sort();
    let name = names
        .iter()
        .filter_map(|n| n.to_str())
        .find(|n| n.starts_with("vd") || n.starts_with("sd") || n.starts_with("nvme"))?;
    std::fs::read_to_string(format!("/sys/block/{name}/dev")).ok().map(|s| s.trim().to_owned())
}

/// Skips the test: prints and records the reason. True when skipped.
pub fn skip(function: &str, needs: &[Need]) -> bool {
    let Some(reason) = needs.iter().find_map(|n| n.missing()) else {
        return false;
    };
    let name = function.trim_end_matches("::here").split_once("::").map_or(function, |(_, n)| n);
    let name = name.trim_end_matches("::here");
    let line = format!("SKIPPED {name}: {reason}\n");
    let _ = std::io::stdout().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("KRUN_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        // One write: lines of tests that run at once don't mix.
        let _ = file.and_then(|mut f| f.write_all(line.as_bytes()));
    }
    true
}

/// `requires!(Controller("memory"), Kernel(6, 3));` at the head of a test.
#[macro_export]
macro_rules! requires {
    ($($need:expr),+ $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::Need::*;
        fn here() {}
        if $crate::require::skip(std::any::type_name_of_val(&here), &[$($need),+]) {
            return;
        }
    }};
}
