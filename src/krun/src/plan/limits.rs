//! Resource limits.

use krun_spawner::plan::Rlimit;
use nix::libc;
use oci_spec::runtime::{PosixRlimitType, Process};

/// The limits of a process.
#[must_use]
pub fn rlimits(process: &Process) -> Vec<Rlimit> {
    let listed = process.rlimits().iter().flatten();
    let limit = |limit: &oci_spec::runtime::PosixRlimit| Rlimit {
        resource: resource(limit.typ()),
        reserved: 0,
        soft: limit.soft(),
        hard: limit.hard(),
    };
    listed.map(limit).collect()
}

/// getrlimit(2)
fn resource(kind: PosixRlimitType) -> u32 {
    use PosixRlimitType as T;
    let number = match kind {
        T::RlimitCpu => libc::RLIMIT_CPU,
        T::RlimitFsize => libc::RLIMIT_FSIZE,
        T::RlimitData => libc::RLIMIT_DATA,
        T::RlimitStack => libc::RLIMIT_STACK,
        T::RlimitCore => libc::RLIMIT_CORE,
        T::RlimitRss => libc::RLIMIT_RSS,
        T::RlimitNproc => libc::RLIMIT_NPROC,
        T::RlimitNofile => libc::RLIMIT_NOFILE,
        T::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        T::RlimitAs => libc::RLIMIT_AS,
        T::RlimitLocks => libc::RLIMIT_LOCKS,
        T::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        T::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        T::RlimitNice => libc::RLIMIT_NICE,
        T::RlimitRtprio => libc::RLIMIT_RTPRIO,
        T::RlimitRttime => libc::RLIMIT_RTTIME,
    };
    #[allow(clippy::unnecessary_cast, reason = "an int for musl")]
    {
        number as u32
    }
}
