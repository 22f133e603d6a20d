//! What cannot be planned.

use super::seccomp::SeccompError;

/// A value of the specification that has no meaning for the kernel.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A member is missing.
    #[error("config.json: {0} is missing")]
    Missing(&'static str),
    /// A value is none of those that exist.
    #[error("config.json: {path}: {value:?} is not {expected}")]
    Invalid {
        /// JSON path.
        path: String,
        /// What stands there.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Two values contradict each other.
    #[error("config.json: {path}: {reason}")]
    Conflict {
        /// JSON path.
        path: String,
        /// Why.
        reason: String,
    },
    /// The filter; what is wrong with it is the source.
    #[error("config.json")]
    Seccomp(#[from] SeccompError),
}

impl PlanError {
    /// A value that is not what is expected at a path.
    pub fn invalid(path: impl Into<String>, value: impl ToString, expected: &'static str) -> Self {
        PlanError::Invalid { path: path.into(), value: value.to_string(), expected }
    }

    /// A contradiction.
    pub fn conflict(path: impl Into<String>, reason: impl Into<String>) -> Self {
        PlanError::Conflict { path: path.into(), reason: reason.into() }
    }
}
