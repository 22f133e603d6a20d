//! Why a bundle is refused.
use std::path::PathBuf;

/// Why a bundle is refused. Every variant names the file or the JSON path.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The directory or the file can't be read.
    #[error("open {}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it can't be.
        source: std::io::Error,
    },
    /// There is no config.json.
    #[error("JSON specification file {} not found: no such file or directory", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Not a file of a bundle.
    #[error("{}: larger than {limit} bytes", path.display())]
    Large {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// Not JSON, or not of the specification's types.
    #[error("{}: {at}{error}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The JSON path and ": ", or nothing where the text isn't JSON at all.
        at: String,
        /// What was found and what was expected, with line and column.
        error: serde_json::Error,
    },
    /// A value that can't be carried out.
    #[error("{field}: {problem}")]
    Field {
        /// The JSON path.
        field: String,
        /// What is wrong with it; where runc refuses the same, in runc's words.
        problem: String,
    },
    /// A terminal is wanted and nobody would hold its other end.
    #[error("cannot allocate tty if krun will detach without setting console socket")]
    TerminalWithoutSocket,
    /// A console socket is given and there is nothing to send.
    #[error("cannot use console socket if krun will not detach or allocate tty")]
    SocketWithoutTerminal,
}

impl BundleError {
    /// A value that can't be carried out.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}
