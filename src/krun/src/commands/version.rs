//! `krun --version`

/// Version, commit and what is built in; dockerd reads the `commit:` line.
pub fn text() -> String {
    format!(
        "krun version {}\ncommit: {}\nspec: {}\n+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF\n",
        env!("CARGO_PKG_VERSION"),
        env!("KRUN_COMMIT"),
        "1.3.0"
    )
}
