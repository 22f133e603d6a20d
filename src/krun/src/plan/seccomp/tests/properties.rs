//! Random profiles: every call number and random arguments, against both oracles.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompOperator as Op};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
};
use seccompiler::{SeccompRule, TargetArch};

use super::interpreter::{Data, check, run};
use super::oracle::Oracle;
use super::profile::{Random, like_an_engine};
use crate::plan::seccomp::abi::{Abi, Call, Machine};
use crate::plan::seccomp::{Instruction, SeccompError, compile_for};

const ARCHS: [Abi; 4] = [Abi::X86_64, Abi::X86, Abi::Arm, Abi::Aarch64];

/// All numbers any convention uses, and those at the edges between them.
fn numbers() -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..600).collect();
    numbers.extend((0..600).map(|nr| nr | 0x4000_0000));
    numbers.extend(0x0e_fffe..0x0f_000a);
    numbers.extend([0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX]);
    numbers
}

/// Values around those the profile compares with.
fn arguments(random: &mut Random, spec: &LinuxSeccomp, nth: usize) -> [u64; 6] {
    let compared: Vec<u64> = spec
        .syscalls()
        .iter()
        .flatten()
        .flat_map(|entry| entry.args().iter().flatten())
        .flat_map(|arg| [arg.value(), arg.value_two().unwrap_or(0)])
        .collect();
    std::array::from_fn(|_| match nth {
        0 => 0,
        _ if compared.is_empty() || random.below(3) == 0 => random.value(),
        _ => random.of(&compared).wrapping_add(random.of(&[0, 0, 1, u64::MAX, 0x1_0000_0000])),
    })
}

fn compare(machine: Machine, spec: &LinuxSeccomp, random: &mut Random) {
    let program = match compile_for(machine, spec) {
        Ok(program) => program.instructions,
        Err(SeccompError::Conflict { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    check(&program);
    let oracle = Oracle::new(machine, spec);
    let archs = ARCHS.map(Abi::audit_arch);
    for nr in numbers() {
        for arch in archs.into_iter().chain([0, 0x8000_0016]) {
            for nth in 0..3 {
                let data = Data { nr, arch, args: arguments(random, spec, nth) };
                let (actual, wanted) = (run(&program, &data).0, oracle.evaluate(&data));
                assert_eq!(actual, wanted, "{actual:#x} {wanted:#x} {data:x?} {machine:?} {spec:?}");
            }
        }
    }
}

#[test]
fn random_profiles_do_what_their_rules_say() {
    let mut random = Random(0x5eed);
    for _ in 0..25 {
        let spec = random.profile();
        compare(Machine::X86_64, &spec, &mut random);
        compare(Machine::Aarch64, &spec, &mut random);
    }
}

#[test]
fn an_engine_profile_does_what_its_rules_say() {
    let mut random = Random(7);
    compare(Machine::X86_64, &like_an_engine(), &mut random);
    compare(Machine::Aarch64, &like_an_engine(), &mut random);
}

/// Thousands of instructions: jumps of all lengths, and stepping stones.
#[test]
fn long_programs_jump_to_the_right_places() {
    let mut random = Random(0xbeef);
    for _ in 0..2 {
        let mut spec = random.allow_list();
        let mut entries = Vec::new();
        for _ in 0..24 {
            entries.extend(random.allow_list().syscalls().clone().unwrap());
        }
        // Unconditional rules would make the program short again.
        entries.retain(|entry| entry.args().as_ref().is_some_and(|args| !args.is_empty()));
        spec.set_syscalls(Some(entries.clone()));
        while let Err(SeccompError::TooLong { .. }) = compile_for(Machine::X86_64, &spec) {
            entries.pop();
            spec.set_syscalls(Some(entries.clone()));
        }
        let length = compile_for(Machine::X86_64, &spec).map(|program| program.instructions.len());
        assert!(length.as_ref().is_ok_and(|length| *length > 2000), "{length:?}");
        compare(Machine::X86_64, &spec, &mut random);
    }
}

/// The same profile through seccompiler's own compiler.
fn second_opinion(spec: &LinuxSeccomp, arch: TargetArch, abi: Abi) -> (Vec<Instruction>, u32) {
    let mut rules: BTreeMap<i64, Option<Vec<SeccompRule>>> = BTreeMap::new();
    let mut newest = 0;
    for entry in spec.syscalls().iter().flatten() {
        let conditions: Vec<_> = entry
            .args()
            .iter()
            .flatten()
            .map(|arg| {
                let op = match arg.op() {
                    Op::ScmpCmpNe => SeccompCmpOp::Ne,
                    Op::ScmpCmpLt => SeccompCmpOp::Lt,
                    Op::ScmpCmpLe => SeccompCmpOp::Le,
                    Op::ScmpCmpEq => SeccompCmpOp::Eq,
                    Op::ScmpCmpGe => SeccompCmpOp::Ge,
                    Op::ScmpCmpGt => SeccompCmpOp::Gt,
                    Op::ScmpCmpMaskedEq => SeccompCmpOp::MaskedEq(arg.value()),
                };
                let value = match arg.op() {
                    Op::ScmpCmpMaskedEq => arg.value_two().unwrap_or(0),
                    _ => arg.value(),
                };
                let index = u8::try_from(arg.index()).unwrap();
                (index, SeccompCondition::new(index, SeccompCmpArgLen::Qword, op, value).unwrap())
            })
            .collect();
        let mut indexes: Vec<_> = conditions.iter().map(|(index, _)| *index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        let conjunction = indexes.len() == conditions.len();
        for nr in entry.names().iter().filter_map(|name| abi.number(Call::named(name)?)) {
            newest = newest.max(nr);
            let alternatives = rules.entry(i64::from(nr)).or_insert_with(|| Some(Vec::new()));
            if conditions.is_empty() {
                *alternatives = None;
            } else if let Some(alternatives) = alternatives {
                let all: Vec<_> = conditions.iter().map(|(_, condition)| condition.clone()).collect();
                if conjunction {
                    alternatives.push(SeccompRule::new(all).unwrap());
                } else {
                    alternatives.extend(all.into_iter().map(|one| SeccompRule::new(vec![one]).unwrap()));
                }
            }
        }
    }
    let rules = rules.into_iter().map(|(nr, rules)| (nr, rules.unwrap_or_default())).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Errno(1), SeccompAction::Allow, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let convert = |i: &seccompiler::sock_filter| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    (program.iter().map(convert).collect(), newest)
}

#[test]
fn allow_lists_agree_with_seccompiler() {
    let mut random = Random(0xabcd);
    for round in 0..60 {
        let spec = random.allow_list();
        let (machine, arch) = match round % 2 {
            0 => (Machine::X86_64, TargetArch::x86_64),
            _ => (Machine::Aarch64, TargetArch::aarch64),
        };
        let abi = machine.native();
        let (theirs, newest) = second_opinion(&spec, arch, abi);
        let ours = compile_for(machine, &spec).unwrap().instructions;
        // Above the newest call ours says ENOSYS, a notion seccompiler lacks.
        for nr in 0..=newest {
            for nth in 0..4 {
                let data = Data { nr, arch: abi.audit_arch(), args: arguments(&mut random, &spec, nth) };
                assert_eq!(run(&ours, &data).0, run(&theirs, &data).0, "{data:x?} {spec:?}");
            }
        }
    }
}
