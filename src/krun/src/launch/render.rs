//! A report of the child, in words: the parent holds the same plan, so the
//! numbers of the report name their objects.

use krun_spawner::parent::Failure;
use krun_spawner::plan::{Hook, View};
use krun_spawner::report::Report;
use krun_spawner::step::{Object, Step};
use krun_sys::process::Exit;
use nix::errno::Errno;

use super::{LaunchError, ending};

/// A failure of the spawner, in words.
pub fn failure(view: View<'_>, failure: Failure<LaunchError>, hook_output: &str) -> LaunchError {
    match failure {
        Failure::Host(error) => error,
        Failure::Parent(call, errno) => LaunchError::call("start the container's process", call, errno.0),
        Failure::Child(report) => child(view, &report, hook_output),
        Failure::Died(exit) => LaunchError::Died(death(exit)),
    }
}

fn death(exit: Option<Exit>) -> String {
    match exit {
        Some(Exit::Signal(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown signal", |s| s.as_str());
            format!("killed by {name}{}", if signal == 9 { " (memory limit too low?)" } else { "" })
        }
        Some(Exit::Code(code)) => format!("exit status {code}"),
        None => "no exit status".to_owned(),
    }
}

/// A step that failed, in words.
pub fn child(view: View<'_>, report: &Report, hook_output: &str) -> LaunchError {
    let Some(step) = Step::from_number(report.step) else {
        return LaunchError::Child(format!("step {} failed: errno {}", report.step, report.errno));
    };
    if let Some(error) = hook(view, step, report, hook_output) {
        return error;
    }
    let errno = crate::errno_text(report.errno);
    let text = special(view, step, report, &errno).unwrap_or_else(|| {
        let object = object(view, step, report);
        let hint = hint(step, report.errno).map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{object}{}: {}: {errno}{hint}", step.what(), step.call())
    });
    match step {
        Step::Exec | Step::Lookup | Step::MagicLink => LaunchError::Exec { text, fault: None },
        _ => LaunchError::Child(text),
    }
}

fn text(view: View<'_>, s: krun_sys::plain::Str) -> String {
    view.arena.cstr(s).to_string_lossy().into_owned()
}

/// Steps whose texts callers match.
fn special(view: View<'_>, step: Step, report: &Report, errno: &str) -> Option<String> {
    let program = || {
        let candidates = view.arena.slice(view.plan.process.candidates);
        (argument(view), candidates.len() > 1 || !argument(view).contains('/'))
    };
    Some(match step {
        Step::Lookup => match program() {
            (name, true) if report.errno == Errno::ENOENT as i32 => {
                format!("exec: \"{name}\": executable file not found in $PATH")
            }
            (name, _) if report.errno == Errno::ENOENT as i32 => {
                format!("exec: \"{name}\": stat {name}: no such file or directory")
            }
            (name, _) => format!("exec: \"{name}\": {errno}"),
        },
        Step::MagicLink => format!(
            "exec: \"{}\": a link of procfs (/proc/PID/exe, fd, root, cwd) is no way to a program, and neither are \
             links in a circle: {errno}",
            program().0
        ),
        Step::Exec => format!("exec {}: {errno}", program().0),
        Step::Chdir | Step::CwdCreate => {
            format!(
                "chdir to cwd (\"{}\") set in config.json failed: {errno}",
                text(view, view.plan.process.cwd)
            )
        }
        Step::CwdOutside => format!(
            "current working directory is outside of container mount namespace root -- possible container breakout \
             (process.cwd {:?})",
            text(view, view.plan.process.cwd)
        ),
        Step::CapAmbient => {
            format!(
                "process.capabilities.ambient: can't raise ambient capability {}: {errno}",
                capability(report.index)
            )
        }
        Step::MountNotOrdinary => {
            let mount = view.arena.slice(view.plan.mounts).get(report.index as usize)?;
            format!(
                "{}filesystem \"{}\" must be mounted on ordinary directory",
                object(view, step, report),
                text(view, mount.fstype)
            )
        }
        Step::MountInProc => {
            let mount = view.arena.slice(view.plan.mounts).get(report.index as usize)?;
            format!(
                "{}\"{}\" cannot be mounted because it is inside /proc",
                object(view, step, report),
                text(view, mount.target)
            )
        }
        _ => return None,
    })
}

/// The first argument, back from its address in the child.
fn argument(view: View<'_>) -> String {
    let base = krun_spawner::plan::ADDRESS as u64;
    let address = view.arena.slice(view.plan.process.argv).first().copied().unwrap_or(base);
    let bytes =
        usize::try_from(address.saturating_sub(base)).ok().and_then(|at| view.arena.bytes().get(at..));
    let text = bytes.and_then(|bytes| std::ffi::CStr::from_bytes_until_nul(bytes).ok());
    text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

fn capability(number: u32) -> String {
    let name = caps::all().into_iter().find(|cap| u32::from(cap.index()) == number);
    name.map_or_else(|| format!("capability {number}"), |cap| cap.to_string())
}

/// "error mounting mounts[3] /proc (proc): ", or nothing.
fn object(view: View<'_>, step: Step, report: &Report) -> String {
    let (arena, plan, index) = (view.arena, view.plan, report.index as usize);
    let path = |list, name: &str| {
        arena
            .slice::<krun_sys::plain::Str>(list)
            .get(index)
            .map(|s| format!("linux.{name}[{index}] {}: ", text(view, *s)))
    };
    let named = match step.object() {
        Object::Mount => arena.slice(plan.mounts).get(index).map(|mount| {
            let option = (step == Step::MountOption)
                .then(|| arena.slice(mount.options).get(usize::try_from(report.detail).ok()?))
                .flatten()
                .map(|option| format!(", option {}={}", text(view, option.key), text(view, option.value)))
                .unwrap_or_default();
            let source =
                if mount.fstype.is_some() { text(view, mount.fstype) } else { text(view, mount.source) };
            format!(
                "error mounting mounts[{}] {} ({source}{option}): ",
                mount.index,
                text(view, mount.target)
            )
        }),
        Object::Device => arena.slice(plan.devices).get(index).map(|device| match device.index {
            u32::MAX => format!("default device {}: ", text(view, device.path)),
            n => format!("linux.devices[{n}] {}: ", text(view, device.path)),
        }),
        Object::Link => {
            arena.slice(plan.links).get(index).map(|link| format!("/dev/{}: ", text(view, link.name)))
        }
        Object::Sysctl => arena.slice(plan.sysctls).get(index).map(|sysctl| {
            format!("linux.sysctl /proc/{} = {:?}: ", text(view, sysctl.path), text(view, sysctl.value))
        }),
        Object::Masked => path(plan.masked, "maskedPaths"),
        Object::Readonly => path(plan.readonly, "readonlyPaths"),
        Object::Join => {
            arena.slice(plan.joins).get(index).map(|join| format!("linux.namespaces[{}]: ", join.index))
        }
        Object::HelperJoin => arena
            .slice(plan.helper_joins)
            .get(index)
            .map(|join| format!("linux.namespaces[{}]: ", join.index)),
        Object::Capability => Some(format!("process.capabilities {}: ", capability(report.index))),
        Object::Stdio => Some(format!("standard stream {index}: ")),
        Object::Rlimit => arena
            .slice(plan.rlimits)
            .get(index)
            .map(|limit| format!("process.rlimits[{index}] (soft {}, hard {}): ", limit.soft, limit.hard)),
        Object::CreateHook | Object::StartHook | Object::None => field(step).map(|field| {
            let label = match step {
                Step::Apparmor => text(view, plan.apparmor).trim_start_matches("exec ").to_owned(),
                Step::Selinux => text(view, plan.selinux),
                _ => return format!("{field}: "),
            };
            format!("{field} {label:?}: ")
        }),
    };
    named.unwrap_or_default()
}

/// The member of config.json that a step without an index carries out.
fn field(step: Step) -> Option<&'static str> {
    Some(match step {
        Step::RootBind | Step::RootOpen => "root.path",
        Step::RootReadonly => "root.readonly",
        Step::RootPropagation | Step::RootFinalPropagation => "linux.rootfsPropagation",
        Step::TimeNamespace => "linux.timeOffsets",
        Step::ConsoleSize => "process.consoleSize",
        Step::Hostname => "hostname",
        Step::Domainname => "domainname",
        Step::Apparmor => "process.apparmorProfile",
        Step::Selinux => "process.selinuxLabel",
        Step::NoNewPrivs => "process.noNewPrivileges",
        Step::Scheduler => "process.scheduler",
        Step::Ioprio => "process.ioPriority",
        Step::Personality => "linux.personality",
        Step::Mempolicy => "linux.memoryPolicy",
        Step::Affinity => "process.execCPUAffinity",
        Step::SeccompLoad => "linux.seccomp",
        Step::Groups => "process.user.additionalGids",
        Step::Gid => "process.user.gid",
        Step::Uid => "process.user.uid",
        Step::Capset => "process.capabilities",
        _ => return None,
    })
}

fn hook(view: View<'_>, step: Step, report: &Report, output: &str) -> Option<LaunchError> {
    let (kind, hooks) = match step.object() {
        Object::CreateHook => ("createContainer", view.plan.hooks.create_container),
        Object::StartHook => ("startContainer", view.plan.hooks.start_container),
        _ => return None,
    };
    let index = report.index as usize;
    let path = |hook: &Hook| text(view, hook.path);
    let name = view.arena.slice(hooks).get(index).map(path).unwrap_or_default();
    let reason = match step {
        Step::HookTimeout | Step::StartHookTimeout => format!("{name}: timed out"),
        Step::HookFailed | Step::StartHookFailed if output.starts_with("exec ") => output.trim().to_owned(),
        Step::HookFailed | Step::StartHookFailed => {
            format!("{name}: {}, output: {}", ending::of_report(report.detail), output.trim())
        }
        _ => format!("{name}: {}: {}", step.call(), crate::errno_text(report.errno)),
    };
    Some(LaunchError::Hook { kind, index, reason })
}

/// What helps, where it is known.
fn hint(step: Step, errno: i32) -> Option<&'static str> {
    match (step, Errno::from_raw(errno)) {
        (Step::MountFsopen, Errno::ENODEV) => Some("this kernel has no such file system"),
        (Step::MountCreate | Step::MountFsmount, Errno::EPERM) => Some(
            "in a user namespace only some file systems may be mounted, and procfs only if none of it is covered",
        ),
        (Step::MountSource, Errno::ENOENT) => Some("the source does not exist on the host"),
        (Step::PivotRoot, Errno::EINVAL) => Some("on an initramfs use --no-pivot"),
        (Step::Groups, Errno::EPERM) => Some("setgroups is denied in this user namespace"),
        (Step::Uid | Step::Gid | Step::Groups, Errno::EINVAL) => {
            Some("the id is not mapped in the user namespace")
        }
        (Step::Capset, Errno::EPERM) => Some("krun itself does not have all of these capabilities"),
        (Step::InitExec, Errno::EACCES) => Some("memfds may not be executed: vm.memfd_noexec"),
        (Step::HelperClone, Errno::ENOSPC) => {
            Some("too many namespaces: see /proc/sys/user/max_*_namespaces")
        }
        (Step::SysctlOpen, Errno::ENOENT) => Some("this kernel has no such parameter in this namespace"),
        (Step::Reply | Step::Ready | Step::Hooks, Errno::ECANCELED) => Some("krun is gone"),
        _ => None,
    }
}
