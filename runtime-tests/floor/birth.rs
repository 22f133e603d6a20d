//! `floor run`: the calls of the default bundle, each as cheap as it can be.

use std::ffi::CStr;

use krun_sys::fs::{chdir, mkdirat, mknodat, openat, symlinkat, unlinkat};
use krun_sys::identity::{CapSets, capbset_drop, capset, set_no_new_privs};
use krun_sys::mount::{MountAttr, mount, mount_setattr, pivot_root, umount2};
use krun_sys::process::{CLONE_CLEAR_SIGHAND, CloneArgs, Side, clone3, prlimit, sethostname};
use krun_sys::{Errno, Fd, bpf, keys, libc, net};

use super::{At, Failed, become_program, device, wait};

const NOSUID_NOEXEC: u64 = libc::MS_NOSUID | libc::MS_NOEXEC;
/// Where, type, flags, options: the mounts of the default bundle.
const MOUNTS: [(&CStr, &CStr, u64, &CStr); 7] = [
    (c"/proc", c"proc", 0, c""),
    (c"/dev", c"tmpfs", libc::MS_NOSUID | libc::MS_STRICTATIME, c"mode=755,size=65536k"),
    (c"/dev/pts", c"devpts", NOSUID_NOEXEC, c"newinstance,ptmxmode=0666,mode=0620,gid=5"),
    (c"/dev/shm", c"tmpfs", NOSUID_NOEXEC | libc::MS_NODEV, c"mode=1777,size=65536k"),
    (c"/dev/mqueue", c"mqueue", NOSUID_NOEXEC | libc::MS_NODEV, c""),
    (c"/sys", c"sysfs", NOSUID_NOEXEC | libc::MS_NODEV | libc::MS_RDONLY, c""),
    (c"/sys/fs/cgroup", c"cgroup2", NOSUID_NOEXEC | libc::MS_NODEV | libc::MS_RDONLY, c""),
];
const NODES: [(&CStr, u32, u32); 6] = [
    (c"/dev/null", 1, 3),
    (c"/dev/zero", 1, 5),
    (c"/dev/full", 1, 7),
    (c"/dev/random", 1, 8),
    (c"/dev/urandom", 1, 9),
    (c"/dev/tty", 5, 0),
];
const LINKS: [(&CStr, &CStr); 6] = [
    (c"/proc/self/fd", c"/dev/fd"),
    (c"/proc/self/fd/0", c"/dev/stdin"),
    (c"/proc/self/fd/1", c"/dev/stdout"),
    (c"/proc/self/fd/2", c"/dev/stderr"),
    (c"/proc/kcore", c"/dev/core"),
    (c"pts/ptmx", c"/dev/ptmx"),
];
const MASKED: [(&CStr, bool); 10] = [
    (c"/proc/acpi", true),
    (c"/proc/asound", true),
    (c"/proc/kcore", false),
    (c"/proc/keys", false),
    (c"/proc/latency_stats", false),
    (c"/proc/timer_list", false),
    (c"/proc/timer_stats", false),
    (c"/proc/sched_debug", false),
    (c"/sys/firmware", true),
    (c"/proc/scsi", true),
];
const READONLY: [&CStr; 5] = [c"/proc/bus", c"/proc/fs", c"/proc/irq", c"/proc/sys", c"/proc/sysrq-trigger"];
/// CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE
const CAPS: u64 = 1 << 5 | 1 << 10 | 1 << 29;

/// Runs a program in a container and returns its exit code.
pub fn run(rootfs: &CStr, cgroup: &CStr, program: &CStr) -> Result<i32, Failed> {
    mkdirat(Fd::CWD, cgroup, 0o755).at("mkdir cgroup")?;
    let dir =
        openat(Fd::CWD, cgroup, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC, 0).at("open cgroup")?;
    let filter =
        bpf::prog_load(bpf::PROG_TYPE_CGROUP_DEVICE, &device::program(), c"GPL", None).at("BPF_PROG_LOAD")?;
    bpf::prog_attach(dir.as_fd(), &filter, None).at("BPF_PROG_ATTACH")?;
    let new = libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP;
    let args = CloneArgs {
        flags: u64::from(new.cast_unsigned()) | CLONE_CLEAR_SIGHAND,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        cgroup: Some(dir.as_fd()),
    };
    let pidfd = match clone3(args).at("clone3")? {
        Side::Parent { pidfd, .. } => pidfd,
        Side::Child => {
            let Err(failed) = child(rootfs, program);
            return Err(failed);
        }
    };
    let code = wait(pidfd.as_fd())?;
    unlinkat(Fd::CWD, cgroup, libc::AT_REMOVEDIR).at("rmdir cgroup")?;
    Ok(code)
}

fn child(rootfs: &CStr, program: &CStr) -> Result<std::convert::Infallible, Failed> {
    // A new network namespace has its loopback interface up, and every container a session keyring.
    net::loopback_up().at("loopback")?;
    keys::join_session_keyring(c"_ses.floor").at("keyring")?;
    mount(c"", c"/", c"", libc::MS_SLAVE | libc::MS_REC, c"").at("propagation")?;
    mount(rootfs, rootfs, c"", libc::MS_BIND | libc::MS_REC, c"").at("bind rootfs")?;
    chdir(rootfs).at("chdir")?;
    pivot_root(c".", c".").at("pivot_root")?;
    umount2(c".", libc::MNT_DETACH).at("umount")?;
    chdir(c"/").at("chdir")?;
    for (target, fstype, flags, data) in MOUNTS {
        if target.to_bytes().len() > 5 && target.to_bytes().starts_with(b"/dev/") {
            mkdirat(Fd::CWD, target, 0o755).at("mkdir")?;
        }
        mount(fstype, target, fstype, flags, data).at("mount")?;
    }
    for (path, major, minor) in NODES {
        mknodat(Fd::CWD, path, libc::S_IFCHR | 0o666, libc::makedev(major, minor)).at("mknod")?;
    }
    for (to, path) in LINKS {
        symlinkat(to, Fd::CWD, path).at("symlink")?;
    }
    mask()?;
    let readonly = MountAttr { attr_set: libc::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    mount_setattr(Fd::CWD, c"/", 0, &readonly).at("mount_setattr")?;
    sethostname(c"floor").at("sethostname")?;
    #[allow(clippy::unnecessary_cast, reason = "an int for musl")]
    prlimit(0, libc::RLIMIT_NOFILE as u32, 1024, 1024).at("prlimit")?;
    set_no_new_privs().at("no_new_privs")?;
    for cap in (0..=40).filter(|cap| CAPS >> cap & 1 == 0) {
        capbset_drop(cap).at("PR_CAPBSET_DROP")?;
    }
    capset(CapSets { effective: CAPS, permitted: CAPS, inheritable: 0 }).at("capset")?;
    Err(become_program(program))
}

/// Masked and read-only paths; what does not exist costs one call.
fn mask() -> Result<(), Failed> {
    let mut empty = None;
    for (path, directory) in MASKED {
        let done = match (directory, empty) {
            (false, _) => mount(c"/dev/null", path, c"", libc::MS_BIND, c""),
            (true, Some(first)) => mount(first, path, c"", libc::MS_BIND, c""),
            (true, None) => mount(c"tmpfs", path, c"tmpfs", libc::MS_RDONLY, c""),
        };
        match done {
            Ok(()) if directory => empty = Some(path),
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(("mask", errno)),
        }
    }
    for path in READONLY {
        match mount(path, path, c"", libc::MS_BIND | libc::MS_REC, c"") {
            Ok(()) => mount(c"", path, c"", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY, c"")
                .at("remount")?,
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(("bind", errno)),
        }
    }
    Ok(())
}
