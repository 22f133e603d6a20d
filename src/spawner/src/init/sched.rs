//! Scheduling, priorities, memory policy, execution domain.

use krun_sys::Errno;
use krun_sys::sched::{SchedAttr, ioprio_set, personality, sched_setaffinity, sched_setattr, set_mempolicy};

use super::channel::{At, Birth, Fail};
use crate::plan::{flag, sched_flag};
use crate::step::Step;

/// All that the plan sets.
pub fn apply(birth: &Birth<'_>) -> Result<(), Fail> {
    let sched = birth.view.plan.sched;
    if birth.view.has(flag::RESET_AFFINITY) {
        // The caller's own affinity is not the container's: the cpuset is.
        match sched_setaffinity(0, &[u64::MAX; 128]) {
            Ok(()) | Err(Errno::EINVAL | Errno::EPERM) => {}
            Err(errno) => return Err(Fail::new(Step::Affinity, 0, errno)),
        }
    }
    if sched.set & sched_flag::SCHEDULER != 0 {
        let attr = SchedAttr {
            policy: sched.policy,
            flags: sched.flags,
            nice: sched.nice,
            priority: sched.priority,
            runtime: sched.runtime,
            deadline: sched.deadline,
            period: sched.period,
            ..SchedAttr::default()
        };
        sched_setattr(attr).at(Step::Scheduler)?;
    }
    if sched.set & sched_flag::IOPRIO != 0 {
        ioprio_set(sched.ioprio).at(Step::Ioprio)?;
    }
    if sched.set & sched_flag::PERSONALITY != 0 {
        personality(sched.personality).at(Step::Personality)?;
    }
    if sched.set & sched_flag::MEMPOLICY != 0 {
        set_mempolicy(sched.mempolicy, birth.view.arena.slice(sched.nodes)).at(Step::Mempolicy)?;
    }
    Ok(())
}

/// The affinity that the container's program starts with.
pub fn last_affinity(birth: &Birth<'_>) -> Result<(), Fail> {
    let mask = birth.view.arena.slice(birth.view.plan.sched.final_affinity);
    if mask.is_empty() { Ok(()) } else { sched_setaffinity(0, mask).at(Step::Affinity) }
}
