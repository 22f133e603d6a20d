//! `krun ps [--format table|json] ID [PS-ARG...]`
use std::process::Command;

use krun::container::Container;
use krun::launch::Host;

use super::{Format, Outcome, id, print, print_json};
use crate::cli::args::Parsed;

/// ps(1) is no help.
#[derive(Debug, thiserror::Error)]
pub enum PsError {
    /// It can't be started.
    #[error("exec ps (try --format json, which needs no ps program)")]
    Start {
        /// Why.
        source: std::io::Error,
    },
    /// It failed.
    #[error("ps: {status}: {output}")]
    Failed {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        output: String,
    },
    /// Its output has no column with process ids.
    #[error("couldn't find PID field in ps output")]
    NoPid,
}

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    let format = Format::read(parsed)?;
    let pids = Container::open(&host.root, &id(parsed)?)?.pids()?;
    match format {
        Format::Json => print_json(&format!("{}\n", serde_json::to_string(&pids)?))?,
        Format::Table => print(&select(&ps(parsed.words.get(1..).unwrap_or_default())?, &pids)?)?,
    }
    Ok(0)
}

fn ps(args: &[String]) -> Result<String, PsError> {
    let mut command = Command::new("ps");
    if args.is_empty() {
        command.arg("-ef");
    }
    let output = command.args(args).output().map_err(|source| PsError::Start { source })?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim_end().to_owned();
        return Err(PsError::Failed { status: output.status, output: said });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The title line, and the lines of these processes.
fn select(output: &str, pids: &[i32]) -> Result<String, PsError> {
    let title = output.lines().next().unwrap_or_default();
    let column = title.split_whitespace().position(|name| name == "PID").ok_or(PsError::NoPid)?;
    let belongs = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let lines = std::iter::once(title).chain(output.lines().skip(1).filter(belongs));
    Ok(lines.fold(String::new(), |text, line| text + line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_shown() {
        let output = "UID   PID  CMD\nroot    1  init\nroot   17  sleep 1\nroot  171  x\n";
        assert_eq!(select(output, &[17]).ok().as_deref(), Some("UID   PID  CMD\nroot   17  sleep 1\n"));
        assert!(matches!(select("nothing\n", &[1]), Err(PsError::NoPid)));
    }
}
