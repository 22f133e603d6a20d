//! Scheduling, priorities, memory policy, execution domain.

use krun_spawner::plan::{flag, sched_flag};
use oci_spec::runtime::{
    IOPriorityClass, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag,
    LinuxSchedulerPolicy, MemoryPolicyFlagType, MemoryPolicyModeType, Process,
};

use super::{PlanBuf, PlanError, affinity, set};

/// Plans what belongs to the process.
pub fn plan(buf: &mut PlanBuf, process: &Process) -> Result<(), PlanError> {
    scheduler(buf, process);
    io_priority(buf, process)?;
    Ok(())
}

/// Plans `process.execCPUAffinity.final`, which only exec's process has. Without
/// any, the caller's affinity is undone: the cpuset is what counts.
pub fn exec_affinity(buf: &mut PlanBuf, process: &Process) -> Result<(), PlanError> {
    let words = final_affinity(process)?;
    set(buf, flag::RESET_AFFINITY, words.is_empty() && initial_affinity(process)?.is_empty());
    buf.plan.sched.final_affinity = buf.slice(&words);
    Ok(())
}

/// Init has no use for `process.execCPUAffinity`, but what every exec would fail of is refused at once.
pub fn check_exec_affinity(process: &Process) -> Result<(), PlanError> {
    initial_affinity(process).and_then(|_| final_affinity(process)).map(drop)
}

fn final_affinity(process: &Process) -> Result<Vec<u64>, PlanError> {
    let wanted = process.exec_cpu_affinity().as_ref();
    let list = wanted.and_then(|affinity| affinity.cpu_affinity_final().as_deref()).unwrap_or_default();
    if list.is_empty() { Ok(Vec::new()) } else { affinity::mask(list, "process.execCPUAffinity.final") }
}

/// `process.execCPUAffinity.initial` as a bit mask; empty where there is none.
///
/// # Errors
/// It is no list of processors.
pub fn initial_affinity(process: &Process) -> Result<Vec<u64>, PlanError> {
    let wanted = process.exec_cpu_affinity().as_ref();
    let list = wanted.and_then(|affinity| affinity.initial().as_deref()).unwrap_or_default();
    if list.is_empty() { Ok(Vec::new()) } else { affinity::mask(list, "process.execCPUAffinity.initial") }
}

fn scheduler(buf: &mut PlanBuf, process: &Process) {
    let Some(scheduler) = process.scheduler() else { return };
    let sched = &mut buf.plan.sched;
    sched.set |= sched_flag::SCHEDULER;
    // linux/sched.h
    sched.policy = match scheduler.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    sched.flags = scheduler.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                LinuxSchedulerFlag::SchedResetOnFork => 0x01,
                LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
                LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
                LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
                LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
                LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
                LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
            }
    });
    sched.nice = scheduler.nice().unwrap_or(0);
    sched.priority = u32::try_from(scheduler.priority().unwrap_or(0)).unwrap_or(u32::MAX);
    sched.runtime = scheduler.runtime().unwrap_or(0);
    sched.deadline = scheduler.deadline().unwrap_or(0);
    sched.period = scheduler.period().unwrap_or(0);
}

fn io_priority(buf: &mut PlanBuf, process: &Process) -> Result<(), PlanError> {
    let Some(wanted) = process.io_priority() else { return Ok(()) };
    // linux/ioprio.h
    let class = match wanted.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    let priority = i32::try_from(wanted.priority()).ok().filter(|priority| (0..=7).contains(priority));
    let priority = priority.ok_or_else(|| {
        PlanError::invalid("process.ioPriority.priority", wanted.priority(), "between 0 and 7")
    })?;
    buf.plan.sched.set |= sched_flag::IOPRIO;
    buf.plan.sched.ioprio = class << 13 | priority;
    Ok(())
}

/// Plans `linux.memoryPolicy` (set_mempolicy(2)).
pub fn memory_policy(buf: &mut PlanBuf, policy: Option<&LinuxMemoryPolicy>) -> Result<(), PlanError> {
    let Some(policy) = policy else { return Ok(()) };
    // linux/mempolicy.h
    let mode = match policy.mode() {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    };
    let flags = policy.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
                MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
                MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
            }
    });
    buf.plan.sched.set |= sched_flag::MEMPOLICY;
    buf.plan.sched.mempolicy = mode | flags;
    if let Some(nodes) = policy.nodes().as_ref().filter(|nodes| !nodes.is_empty()) {
        let words = affinity::mask(nodes, "linux.memoryPolicy.nodes")?;
        buf.plan.sched.nodes = buf.slice(&words);
    }
    Ok(())
}

/// Plans `linux.personality` (personality(2)).
pub fn personality(buf: &mut PlanBuf, personality: Option<&LinuxPersonality>) -> Result<(), PlanError> {
    let Some(personality) = personality else { return Ok(()) };
    if let Some(flag) = personality.flags().iter().flatten().next() {
        return Err(PlanError::invalid("linux.personality.flags[0]", flag, "supported: no flag is"));
    }
    buf.plan.sched.set |= sched_flag::PERSONALITY;
    buf.plan.sched.personality = match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    };
    Ok(())
}
