//! `process`, of a container or of exec.
use std::path::Path;

use oci_spec::runtime::{IOPriorityClass, LinuxSchedulerPolicy, Process};

use super::BundleError;

/// Judges a process description.
///
/// # Errors
/// [`BundleError::Field`].
pub fn check(process: &Process) -> Result<(), BundleError> {
    let cwd = process.cwd();
    if cwd.as_os_str().is_empty() {
        return Err(BundleError::field("process.cwd", "Cwd property must not be empty"));
    }
    if !cwd.is_absolute() {
        return Err(BundleError::field(
            "process.cwd",
            format!("Cwd must be an absolute path, found {:?}", cwd.display()),
        ));
    }
    match process.args() {
        Some(args) if args.first().is_some_and(|name| !name.is_empty()) => {}
        Some(args) if !args.is_empty() => {
            return Err(BundleError::field(
                "process.args[0]",
                "executable file not found: the name is empty",
            ));
        }
        _ => return Err(BundleError::field("process.args", "args must not be empty")),
    }
    user(process)?;
    console_size(process)?;
    env(process)?;
    rlimits(process)?;
    scheduler(process)?;
    io_priority(process)?;
    selinux(process)?;
    apparmor(process)?;
    oom_score(process)
}

/// 4294967295 means "leave it as it is" to setresuid(2): the caller's id.
fn user(process: &Process) -> Result<(), BundleError> {
    let user = process.user();
    let groups = user.additional_gids().iter().flatten().enumerate();
    let groups = groups.map(|(index, gid)| (format!("additionalGids[{index}]"), *gid));
    let ids = [("uid".to_owned(), user.uid()), ("gid".to_owned(), user.gid())];
    if let Some((member, _)) = ids.into_iter().chain(groups).find(|(_, id)| *id == u32::MAX) {
        return Err(BundleError::field(format!("process.user.{member}"), "4294967295 is no id"));
    }
    if let Some(umask) = user.umask().filter(|umask| *umask > 0o777) {
        return Err(BundleError::field(
            "process.user.umask",
            format!("{umask} has more bits than 0777 (511)"),
        ));
    }
    Ok(())
}

/// ioctl_tty(2) has 16 bits for a side; without a terminal the size is not looked at.
fn console_size(process: &Process) -> Result<(), BundleError> {
    let Some(size) = process.console_size().filter(|_| process.terminal() == Some(true)) else {
        return Ok(());
    };
    for (side, length) in [("height", size.height()), ("width", size.width())] {
        if length > u64::from(u16::MAX) {
            return Err(BundleError::field(
                format!("process.consoleSize.{side}"),
                format!("{length} is more than 65535"),
            ));
        }
    }
    Ok(())
}

fn env(process: &Process) -> Result<(), BundleError> {
    for (index, entry) in process.env().iter().flatten().enumerate() {
        if entry.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            return Err(BundleError::field(
                format!("process.env[{index}]"),
                format!("invalid environment variable {entry:?}: NAME=VALUE expected"),
            ));
        }
    }
    Ok(())
}

fn rlimits(process: &Process) -> Result<(), BundleError> {
    let limits = process.rlimits().as_deref().unwrap_or_default();
    for (index, limit) in limits.iter().enumerate() {
        let field = format!("process.rlimits[{index}]");
        if limits.iter().take(index).any(|other| other.typ() == limit.typ()) {
            return Err(BundleError::field(field, format!("duplicate entry for {}", limit.typ())));
        }
        if limit.soft() > limit.hard() {
            let (soft, hard) = (limit.soft(), limit.hard());
            return Err(BundleError::field(
                field,
                format!("soft limit {soft} is higher than hard limit {hard} of {}", limit.typ()),
            ));
        }
    }
    Ok(())
}

/// sched_setattr(2)
fn scheduler(process: &Process) -> Result<(), BundleError> {
    use LinuxSchedulerPolicy as Policy;
    let Some(scheduler) = process.scheduler() else { return Ok(()) };
    let policy = *scheduler.policy();
    let nice = scheduler.nice().unwrap_or(0);
    if matches!(policy, Policy::SchedOther | Policy::SchedBatch) && !(-20..=19).contains(&nice) {
        return Err(BundleError::field(
            "process.scheduler.nice",
            format!("invalid scheduler.nice: {nice} when scheduler.policy is {policy}"),
        ));
    }
    let realtime = matches!(policy, Policy::SchedFifo | Policy::SchedRr);
    if scheduler.priority().unwrap_or(0) != 0 && !realtime {
        return Err(BundleError::field(
            "process.scheduler.priority",
            "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
        ));
    }
    let times = [scheduler.runtime(), scheduler.deadline(), scheduler.period()];
    if policy != Policy::SchedDeadline && times.iter().any(|time| time.is_some_and(|time| time != 0)) {
        return Err(BundleError::field(
            "process.scheduler",
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
        ));
    }
    Ok(())
}

fn io_priority(process: &Process) -> Result<(), BundleError> {
    let Some(priority) = process.io_priority() else { return Ok(()) };
    let number = priority.priority();
    if !(0..=7).contains(&number) {
        return Err(BundleError::field(
            "process.ioPriority.priority",
            format!("invalid ioPriority.Priority: {number}"),
        ));
    }
    match priority.class() {
        IOPriorityClass::IoprioClassRt
        | IOPriorityClass::IoprioClassBe
        | IOPriorityClass::IoprioClassIdle => Ok(()),
    }
}

/// A label that would silently not be applied is refused.
fn selinux(process: &Process) -> Result<(), BundleError> {
    let label = process.selinux_label().as_deref().unwrap_or_default();
    if label.is_empty() || Path::new("/sys/fs/selinux/enforce").exists() {
        return Ok(());
    }
    Err(BundleError::field(
        "process.selinuxLabel",
        "selinux label is specified in config, but selinux is disabled or not supported",
    ))
}

/// The same for a profile; the kernel says so itself, even where securityfs is not mounted.
fn apparmor(process: &Process) -> Result<(), BundleError> {
    let profile = process.apparmor_profile().as_deref().unwrap_or_default();
    let enabled =
        || std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"));
    if profile.is_empty() || enabled() {
        return Ok(());
    }
    Err(BundleError::field(
        "process.apparmorProfile",
        format!("unable to apply apparmor profile {profile:?}: AppArmor is disabled or not supported"),
    ))
}

fn oom_score(process: &Process) -> Result<(), BundleError> {
    match process.oom_score_adj() {
        Some(score) if !(-1000..=1000).contains(&score) => Err(BundleError::field(
            "process.oomScoreAdj",
            format!("{score} is out of range, -1000 to 1000 expected"),
        )),
        _ => Ok(()),
    }
}
