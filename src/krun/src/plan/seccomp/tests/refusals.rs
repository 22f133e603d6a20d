//! Profiles that are refused, and what the message says.

use super::profile::parse;
use crate::plan::seccomp::{SeccompError, compile};

fn refusal(rest: &str) -> String {
    compile(&parse(&format!(r#"{{"defaultAction": {rest}}}"#))).unwrap_err().to_string()
}

fn rule(entry: &str) -> String {
    refusal(&format!(
        r#""SCMP_ACT_ALLOW", "syscalls": [{{"names": ["read"], "action": "SCMP_ACT_LOG"}}, {entry}]"#
    ))
}

#[test]
fn notify_has_limits() {
    assert!(refusal(r#""SCMP_ACT_NOTIFY""#).contains("SCMP_ACT_NOTIFY cannot be used as default action"));
    let write = rule(r#"{"names": ["mkdir", "write"], "action": "SCMP_ACT_NOTIFY"}"#);
    assert_eq!(
        write,
        "linux.seccomp.syscalls[1].names[1]: SCMP_ACT_NOTIFY cannot be used for the write syscall"
    );
    let homeless = rule(r#"{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}"#);
    assert!(homeless.contains("seccomp listenerPath is not set"), "{homeless}");
    let flag = refusal(r#""SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#);
    assert!(flag.starts_with("linux.seccomp.flags[0]: "), "{flag}");
}

#[test]
fn values_belong_to_actions_that_take_them() {
    assert_eq!(
        rule(r#"{"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 1}"#),
        "linux.seccomp.syscalls[1].errnoRet: action SCMP_ACT_KILL takes no errno value"
    );
    assert_eq!(
        refusal(r#""SCMP_ACT_ALLOW", "defaultErrnoRet": 1"#),
        "linux.seccomp.defaultErrnoRet: action SCMP_ACT_ALLOW takes no errno value"
    );
    assert_eq!(
        refusal(r#""SCMP_ACT_ERRNO", "defaultErrnoRet": 4096"#),
        "linux.seccomp.defaultErrnoRet: value 4096 is out of range 0..=4095"
    );
}

#[test]
fn rules_have_to_make_sense() {
    assert_eq!(
        rule(r#"{"names": [""], "action": "SCMP_ACT_KILL"}"#),
        "linux.seccomp.syscalls[1].names[0]: empty string is not a valid syscall"
    );
    assert_eq!(
        rule(
            r#"{"names": ["mkdir"], "action": "SCMP_ACT_KILL", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}"#
        ),
        "linux.seccomp.syscalls[1].args[0].index: argument index 6 is out of range 0..=5"
    );
    let one = r#"{"names": ["close"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 9, "op": "SCMP_CMP_EQ"}]}"#;
    let other = one.replace("KILL", "TRAP");
    assert!(
        rule(&format!("{one}, {other}")).starts_with("linux.seccomp.syscalls[2]: a rule for syscall close")
    );
}

#[test]
fn programs_beyond_the_kernels_limit_are_refused() {
    let args = |n: u32| {
        format!(
            r#"{{"names": ["ioctl"], "action": "SCMP_ACT_KILL", "args": [{{"index": 1, "value": {n}, "op": "SCMP_CMP_EQ"}}]}}"#
        )
    };
    let json = |count: u32| {
        let entries: Vec<_> = (0..count).map(args).collect();
        parse(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{}]}}"#, entries.join(",")))
    };
    assert!(compile(&json(1000)).is_ok());
    assert!(matches!(compile(&json(1100)), Err(SeccompError::TooLong { length: 4097.. })));
}
