//! Numbers of the system calls that tests name, for this architecture.

macro_rules! numbers {
    ($($name:ident)*) => {
        /// The number of a system call by name, or the number itself.
        pub fn number(name: &str) -> Option<i64> {
            match format!("SYS_{name}").as_str() {
                $(stringify!($name) => Some(libc::$name),)*
                _ => name.parse().ok(),
            }
        }
    };
}

numbers! {
    SYS_getpid SYS_getppid SYS_getuid SYS_mount SYS_umount2 SYS_unshare SYS_setns SYS_clone SYS_clone3
    SYS_ptrace SYS_kexec_load SYS_reboot SYS_swapon SYS_init_module SYS_delete_module SYS_bpf
    SYS_perf_event_open SYS_keyctl SYS_add_key SYS_personality SYS_socket SYS_sethostname
    SYS_setdomainname SYS_settimeofday SYS_clock_settime SYS_mkdirat SYS_fchmodat SYS_fchownat SYS_fchmod SYS_fchown SYS_utimensat SYS_unlinkat SYS_symlinkat
    SYS_chroot SYS_pivot_root SYS_setuid SYS_setgid SYS_setgroups SYS_sched_setaffinity
    SYS_sched_setscheduler SYS_setpriority SYS_ioctl SYS_close SYS_dup SYS_fsopen SYS_open_tree
    SYS_move_mount SYS_open_by_handle_at SYS_name_to_handle_at SYS_syslog SYS_acct SYS_quotactl
    SYS_userfaultfd SYS_io_uring_setup SYS_getcpu SYS_getrandom SYS_sysinfo SYS_uname SYS_sync
    SYS_setrlimit SYS_prlimit64 SYS_capset SYS_seccomp SYS_pidfd_open SYS_process_vm_readv SYS_kcmp
    SYS_memfd_create SYS_mlock SYS_getpgid SYS_prctl SYS_kill SYS_openat2 SYS_set_mempolicy
}
