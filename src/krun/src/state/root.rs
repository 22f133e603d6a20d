//! The default of `--root`.
use std::path::PathBuf;

/// `/run/krun`; `$XDG_RUNTIME_DIR/krun` for an ordinary user and for root in a user namespace.
#[must_use]
pub fn default_root() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) if honours_runtime_dir() => PathBuf::from(dir).join("krun"),
        _ => PathBuf::from("/run/krun"),
    }
}

/// Root in a user namespace is an ordinary user in disguise, unless it says it is root (a nested engine does).
fn honours_runtime_dir() -> bool {
    if !nix::unistd::geteuid().is_root() {
        return true;
    }
    in_user_namespace() && std::env::var_os("USER").is_none_or(|user| user != "root")
}

/// The initial user namespace maps every id to itself (user_namespaces(7)).
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && map.split_whitespace().ne(["0", "0", "4294967295"])
}
