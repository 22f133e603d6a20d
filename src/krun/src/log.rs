//! The log that `--log`, `--log-format` and `--debug` ask for. Engines read it: one line with level=error when krun
//! fails, and nothing else unless `--debug` is given. Until [`install`] is called, everything is dropped.
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::clock::{self, Precision};
use crate::{is_obeyed, shown};

static LOG: OnceLock<Log> = OnceLock::new();

/// `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

/// The global flags that concern the log.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Append to this file; none means standard error.
    pub file: Option<PathBuf>,
    /// How a line looks.
    pub format: Format,
    /// Also write warnings and debug messages.
    pub debug: bool,
}

/// The log file can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("open log file {}: {source}", path.display())]
pub struct LogError {
    path: PathBuf,
    source: std::io::Error,
}

#[derive(Debug)]
struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

/// Starts logging; only the first call counts.
///
/// # Errors
/// [`LogError`] when the file can't be opened.
pub fn install(settings: Settings) -> Result<(), LogError> {
    let file = match settings.file {
        Some(path) => {
            let mut options = File::options();
            let opened = options.create(true).append(true).mode(0o644).open(&path);
            Some(opened.map_err(|source| LogError { path, source })?)
        }
        None => None,
    };
    let _ = LOG.set(Log { file, format: settings.format, debug: settings.debug });
    Ok(())
}

/// Whether debug messages are wanted: ask before building a costly one.
#[must_use]
pub fn is_debug() -> bool {
    LOG.get().is_some_and(|log| log.debug)
}

/// Why krun fails. Written to the log, and bare to standard error if the log is a file.
pub fn error(message: impl Display) {
    let Some(log) = LOG.get() else { return };
    let message = message.to_string();
    log.line("error", &message);
    if log.file.is_some() {
        let _ = writeln!(std::io::stderr(), "{}", shown(&message));
    }
}

/// Something odd that doesn't stop krun. In a log file only with `--debug`: some engines read the whole file as one
/// message. On standard error always, as with runc.
pub fn warning(message: impl Display) {
    if let Some(log) = LOG.get()
        && (log.debug || log.file.is_none())
    {
        log.line("warning", &message.to_string());
    }
}

/// What krun is about to do; only seen with `--debug`.
pub fn debug(message: impl Display) {
    if is_debug()
        && let Some(log) = LOG.get()
    {
        log.line("debug", &message.to_string());
    }
}

impl Log {
    /// One write(2) per line, so that lines of concurrent runtimes don't mix. A full disk must not hide the error.
    fn line(&self, level: &str, message: &str) {
        let on_terminal =
            self.file.is_none() && self.format == Format::Text && std::io::stderr().is_terminal();
        let line = if on_terminal {
            format!(
                "krun: {}{}\n",
                if level == "error" { String::new() } else { format!("{level}: ") },
                shown(message)
            )
        } else {
            render(self.format, level, message, &clock::now(Precision::Seconds))
        };
        let _ = match self.file.as_ref() {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}

fn render(format: Format, level: &str, message: &str, time: &str) -> String {
    let mut line = String::with_capacity(message.len() + 80);
    match format {
        Format::Text => {
            let _ = write!(line, "time=\"{time}\" level={level} msg=");
            quote(&mut line, message);
        }
        Format::Json => {
            line.push_str(r#"{"level":""#);
            line.push_str(level);
            line.push_str(r#"","msg":"#);
            // A string always serializes.
            line.push_str(&serde_json::to_string(&shown(message)).unwrap_or_default());
            let _ = write!(line, r#","time":"{time}"}}"#);
        }
    }
    line.push('\n');
    line
}

/// In double quotes, with the characters escaped that would end the line or the quotes, or that a terminal would obey;
/// words stay readable.
fn quote(line: &mut String, message: &str) {
    line.push('"');
    for character in message.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            c if is_obeyed(c) => line.push_str(&shown(c.encode_utf8(&mut [0; 4]))),
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_in_both_formats() {
        let text = render(Format::Text, "error", "a \"b\"\nc", "T");
        assert_eq!(text, "time=\"T\" level=error msg=\"a \\\"b\\\"\\nc\"\n");
        let json = render(Format::Json, "error", "a \"b\"\nc", "T");
        assert_eq!(json, "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\\nc\",\"time\":\"T\"}\n");
    }

    #[test]
    fn a_log_on_a_terminal_does_not_command_it() {
        for format in [Format::Text, Format::Json] {
            let line = render(format, "error", "a\x1b[2J\u{9b}1m\x7f\u{202e}b", "T");
            assert!(!line.trim_end().contains(is_obeyed), "{line:?}");
        }
        let text = render(Format::Text, "error", "\x1b\u{202e}", "T");
        assert_eq!(text, "time=\"T\" level=error msg=\"\\x1b\\u{202e}\"\n");
    }
}
