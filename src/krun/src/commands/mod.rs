//! One file per command: from its flags to the library, and from its result to standard output.
pub mod version;

use std::error::Error;

use crate::cli::args::Parsed;
use crate::cli::{self, Request};

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
    let (name, _parsed) = match cli::read_command(global, words)? {
        Request::Print(text) => {
            print(&text)?;
            return Ok(0);
        }
        Request::Command { name, parsed } => (name, parsed),
    };
    let _host = cli::host(global)?;
    Err(cli::UsageError::Command { name: name.to_owned() }.into())
}

/// Writes to standard output.
pub fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
