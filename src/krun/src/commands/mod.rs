//! One file per command: from its flags to the library, and from its result to standard output.
mod check;
mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod plan;
mod ps;
mod spec;
mod state;
mod update;
pub mod version;

use std::error::Error;

use krun::state::ContainerId;

use crate::cli::args::{ArgsError, Parsed};
use crate::cli::{self, Request, UsageError};

/// A failed command: why, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The error, with its sources.
    pub error: Box<dyn Error>,
    /// 1; 255 for everything that goes wrong in `exec`.
    pub code: u8,
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: Box::new(error), code: 1 }
    }
}

/// What a command gives back: the exit code of krun.
pub type Outcome = Result<u8, Failure>;

/// Runs the command behind the global flags.
pub fn dispatch(global: &Parsed, words: Vec<String>) -> Outcome {
    let (name, parsed) = match cli::read_command(global, words)? {
        Request::Print(text) => {
            print(&text)?;
            return Ok(0);
        }
        Request::Command { name, parsed } => (name, parsed),
    };
    let host = cli::host(global)?;
    match name {
        "run" => create::run(&host, &parsed),
        "create" => create::create(&host, &parsed),
        "start" => create::start(&host, &parsed),
        "exec" => exec::run(&host, &parsed),
        "state" => state::run(&host, &parsed),
        "list" => list::run(&host, &parsed, global.value("root").is_some()),
        "kill" => kill::run(&host, &parsed),
        "delete" => delete::run(&host, &parsed),
        "ps" => ps::run(&host, &parsed),
        "plan" => plan::run(&parsed),
        "pause" => pause::pause(&host, &parsed),
        "resume" => pause::resume(&host, &parsed),
        "update" => update::run(&host, &parsed),
        "events" => events::run(&host, &parsed),
        "features" => features::run(),
        "spec" => spec::run(&parsed),
        "check" => check::run(&parsed),
        "checkpoint" | "restore" => Err(checkpoint::refusal(name, &parsed).into()),
        name => Err(UsageError::Command { name: name.to_owned() }.into()),
    }
}

/// What a command was about, in front of why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Failed {
    what: String,
    source: Box<dyn Error>,
}

fn failed(what: impl Into<String>, error: impl Error + 'static) -> Failed {
    Failed { what: what.into(), source: Box::new(error) }
}

/// The container that a command names first.
fn id(parsed: &Parsed) -> Result<ContainerId, UsageError> {
    Ok(ContainerId::new(parsed.words.first().cloned().unwrap_or_default())?)
}

/// `--format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Table,
    Json,
}

impl Format {
    fn read(parsed: &Parsed) -> Result<Self, ArgsError> {
        match parsed.value("format") {
            None | Some("table") => Ok(Self::Table),
            Some("json") => Ok(Self::Json),
            Some(value) => Err(ArgsError::Value {
                flag: "format".into(),
                value: value.into(),
                expected: "invalid format option, table or json",
            }),
        }
    }
}

/// Writes a text to standard output.
pub fn print(text: &str) -> std::io::Result<()> {
    write_out(&krun::shown(text))
}

/// Writes a JSON text, which means the same to whoever parses it.
fn print_json(text: &str) -> std::io::Result<()> {
    write_out(&krun::shown_json(text))
}

fn write_out(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
