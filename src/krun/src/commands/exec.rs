//! `krun exec`
use std::path::{Path, PathBuf};

use krun::bundle::{BundleError, process_from_json};
use krun::launch::{self, ExecOptions, ExecProcess, Host, Io, ProcessOverrides};

use super::{Failure, Outcome, failed, id};
use crate::cli::absolute;
use crate::cli::args::Parsed;

/// A flag of exec.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// No command and no `--process`.
    #[error("exec args cannot be empty")]
    NoCommand,
    /// `--process`
    #[error("open {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What the file says.
    #[error(transparent)]
    Process(#[from] BundleError),
    /// `--user`: only numbers are ids, and all of the number counts (CVE-2026-30892).
    #[error("bad {kind}: {text:?}, a number expected")]
    Id {
        /// uid, gid or additional gid.
        kind: &'static str,
        /// As it was typed.
        text: String,
    },
    /// `--cgroup`
    #[error("invalid --cgroup argument: {text}: {problem}")]
    Cgroup {
        /// As it was typed.
        text: String,
        /// What is wrong.
        problem: &'static str,
    },
}

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    match try_run(host, parsed) {
        Err(failure) => Err(Failure { code: 255, ..failure }),
        done => done,
    }
}

fn try_run(host: &Host, parsed: &Parsed) -> Outcome {
    let options = ExecOptions {
        host: host.clone(),
        id: id(parsed)?,
        process: process(parsed)?,
        console_socket: parsed.path("console-socket").map(|path| absolute(&path)).transpose()?,
        pidfd_socket: parsed.path("pidfd-socket").map(|path| absolute(&path)).transpose()?,
        pid_file: parsed.path("pid-file").map(|path| absolute(&path)).transpose()?,
        detach: parsed.switch("detach")?,
        preserve_fds: parsed.number("preserve-fds", "a number of descriptors")?.unwrap_or(0),
        cgroup: cgroup(parsed)?,
        ignore_paused: parsed.switch("ignore-paused")?,
        io: Io::default(),
        timing: parsed.switch("timing")?,
    };
    Ok(launch::exec_wait(&options).map_err(|error| failed("exec failed", error))?)
}

fn process(parsed: &Parsed) -> Result<ExecProcess, Failure> {
    if let Some(path) = parsed.path("process") {
        let bytes = std::fs::read(&path).map_err(|source| ExecError::Read { path: path.clone(), source })?;
        let process = process_from_json(&bytes, &path).map_err(ExecError::from)?;
        return Ok(ExecProcess::Whole(Box::new(process)));
    }
    let args = parsed.words.get(1..).filter(|args| !args.is_empty()).ok_or(ExecError::NoCommand)?;
    let text = |flag| parsed.value(flag).filter(|text| !text.is_empty()).map(str::to_owned);
    let gids = parsed.values("additional-gids").map(|gid| number("additional gid", gid));
    Ok(ExecProcess::Overrides(Box::new(ProcessOverrides {
        args: args.to_vec(),
        env: parsed.values("env").map(str::to_owned).collect(),
        cwd: parsed.path("cwd"),
        tty: parsed.switch("tty")?,
        user: parsed.value("user").map(ids).transpose()?,
        additional_gids: gids.collect::<Result<_, _>>()?,
        process_label: text("process-label"),
        apparmor: text("apparmor"),
        no_new_privs: parsed.given("no-new-privs")?,
        capabilities: parsed.values("cap").map(str::to_owned).collect(),
    })))
}

fn ids(user: &str) -> Result<(u32, Option<u32>), ExecError> {
    match user.split_once(':') {
        Some((uid, gid)) => Ok((number("uid", uid)?, Some(number("gid", gid)?))),
        None => Ok((number("uid", user)?, None)),
    }
}

fn number(kind: &'static str, text: &str) -> Result<u32, ExecError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let id = text.parse().ok().filter(|_| digits);
    id.ok_or_else(|| ExecError::Id { kind, text: text.to_owned() })
}

/// On cgroup v2 there is one hierarchy: a path, or `:path`; controllers in front of it name v1's.
fn cgroup(parsed: &Parsed) -> Result<Option<PathBuf>, ExecError> {
    let mut given = parsed.values("cgroup");
    let (Some(text), more) = (given.next(), given.next()) else { return Ok(None) };
    let wrong = |problem| Err(ExecError::Cgroup { text: text.to_owned(), problem });
    if more.is_some() {
        return wrong("cgroup v2 has one hierarchy, only one path can be given");
    }
    match text.split_once(':') {
        Some(("", _)) => wrong("empty <controller> prefix"),
        Some(_) => wrong("cgroup v2 has no hierarchies of its own for controllers"),
        None => Ok(Some(Path::new(text).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_whole_numbers() {
        assert_eq!(ids("7").ok(), Some((7, None)));
        assert_eq!(ids("7:8").ok(), Some((7, Some(8))));
        for text in ["", "root", "1x", "-1", "+1", " 1", "7:", ":7", "4294967296", "1:2:3"] {
            assert!(ids(text).is_err(), "{text}");
        }
    }
}
