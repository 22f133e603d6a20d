//! The device program against a direct reading of the rules, and in the kernel.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use super::*;
use crate::cgroup::{Driver, Location, mountpoint};

fn parse(json: &str) -> LinuxResources {
    serde_json::from_str(&format!(r#"{{"devices":{json}}}"#)).unwrap()
}

fn compile(json: &str) -> Vec<Insn> {
    program(&parse(json)).unwrap().unwrap()
}

/// What the rules say, read one by one: the oracle.
fn verdict(resources: &LinuxResources, typ: i32, major: u32, minor: u32, access: u8) -> bool {
    let hits = |t: LinuxDeviceType| match t {
        LinuxDeviceType::A => true,
        LinuxDeviceType::B => typ == BLOCK,
        _ => typ == CHAR,
    };
    let same = |rule: Option<i64>, it: u32| rule.is_none_or(|n| n < 0 || n == i64::from(it));
    [1, 2, 4].iter().filter(|&bit| access & bit != 0).all(|bit| {
        let mut allowed = false;
        for rule in resources.devices().iter().flatten() {
            let bits = super::access(rule).unwrap();
            if hits(rule.typ().unwrap_or_default())
                && same(rule.major(), major)
                && same(rule.minor(), minor)
                && bits & bit != 0
            {
                allowed = rule.allow();
            }
        }
        for (t, ma, mi, bits) in DEFAULTS {
            let hit = t == typ && ma.is_none_or(|n| n == major) && mi.is_none_or(|n| n == minor);
            allowed |= hit && bits & bit != 0;
        }
        allowed
    })
}

/// Executes a program as the kernel would.
fn run(insns: &[Insn], typ: i32, major: u32, minor: u32, access: u8) -> bool {
    let context = [typ.cast_unsigned() | (u32::from(access) << 16), major, minor];
    let mut regs = [0_u64; 11];
    for insn in insns {
        let (dst, src) = (usize::from(insn.regs & 15), usize::from(insn.regs >> 4));
        let imm = i64::from(insn.imm).cast_unsigned();
        let low = |value: u64| value & 0xffff_ffff;
        regs[dst] = match insn.code {
            0x61 => u64::from(context[usize::try_from(insn.off).unwrap() / 4]),
            0xbc => low(regs[src]),
            0x54 => low(regs[dst] & imm),
            0x74 => low(regs[dst]) >> imm,
            0x64 => low(low(regs[dst]) << imm),
            0xa4 => low(regs[dst] ^ imm),
            0x4c => low(regs[dst] | regs[src]),
            0x07 => regs[dst].wrapping_add(imm),
            0x04 => low(regs[dst].wrapping_add(imm)),
            0x57 => regs[dst] & imm,
            0xa7 => regs[dst] ^ imm,
            0x87 => regs[dst].wrapping_neg(),
            0x77 => regs[dst] >> imm,
            0xc7 => (regs[dst].cast_signed() >> imm).cast_unsigned(),
            0xb7 => imm,
            0xbf => regs[src],
            0x5f => regs[dst] & regs[src],
            0x4f => regs[dst] | regs[src],
            0x95 => return regs[0] != 0,
            code => panic!("unknown instruction {code:#x}"),
        };
    }
    panic!("no end")
}

/// A random list of rules over few numbers, so that they overlap.
fn random_rules(seed: &mut u64) -> String {
    let mut next = |n: u64| {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed >> 20) % n
    };
    let numbers = ["-1", "0", "1", "2", "3", "136", "4294967295", "99999999999"];
    let accesses = ["rwm", "r", "w", "m", "rw", "mw"];
    let rules: Vec<String> = (0..next(9))
        .map(|_| {
            format!(
                r#"{{"allow":{},"type":"{}","major":{},"minor":{},"access":"{}"}}"#,
                next(2) == 1,
                ["a", "b", "c"][usize::try_from(next(3)).unwrap()],
                numbers[usize::try_from(next(8)).unwrap()],
                numbers[usize::try_from(next(8)).unwrap()],
                accesses[usize::try_from(next(6)).unwrap()],
            )
        })
        .collect();
    format!("[{}]", rules.join(","))
}

#[test]
fn programs_agree_with_the_rules() {
    let mut seed = 0x2545_f491_4f6c_dd1d;
    for round in 0..3000 {
        let json = random_rules(&mut seed);
        let resources = parse(&json);
        let compiled = program(&resources).unwrap();
        if let (Some(insns), true) = (&compiled, round < 300) {
            assert!(load(insns).is_ok(), "{json}: {}", verifier_log(insns));
        }
        for typ in [CHAR, BLOCK] {
            for major in [0, 1, 2, 3, 4, 136] {
                for minor in [0, 1, 2, 3, 4, 200] {
                    for access in 1..=7 {
                        let wanted = verdict(&resources, typ, major, minor, access);
                        let got = compiled.as_ref().is_none_or(|insns| run(insns, typ, major, minor, access));
                        assert_eq!(got, wanted, "{json}: {typ} {major}:{minor} {access}");
                    }
                }
            }
        }
    }
}

#[test]
fn default_rules_make_a_small_program_without_jumps() {
    let plain = compile(r#"[{"allow":false,"access":"rwm"}]"#);
    assert_eq!(plain, compile("[]"));
    assert!(plain.len() <= 64, "{} instructions", plain.len());
    // Jumps are the class 5 and 6; an exit is the only one, at the end.
    let jumps = plain.iter().filter(|insn| matches!(insn.code & 7, 5 | 6)).count();
    assert_eq!((jumps, plain.last().map(|insn| insn.code)), (1, Some(0x95)));
}

#[test]
fn everything_allowed_needs_no_program() {
    assert_eq!(program(&parse(r#"[{"allow":true,"access":"rwm"}]"#)).unwrap(), None);
    let split = r#"[{"allow":true,"type":"c","access":"rwm"},{"allow":true,"type":"b","access":"mrw"}]"#;
    assert_eq!(program(&parse(split)).unwrap(), None);
    assert!(program(&LinuxResources::default()).unwrap().is_some());
}

#[test]
fn bad_rules_name_their_place() {
    for (json, text) in [
        (r#"[{"allow":true}]"#, "linux.resources.devices[0]: device access field cannot be empty"),
        (r#"[{"access":"r"},{"access":"x"}]"#, "linux.resources.devices[1]: unknown device access 'x'"),
        (r#"[{"type":"p","access":"r"}]"#, "linux.resources.devices[0]: a FIFO is no device"),
    ] {
        assert_eq!(program(&parse(json)).unwrap_err().to_string(), text);
    }
}

#[test]
fn the_kernel_enforces_and_replaces_the_program() {
    let location = Location {
        driver: Driver::Cgroupfs,
        path: format!("/krun-test-devices-{}", std::process::id()),
        mount: mountpoint().unwrap(),
        scope: None,
        optional: false,
    };
    let any = LinuxResources::default();
    let cgroup = Cgroup::create(location, Some(&any)).unwrap();
    let dir = cgroup.location().dir();
    let node = std::env::temp_dir().join(format!("krun-test-node-{}", std::process::id()));
    let shell = |script: &str| {
        let script = format!("echo $$ > {}/cgroup.procs && {script}", dir.display());
        let out = Command::new("sh").args(["-c", &script]).output().unwrap();
        out.status.success()
    };
    let mknod = format!("mknod {0} c 1 11 && rm {0}", node.display());
    // 1:11 is /dev/kmsg: readable by root, in no default rule.
    let kmsg = "head -c 0 /dev/kmsg";
    assert!(shell(kmsg), "needs /dev/kmsg");

    cgroup.set_devices(&parse(r#"[{"allow":false,"access":"rwm"}]"#)).unwrap();
    assert!(shell("cat /dev/null && head -c 4 /dev/urandom > /dev/null"));
    assert!(!shell(kmsg));
    assert!(shell(&mknod));
    assert_eq!(cgroup.attached().len(), 1);

    // Another opening of the same cgroup, as `update` has it, replaces.
    let again = Cgroup::open(cgroup.location().clone()).unwrap();
    let kmsg_only = r#"[{"allow":false,"access":"rwm"},
        {"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]"#;
    again.set_devices(&parse(kmsg_only)).unwrap();
    assert!(shell(kmsg));
    assert!(!shell("true >> /dev/kmsg"));
    assert_eq!(cgroup.attached().len(), 1);

    again.set_devices(&parse(r#"[{"allow":true,"access":"rwm"}]"#)).unwrap();
    assert!(shell("true >> /dev/kmsg"));
    assert_eq!(cgroup.attached().len(), 0);
    cgroup.delete().unwrap();
    assert!(!dir.exists());

    // No linux.resources at all: the default devices and no others.
    let cgroup = Cgroup::create(again.location().clone(), None).unwrap();
    assert!(shell("cat /dev/null"));
    assert!(!shell(kmsg));
    cgroup.delete().unwrap();
}
