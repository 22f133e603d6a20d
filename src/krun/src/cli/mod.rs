//! From argv to a command and its flags.
pub mod args;
pub mod help;
mod table;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use krun::launch::{CgroupDriver, Host, Rootless};
use krun::log::{Format, Settings};
use krun::state::IdError;

use args::{ArgsError, Parsed};
use table::Command;

/// Why the command line is refused.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A flag.
    #[error("{problem} (see krun {command} --help)")]
    Flag {
        /// The command, or nothing for global flags.
        command: &'static str,
        /// What is wrong: part of this error's words, so it is no source beside it.
        problem: ArgsError,
    },
    /// The value of a flag.
    #[error(transparent)]
    Value(#[from] ArgsError),
    /// No such command.
    #[error("unknown command: No help topic for '{name}' (see krun --help)")]
    Command {
        /// As it was typed.
        name: String,
    },
    /// A command that exists but that krun cannot carry out.
    #[error("{problem}{command} is not supported: this krun does not work with CRIU yet (runc and crun do)")]
    Criu {
        /// Its name.
        command: &'static str,
        /// What else is wrong with the call, or nothing.
        problem: String,
    },
    /// Too few or too many words.
    #[error("{command:?} requires {expected}, {given} given (usage: krun {command}{space}{usage})",
        space = if usage.is_empty() { "" } else { " " })]
    Words {
        /// The command.
        command: &'static str,
        /// What would be right.
        expected: String,
        /// How many there were.
        given: usize,
        /// The command's words.
        usage: &'static str,
    },
    /// Not a container id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// `--root /`.
    #[error("--root {}: the root directory can't hold the state of containers", root.display())]
    Root {
        /// As it was typed.
        root: PathBuf,
    },
    /// The current directory is needed and can't be found.
    #[error("getcwd: {source}")]
    Directory {
        /// Why.
        source: std::io::Error,
    },
}

/// What to do.
#[derive(Debug)]
pub enum Request {
    /// Print this text and stop.
    Print(String),
    /// Run a command.
    Command {
        /// Its name, one of the table's.
        name: &'static str,
        /// Its flags and words.
        parsed: Parsed,
    },
}

/// Splits off the global flags and reads the log settings among them.
pub fn read_global(argv: impl Iterator<Item = OsString>) -> Result<(Parsed, Vec<String>), ArgsError> {
    let words: Result<Vec<String>, ArgsError> = argv
        .skip(1)
        .enumerate()
        .map(|(index, arg)| arg.into_string().map_err(|_| ArgsError::NotText { index: index + 1 }))
        .collect();
    let mut words = words?.into_iter();
    let mut parsed = Parsed::read(table::GLOBAL, &mut words, 1)?;
    let rest = std::mem::take(&mut parsed.words);
    Ok((parsed, rest))
}

/// Where and how to log.
pub fn log_settings(global: &Parsed) -> Result<Settings, ArgsError> {
    let format = match global.value("log-format") {
        None | Some("" | "text") => Format::Text,
        Some("json") => Format::Json,
        Some(value) => {
            return Err(ArgsError::Value {
                flag: "log-format".into(),
                value: value.into(),
                expected: "text or json",
            });
        }
    };
    Ok(Settings { file: global.path("log"), format, debug: global.switch("debug")? })
}

/// Reads the command behind the global flags.
pub fn read_command(global: &Parsed, words: Vec<String>) -> Result<Request, UsageError> {
    if global.switch("version")? {
        return Ok(Request::Print(crate::commands::version::text()));
    }
    let mut words = words.into_iter();
    let name = words.next();
    let Some(name) = name.filter(|_| !global.switch("help").unwrap_or(false)) else {
        return Ok(Request::Print(help::overview(&program())));
    };
    if name == "help" {
        let command = words.next().and_then(|name| table::command(&name));
        return Ok(Request::Print(match command {
            Some(command) => help::command(&program(), command),
            None => help::overview(&program()),
        }));
    }
    let Some(command) = table::command(&name) else { return Err(UsageError::Command { name }) };
    let parsed = Parsed::read(command.flags, &mut words, command.stop_after)
        .map_err(|problem| UsageError::Flag { command: command.name, problem })?;
    if parsed.switch("help")? {
        return Ok(Request::Print(help::command(&program(), command)));
    }
    count_words(command, &parsed)?;
    Ok(Request::Command { name: command.name, parsed })
}

/// What krun was called with, its own name first.
pub fn arguments() -> impl Iterator<Item = OsString> {
    krun_sys::entry::arguments().map(|argument| OsStr::from_bytes(argument.to_bytes()).to_owned())
}

/// The name krun was called by: engines and tests install it under others.
pub fn program() -> String {
    let path = arguments().next().map(PathBuf::from).unwrap_or_default();
    path.file_name().map_or_else(|| "krun".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn count_words(command: &Command, parsed: &Parsed) -> Result<(), UsageError> {
    let given = parsed.words.len();
    let (least, most) = command.words;
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let expected = match given {
        _ if given < least && least == most => format!("exactly {least} {}", plural(least)),
        _ if given < least => format!("a minimum of {least} {}", plural(least)),
        _ if given > most && least == most => format!("exactly {most} {}", plural(most)),
        _ if given > most => format!("a maximum of {most} {}", plural(most)),
        _ => return Ok(()),
    };
    Err(UsageError::Words { command: command.name, expected, given, usage: command.usage })
}

/// The global flags that are not about the log.
pub fn host(global: &Parsed) -> Result<Host, UsageError> {
    let wrong = |flag: &str, value: &str, expected| ArgsError::Value {
        flag: flag.into(),
        value: value.into(),
        expected,
    };
    let cgroup_driver = match global.value("cgroup-manager") {
        None if global.switch("systemd-cgroup")? => CgroupDriver::Systemd,
        None | Some("cgroupfs") => CgroupDriver::Cgroupfs,
        Some("systemd") => CgroupDriver::Systemd,
        Some("disabled") => CgroupDriver::Disabled,
        Some(value) => return Err(wrong("cgroup-manager", value, "cgroupfs, systemd or disabled").into()),
    };
    let rootless = match global.value("rootless") {
        None | Some("auto" | "") => Rootless::Auto,
        Some("true" | "1" | "t") => Rootless::Yes,
        Some("false" | "0" | "f") => Rootless::No,
        Some(value) => return Err(wrong("rootless", value, "true, false or auto").into()),
    };
    Ok(Host { root: root(global)?, cgroup_driver, rootless })
}

fn root(global: &Parsed) -> Result<PathBuf, UsageError> {
    let Some(root) = global.path("root") else { return Ok(krun::state::default_root()) };
    let root = absolute(&root)?;
    let slash = root.components().all(|part| matches!(part, std::path::Component::RootDir));
    if slash { Err(UsageError::Root { root }) } else { Ok(root) }
}

/// `path` from the root directory, without `.` and `..` components (as text, like every caller of runc expects).
pub fn absolute(path: &Path) -> Result<PathBuf, UsageError> {
    use std::path::Component;
    let path = if path.is_absolute() {
        path.to_owned()
    } else {
        std::env::current_dir().map_err(|source| UsageError::Directory { source })?.join(path)
    };
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    Ok(clean)
}
