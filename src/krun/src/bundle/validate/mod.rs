//! Is the specification one that can be carried out, as asked for? Where runc refuses the same, the words are runc's.
//!
//! A check looks at one part and returns the first thing wrong with it; nothing is changed on the host.
mod linux;
mod mounts;
mod namespaces;
mod process;
mod sysctl;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::{Bundle, BundleError};

/// Who asks, and how the container is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The effective user is not root: without a user namespace nothing works.
    pub rootless: bool,
    /// `--no-pivot`.
    pub no_pivot: bool,
}

type Check = fn(&Bundle, Caller) -> Result<(), BundleError>;

const CHECKS: &[Check] = &[
    |bundle, _| version(&bundle.spec),
    |bundle, _| rootfs(bundle),
    |bundle, _| process_present(&bundle.spec),
    |bundle, _| namespaces::check(&bundle.spec),
    |bundle, _| namespaces::mappings(&bundle.spec),
    |bundle, caller| namespaces::rootless(&bundle.spec, caller),
    |bundle, _| namespaces::needed(&bundle.spec),
    |bundle, caller| mounts::check(&bundle.spec, caller),
    |bundle, caller| linux::propagation(&bundle.spec, caller),
    |bundle, _| linux::devices(&bundle.spec),
    |bundle, _| linux::intel_rdt(&bundle.spec),
    |bundle, _| linux::memory_policy(&bundle.spec),
    |bundle, caller| linux::net_devices(&bundle.spec, caller),
    |bundle, _| linux::seccomp(&bundle.spec),
    |bundle, _| linux::hooks(&bundle.spec),
    |bundle, _| sysctl::check(&bundle.spec),
];

/// Judges the whole specification.
///
/// # Errors
/// The first [`BundleError`].
pub fn validate(bundle: &Bundle, caller: Caller) -> Result<(), BundleError> {
    CHECKS.iter().try_for_each(|check| check(bundle, caller))
}

/// Everything that is wrong: the first error of each check.
#[must_use]
pub fn problems(bundle: &Bundle, caller: Caller) -> Vec<BundleError> {
    CHECKS.iter().filter_map(|check| check(bundle, caller).err()).collect()
}

pub use process::check as validate_process;

/// A terminal needs someone who holds its other end: a console socket if krun doesn't stay, krun itself if it does.
///
/// # Errors
/// [`BundleError::TerminalWithoutSocket`], [`BundleError::SocketWithoutTerminal`].
pub fn validate_terminal(terminal: bool, detach: bool, console_socket: bool) -> Result<(), BundleError> {
    match (terminal && detach, console_socket) {
        (true, false) => Err(BundleError::TerminalWithoutSocket),
        (false, true) => Err(BundleError::SocketWithoutTerminal),
        _ => Ok(()),
    }
}

/// Semantic versioning: everything of major version 1 is compatible.
fn version(spec: &Spec) -> Result<(), BundleError> {
    let version = spec.version();
    match version.split('.').next() {
        Some("1") => Ok(()),
        Some("") | None => Err(BundleError::field("ociVersion", "required, for example 1.3.0")),
        Some(_) => Err(BundleError::field("ociVersion", format!("{version:?} is not supported, 1.3.0 is"))),
    }
}

fn rootfs(bundle: &Bundle) -> Result<(), BundleError> {
    let Some(path) = bundle.rootfs() else {
        return Err(BundleError::field("root", "root must be specified"));
    };
    if bundle.spec.root().as_ref().is_some_and(|root| root.path().as_os_str().is_empty()) {
        return Err(BundleError::field("root.path", "root path must not be empty"));
    }
    if is_plain_directory(&path) {
        return Ok(());
    }
    let shown = path.display();
    let invalid = |problem: String| BundleError::field("root.path", format!("invalid rootfs: {problem}"));
    let stat = |error: std::io::Error| invalid(format!("stat {shown}: {}", crate::chain(&error)));
    if !std::fs::metadata(&path).map_err(stat)?.is_dir() {
        return Err(invalid(format!("{shown}: not a directory")));
    }
    // The comparison of components forgives `rootfs/` and `./rootfs`.
    if std::fs::canonicalize(&path).map_err(stat)? != path.components().collect::<std::path::PathBuf>() {
        return Err(invalid(format!("{shown}: not an absolute path, or a symlink")));
    }
    Ok(())
}

/// The usual case in two calls: an absolute path to a directory without any link on the way.
fn is_plain_directory(path: &std::path::Path) -> bool {
    use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let parents = path.components().any(|part| part == std::path::Component::ParentDir);
    path.is_absolute() && !parents && openat2(AT_FDCWD, path, how).is_ok()
}

fn process_present(spec: &Spec) -> Result<(), BundleError> {
    match spec.process() {
        Some(process) => process::check(process),
        None => Err(BundleError::field("process", "process property must not be empty")),
    }
}

/// Whether the container gets, or joins, a namespace of this kind.
fn has(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    namespaces.is_some_and(|list| list.iter().any(|namespace| namespace.typ() == kind))
}

/// The path by which a namespace of this kind is joined.
fn joined(spec: &Spec, kind: LinuxNamespaceType) -> Option<&std::path::Path> {
    let namespaces = spec.linux().as_ref()?.namespaces().as_ref()?;
    let namespace = namespaces.iter().find(|namespace| namespace.typ() == kind)?;
    namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests;
