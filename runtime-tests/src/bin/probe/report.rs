//! What the kernel says about this process, by system calls alone.

use crate::proc_report;
use runtime_tests::raw;
use serde_json::{Map, Value, json};

/// The names of the capabilities, by number.
const CAPS: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

const RLIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

/// Everything; `sysctls` are names (`kernel/shmmax`) to read besides.
pub fn all(sysctls: &[&str]) -> Value {
    // First of all, before this program opens anything.
    let fds = proc_report::descriptors();
    let mut m = Map::new();
    m.insert("fds".into(), fds);
    identity(&mut m);
    security(&mut m);
    scheduling(&mut m);
    m.insert("rlimits".into(), rlimits());
    m.insert("signals".into(), signals());
    m.insert("tty".into(), tty());
    m.insert("env".into(), std::env::vars().map(|(k, v)| (k, Value::from(v))).collect());
    let environ: Vec<String> = std::env::vars().map(|(k, v)| format!("{k}={v}")).collect();
    m.insert("environ".into(), json!(environ));
    m.insert("argv".into(), json!(crate::argv()));
    let cwd = std::env::current_dir().map(|p| p.display().to_string());
    m.insert("cwd".into(), cwd.map_or_else(|e| json!({"errno": crate::errno_of(&e)}), Value::from));
    let [_, hostname, release, machine, domainname] = raw::uname();
    m.insert("hostname".into(), hostname.into());
    m.insert("domainname".into(), domainname.into());
    m.insert("release".into(), release.into());
    m.insert("machine".into(), machine.into());
    proc_report::files(&mut m, sysctls);
    Value::Object(m)
}

fn identity(m: &mut Map<String, Value>) {
    let triple = |v: [u32; 3]| json!({"real": v[0], "effective": v[1], "saved": v[2]});
    m.insert("uid".into(), triple(raw::getresuid()));
    m.insert("gid".into(), triple(raw::getresgid()));
    m.insert("groups".into(), json!(raw::getgroups()));
    let old = raw::umask(0);
    raw::umask(old);
    m.insert("umask".into(), old.into());
    m.insert("pid".into(), std::process::id().into());
    m.insert("ppid".into(), std::os::unix::process::parent_id().into());
    let call = |nr| raw::syscall_numbers(nr, [0; 6]).ok();
    m.insert("pgid".into(), json!(call(libc::SYS_getpgid)));
    m.insert("sid".into(), json!(call(libc::SYS_getsid)));
    m.insert("pdeathsig".into(), json!(raw::pdeathsig()));
    m.insert(
        "keyring".into(),
        match raw::session_keyring() {
            Ok((id, description)) => json!({"id": id, "description": description}),
            Err(e) => json!({"errno": runtime_tests::errno::name(e)}),
        },
    );
}

fn cap_names(mask: u64) -> Value {
    CAPS.iter()
        .enumerate()
        .filter(|(i, _)| mask >> i & 1 == 1)
        .map(|(_, n)| Value::from(format!("CAP_{n}")))
        .collect()
}

fn security(m: &mut Map<String, Value>) {
    let prctl = |option, a, b| raw::prctl(option, a, b);
    let mut bounding = 0u64;
    let mut ambient = 0u64;
    for i in 0..CAPS.len() {
        bounding |= u64::from(prctl(libc::PR_CAPBSET_READ, i, 0) == Ok(1)) << i;
        let is_set = libc::PR_CAP_AMBIENT_IS_SET.try_into().unwrap_or(0);
        ambient |= u64::from(prctl(libc::PR_CAP_AMBIENT, is_set, i) == Ok(1)) << i;
    }
    let [effective, permitted, inheritable] = raw::capget().unwrap_or_default();
    m.insert(
        "caps".into(),
        json!({
            "effective": cap_names(effective), "permitted": cap_names(permitted),
            "inheritable": cap_names(inheritable), "bounding": cap_names(bounding),
            "ambient": cap_names(ambient),
        }),
    );
    m.insert("securebits".into(), json!(prctl(libc::PR_GET_SECUREBITS, 0, 0).ok()));
    m.insert("no_new_privs".into(), json!(prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0) == Ok(1)));
    m.insert("dumpable".into(), json!(prctl(libc::PR_GET_DUMPABLE, 0, 0).ok()));
    m.insert("thp_disable".into(), json!(prctl(libc::PR_GET_THP_DISABLE, 0, 0).ok()));
}

fn scheduling(m: &mut Map<String, Value>) {
    m.insert(
        "scheduler".into(),
        match raw::sched_getattr() {
            Ok((policy, flags, nice, priority, t)) => json!({
                "policy": policy, "flags": flags, "nice": nice, "priority": priority,
                "runtime": t[0], "deadline": t[1], "period": t[2],
            }),
            Err(e) => json!({"errno": runtime_tests::errno::name(e)}),
        },
    );
    let ioprio = raw::syscall_numbers(libc::SYS_ioprio_get, [1, 0, 0, 0, 0, 0]).ok();
    m.insert("ioprio".into(), json!(ioprio.map(|v| json!({"class": v >> 13, "level": v & 7}))));
    let ask = 0xffff_ffff;
    let personality = raw::syscall_numbers(libc::SYS_personality, [ask, 0, 0, 0, 0, 0]).ok();
    m.insert("personality".into(), json!(personality));
    m.insert("affinity".into(), json!(raw::affinity()));
    let policy = raw::mempolicy().ok();
    m.insert("mempolicy".into(), json!(policy.map(|(mode, nodes)| json!({"mode": mode, "nodes": nodes}))));
}

fn rlimits() -> Value {
    let mut m = Map::new();
    for (i, name) in (0u32..).zip(RLIMITS) {
        if let Ok([soft, hard]) = raw::getrlimit(i) {
            m.insert(format!("RLIMIT_{name}"), json!({"soft": soft, "hard": hard}));
        }
    }
    Value::Object(m)
}

fn signals() -> Value {
    let blocked = raw::blocked_signals();
    // 32 and 33 are the C library's own.
    let with = |state| (1..=64).filter(|n| raw::disposition(*n) == Some(state)).collect::<Vec<i32>>();
    json!({
        "blocked": (1..=64).filter(|n| blocked >> (n - 1) & 1 == 1).collect::<Vec<u32>>(),
        "ignored": with(1),
        "handled": with(2),
    })
}

fn tty() -> Value {
    let name =
        |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok().map(|p| p.display().to_string());
    json!({
        "stdin": raw::isatty(0), "stdout": raw::isatty(1), "stderr": raw::isatty(2),
        "size": raw::winsize(0), "name": name(0),
        "controlling": std::fs::File::open("/dev/tty").is_ok(),
    })
}
