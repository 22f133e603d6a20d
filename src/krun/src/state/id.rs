//! The name of a container, which is also a directory name below the state root.
use std::fmt;

/// Longest id that is accepted, in bytes (a directory name on every file system is at most 255).
const LONGEST: usize = 1024;

/// Why a string can't be a container's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The id is empty.
    #[error("container id cannot be empty")]
    Empty,
    /// The id would leave the state root or has a character outside `[A-Za-z0-9_+.-]`.
    #[error(
        "invalid container ID format: {id:?}: only letters, digits and _+-. are allowed, and not . or .."
    )]
    Format {
        /// The refused text, shortened.
        id: String,
    },
    /// The id has more than 1,024 bytes.
    #[error("invalid container ID format: {length} bytes are too long (at most {LONGEST})")]
    Long {
        /// Its length in bytes.
        length: usize,
    },
}

/// A validated container id: `[A-Za-z0-9_+.-]+`, neither `.` nor `..`, at most 1,024 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

impl ContainerId {
    /// Validates `id`.
    ///
    /// # Errors
    /// [`IdError`] says what is wrong with it.
    pub fn new(id: impl Into<String>) -> Result<Self, IdError> {
        let id = id.into();
        if id.is_empty() {
            return Err(IdError::Empty);
        }
        if id.len() > LONGEST {
            return Err(IdError::Long { length: id.len() });
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        if id == "." || id == ".." || !id.bytes().all(allowed) {
            return Err(IdError::Format { id });
        }
        Ok(Self(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<std::path::Path> for ContainerId {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_leave_the_root_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "a b", "ä", "a\0", &"x".repeat(1025)] {
            assert!(ContainerId::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "...", "-x", "A_b+c.d-9", &"x".repeat(1024)] {
            assert_eq!(ContainerId::new(good).map(|id| id.as_str().to_owned()), Ok(good.to_owned()));
        }
    }
}
