//! Hooks that run on the host: prestart, createRuntime, poststart, poststop
//! (runtime-spec, "POSIX-platform Hooks").

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};

use nix::libc;
use oci_spec::runtime::Hook;

use super::LaunchError;
use crate::state::State;

/// Runs hooks one after the other; the first that fails ends it.
///
/// # Errors
/// [`LaunchError::Hook`] with the hook's kind, place and output.
pub fn run(kind: &'static str, hooks: &[Hook], state: &State, status: &str) -> Result<(), LaunchError> {
    if hooks.is_empty() {
        return Ok(());
    }
    let json = state_json(state, status);
    for (index, hook) in hooks.iter().enumerate() {
        one(hook, &json).map_err(|reason| LaunchError::Hook { kind, index, reason })?;
    }
    Ok(())
}

/// The state as hooks read it on stdin (runtime-spec, "State").
#[must_use]
pub fn state_json(state: &State, status: &str) -> Vec<u8> {
    let mut json = serde_json::json!({
        "ociVersion": state.head.oci_version,
        "id": state.head.id,
        "status": status,
        "bundle": state.head.bundle,
    });
    if let Some(map) = json.as_object_mut() {
        if status != "stopped" {
            map.insert("pid".to_owned(), state.head.pid.into());
        }
        if !state.head.annotations.is_empty() {
            map.insert("annotations".to_owned(), serde_json::json!(state.head.annotations));
        }
    }
    json.to_string().into_bytes()
}

/// How much of a hook's output an error shows, in bytes. A hook in the container is the image's program.
const SHOWN: u64 = 16 * 1024;

fn beginning(output: &mut File) -> String {
    let mut bytes = Vec::new();
    let _ = output.rewind().and_then(|()| output.take(SHOWN).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn memfd(name: &std::ffi::CStr) -> Result<File, String> {
    nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
        .map(File::from)
        .map_err(|errno| format!("memfd_create: {errno}"))
}

fn one(hook: &Hook, json: &[u8]) -> Result<(), String> {
    let path = hook.path();
    // Files, not pipes: a hook that reads nothing or writes much blocks nobody.
    let mut stdin = memfd(c"krun-state")?;
    let io = |error: std::io::Error| format!("{}: {error}", path.display());
    stdin.write_all(json).map_err(io)?;
    stdin.rewind().map_err(io)?;
    let mut output = memfd(c"krun-hook-output")?;
    let args = hook.args().as_deref().unwrap_or_default();
    let mut command = Command::new(path);
    if let Some((name, rest)) = args.split_first() {
        command.arg0(name).args(rest);
    }
    let pairs = hook.env().iter().flatten().filter_map(|entry| entry.split_once('='));
    command.env_clear().envs(pairs);
    let out = output.try_clone().map_err(io)?;
    let err = output.try_clone().map_err(io)?;
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(out)).stderr(Stdio::from(err));
    let mut child = command
        .spawn()
        .map_err(|error| format!("exec {}: {}", path.display(), crate::chain(&errno_of(&error))))?;
    let status = match wait(&mut child, hook.timeout().unwrap_or(0))? {
        Some(status) => status,
        None => return Err(format!("{}: timed out after {} s", path.display(), hook.timeout().unwrap_or(0))),
    };
    if status.success() {
        return Ok(());
    }
    let text = beginning(&mut output);
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => super::ending::by_signal(signal),
        _ => "no exit status".to_owned(),
    };
    Err(format!("{}: {how}, output: {}", path.display(), text.trim()))
}

fn errno_of(error: &std::io::Error) -> nix::errno::Errno {
    nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Waits at most `seconds` (0: for ever); `None` when the hook had to be killed.
fn wait(child: &mut std::process::Child, seconds: i64) -> Result<Option<std::process::ExitStatus>, String> {
    let text = |error: std::io::Error| format!("waitid: {error}");
    if seconds <= 0 {
        return child.wait().map(Some).map_err(text);
    }
    let pid = i32::try_from(child.id()).unwrap_or(-1);
    let pidfd = krun_sys::process::pidfd_open(pid).map_err(|e| format!("pidfd_open: errno {}", e.0))?;
    let ended = krun_sys::fs::poll(pidfd.as_fd(), libc::POLLIN, seconds.saturating_mul(1000)).unwrap_or(0);
    drop(pidfd);
    if ended == 0 {
        let _ = child.kill();
        let _ = child.wait();
        return Ok(None);
    }
    child.wait().map(Some).map_err(text)
}

/// Where hooks that run in the container write: read back if one fails.
#[derive(Debug)]
pub struct Output(OwnedFd);

impl Output {
    /// A place for output, if there is a hook that could write any.
    ///
    /// # Errors
    /// memfd_create(2).
    pub fn new(hooks: &[Hook]) -> Result<Option<Output>, LaunchError> {
        if hooks.is_empty() {
            return Ok(None);
        }
        let file = memfd(c"krun-hook-output").map_err(|reason| LaunchError::Hook {
            kind: "createContainer",
            index: 0,
            reason,
        })?;
        Ok(Some(Output(file.into())))
    }

    /// Its descriptor's number, for the plan.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Its descriptor.
    #[must_use]
    pub fn fd(&self) -> krun_sys::Fd<'_> {
        krun_sys::Fd::of(&self.0)
    }

    /// All that was written.
    #[must_use]
    pub fn text(&self) -> String {
        let Ok(fd) = self.0.try_clone() else { return String::new() };
        beginning(&mut File::from(fd))
    }
}
