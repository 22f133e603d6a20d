//! Single cases, with the values written out.

use super::interpreter::{Data, check, run};
use super::profile::{like_an_engine, parse};
use crate::plan::seccomp::abi::{Abi, Call, Machine};
use crate::plan::seccomp::table::SYSCALLS;
use crate::plan::seccomp::{FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV};
use crate::plan::seccomp::{compile, compile_for, dump, warnings};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL_PROCESS: u32 = 0x8000_0000;

/// What an x86_64 machine does for a call of `abi`.
fn x86(json: &str, abi: Abi, nr: u32, args: &[u64]) -> u32 {
    let program = compile_for(Machine::X86_64, &parse(json)).unwrap().instructions;
    check(&program);
    let mut data = Data { nr, arch: abi.audit_arch(), args: [0; 6] };
    data.args[..args.len()].copy_from_slice(args);
    run(&program, &data).0
}

#[test]
fn tables_are_sorted_and_unique() {
    assert!(SYSCALLS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    for abi in [Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64] {
        let mut numbers: Vec<_> = SYSCALLS.iter().filter_map(|row| abi.number(Call::Ordinary(row))).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{abi:?}");
    }
}

#[test]
fn tables_agree_with_libc() {
    let of = |name| Machine::HOST.native().number(Call::named(name).unwrap()).unwrap();
    for (name, nr) in [
        ("read", libc::SYS_read),
        ("execve", libc::SYS_execve),
        ("clone3", libc::SYS_clone3),
        ("openat2", libc::SYS_openat2),
        ("seccomp", libc::SYS_seccomp),
        ("bpf", libc::SYS_bpf),
        ("close_range", libc::SYS_close_range),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("setns", libc::SYS_setns),
        ("ppoll", libc::SYS_ppoll),
        ("futex", libc::SYS_futex),
    ] {
        assert_eq!(i64::from(of(name)), nr, "{name}");
    }
}

#[test]
fn an_engine_profile_is_small_and_shallow() {
    let mut spec = like_an_engine();
    let all = compile_for(Machine::X86_64, &spec).unwrap().instructions;
    spec.set_architectures(None);
    let native = compile_for(Machine::X86_64, &spec).unwrap().instructions;
    assert!(native.len() <= 130, "{} instructions", native.len());
    assert!(all.len() <= 330, "{} instructions for three conventions", all.len());
    let depth = (0..600).map(|nr| run(&native, &Data { nr, arch: Abi::X86_64.audit_arch(), args: [0; 6] }).1);
    assert!(depth.max().unwrap() <= 20);
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [{"names": ["statx", "read"], "action": "SCMP_ACT_ALLOW"}]}"#;
    assert_eq!(x86(json, Abi::X86_64, 332, &[]), ALLOW);
    assert_eq!(x86(json, Abi::X86_64, 331, &[]), EPERM);
    assert_eq!(x86(json, Abi::X86_64, 333, &[]), ENOSYS);
    assert_eq!(x86(json, Abi::X86, 383, &[]), ALLOW);
    assert_eq!(x86(json, Abi::X86, 384, &[]), ENOSYS);
    // A tracer's "skip this call".
    assert_eq!(x86(json, Abi::X86_64, u32::MAX, &[]), ENOSYS);
    let permissive = json.replace("ERRNO", "LOG");
    assert_eq!(x86(&permissive, Abi::X86_64, 333, &[]), 0x7ffc_0000);
    let nothing = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13}"#;
    assert_eq!(x86(nothing, Abi::X86_64, 500, &[]), 0x0005_000d);
}

#[test]
fn conventions_that_are_not_listed_are_fatal() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
    assert_eq!(x86(json, Abi::X86_64, 1, &[]), ALLOW);
    assert_eq!(x86(json, Abi::X86, 1, &[]), KILL_PROCESS);
    assert_eq!(x86(json, Abi::X32, 0x4000_0001, &[]), KILL_PROCESS);
    assert_eq!(x86(json, Abi::X86_64, u32::MAX, &[]), ALLOW);
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X32"],
        "syscalls": [{"names": ["readv"], "action": "SCMP_ACT_ERRNO"}]}"#;
    assert_eq!(x86(json, Abi::X32, 0x4000_0000 + 515, &[]), EPERM);
    assert_eq!(x86(json, Abi::X86_64, 19, &[]), EPERM);
    assert_eq!(x86(json, Abi::X32, 0x4000_0000 + 19, &[]), ALLOW);
}

#[test]
fn i386_multiplexers_follow_the_calls_they_hide() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [{"names": ["socket", "shmat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    assert_eq!(x86(json, Abi::X86, 359, &[]), EPERM);
    assert_eq!(x86(json, Abi::X86, 102, &[1]), EPERM);
    assert_eq!(x86(json, Abi::X86, 102, &[2]), ALLOW);
    assert_eq!(x86(json, Abi::X86, 117, &[21]), EPERM);
    // The upper half is a version number that the kernel strips.
    assert_eq!(x86(json, Abi::X86, 117, &[0x1_0015]), EPERM);
}

#[test]
fn unconditional_rules_win_and_conditions_on_one_argument_are_alternatives() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        {"names": ["read"], "action": "SCMP_ACT_LOG"},
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["write"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
        {"names": ["close"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": 4294967296, "op": "SCMP_CMP_GE"}, {"index": 1, "value": 240, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}]}
        ]}"#;
    assert_eq!(x86(json, Abi::X86_64, 0, &[1]), 0x7ffc_0000);
    assert_eq!(x86(json, Abi::X86_64, 1, &[1]), ALLOW);
    assert_eq!(x86(json, Abi::X86_64, 1, &[2]), ALLOW);
    assert_eq!(x86(json, Abi::X86_64, 1, &[3]), EPERM);
    assert_eq!(x86(json, Abi::X86_64, 1, &[0x1_0000_0001]), EPERM);
    assert_eq!(x86(json, Abi::X86_64, 3, &[0x1_0000_0000, 0x1f]), ALLOW);
    assert_eq!(x86(json, Abi::X86_64, 3, &[0xffff_ffff, 0x1f]), EPERM);
    assert_eq!(x86(json, Abi::X86_64, 3, &[0x1_0000_0000, 0x2f]), EPERM);
}

#[test]
fn flags_are_runcs() {
    let flags = |flags: &str| {
        let json =
            format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent.sock" {flags}}}"#);
        compile(&parse(&json)).unwrap().flags
    };
    assert_eq!(flags(""), FLAG_SPEC_ALLOW);
    assert_eq!(flags(r#","flags": []"#), 0);
    assert_eq!(flags(r#","flags": ["SECCOMP_FILTER_FLAG_TSYNC"]"#), 0);
    assert_eq!(
        flags(r#","flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]"#),
        FLAG_LOG | FLAG_SPEC_ALLOW
    );
    let notify = r#","syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}], "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#;
    assert_eq!(flags(notify), FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV);
}

#[test]
fn a_dump_reads_as_a_listing() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}"#;
    let program = compile_for(Machine::X86_64, &parse(json)).unwrap();
    let lines: Vec<_> = dump(&program).collect();
    assert_eq!(lines[0], "   0: A = arch");
    assert!(lines.iter().any(|line| line.ends_with("return ERRNO(5)")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("if A == 0xc000003e goto")), "{lines:#?}");
    assert_eq!(lines.len(), program.instructions.len());
}

#[test]
fn unknown_names_are_warned_about() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"],
        "syscalls": [{"names": ["read", "frobnicate"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let found = warnings(&parse(json));
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("linux.seccomp.architectures[0]: SCMP_ARCH_S390X"), "{found:?}");
    assert_eq!(
        found[1],
        r#"linux.seccomp.syscalls[0].names[1]: unknown seccomp syscall "frobnicate" ignored"#
    );
}
