//! Facts about this host: probed once, and only what a plan needs.

use std::path::{Path, PathBuf};

/// What a plan depends on besides the specification.
#[derive(Clone, Debug)]
pub struct Facts {
    /// krun has CAP_SYS_ADMIN over the host's user namespace.
    pub privileged: bool,
    /// krun itself runs in a user namespace.
    pub in_user_namespace: bool,
    /// Capabilities that krun may hand on.
    pub permitted: u64,
    /// The kernel's highest capability.
    pub last_cap: u32,
    /// Where cgroup v2 is mounted.
    pub cgroup_mount: PathBuf,
    /// /proc/kcore exists, and /dev/core with it.
    pub has_kcore: bool,
}

const SYS_ADMIN: u64 = 1 << 21;

impl Facts {
    /// Asks the kernel.
    #[must_use]
    pub fn probe(cgroup_mount: PathBuf) -> Facts {
        let permitted = krun_sys::identity::capget().map_or(0, |sets| sets.permitted);
        let in_user_namespace = in_user_namespace();
        let privileged = permitted & SYS_ADMIN != 0 && nix::unistd::geteuid().is_root() && !in_user_namespace;
        Facts {
            privileged,
            in_user_namespace,
            permitted,
            last_cap: last_cap(),
            cgroup_mount,
            has_kcore: Path::new("/proc/kcore").exists(),
        }
    }

    /// What a container can be planned with on a host that is not at hand, for
    /// `krun plan`: everything.
    #[must_use]
    pub fn ideal() -> Facts {
        Facts {
            privileged: true,
            in_user_namespace: false,
            permitted: u64::MAX >> 23,
            last_cap: 40,
            cgroup_mount: PathBuf::from("/sys/fs/cgroup"),
            has_kcore: true,
        }
    }
}

/// The kernel's highest capability: prctl(PR_CAPBSET_READ) is EINVAL above it.
fn last_cap() -> u32 {
    const NEWEST: u32 = 40; // CAP_CHECKPOINT_RESTORE, Linux 5.9
    let known = |cap: u32| krun_sys::identity::capbset_read(cap).is_ok();
    let mut last = NEWEST;
    while last < 63 && known(last + 1) {
        last += 1;
    }
    while last > 0 && !known(last) {
        last -= 1;
    }
    last
}

/// How many processors krun may run on (sched_getaffinity(2)); at least one.
#[must_use]
pub fn processors() -> usize {
    let mut mask = [0; 128]; // the most that a kernel can have (CONFIG_NR_CPUS)
    let asked = krun_sys::sched::sched_getaffinity(0, &mut mask);
    let count: u32 = mask.iter().map(|word| word.count_ones()).sum();
    asked.map_or(1, |()| usize::try_from(count).unwrap_or(1).max(1))
}

/// The initial user namespace has a number of its own in nsfs
/// (PROC_USER_INIT_INO in linux/proc_ns.h, since Linux 3.8).
#[must_use]
pub fn in_user_namespace() -> bool {
    const INITIAL: u64 = 0xeffffffd;
    nix::sys::stat::stat("/proc/self/ns/user").is_ok_and(|st| st.st_ino != INITIAL)
}
