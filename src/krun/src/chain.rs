//! An error and its sources as one line, with the kernel's errors in the words that callers of runc look for: Go prints
//! `no such file or directory` where the C library prints `No such file or directory (os error 2)`.
use std::error::Error;

use nix::errno::Errno;

/// `error: source: source…`
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = word(error);
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&word(error));
        next = error.source();
    }
    text
}

/// An errno in Go's words: the C library's, without the capital.
#[must_use]
pub fn errno_text(errno: Errno) -> String {
    // The C library's words, as Go has them; nix has its own for some.
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

fn word(error: &(dyn Error + 'static)) -> String {
    let errno = error
        .downcast_ref::<Errno>()
        .copied()
        .or_else(|| error.downcast_ref::<std::io::Error>()?.raw_os_error().map(Errno::from_raw));
    errno.map_or_else(|| error.to_string(), errno_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateError;

    #[test]
    fn the_kernels_words_are_gos() {
        let error = StateError::Call { call: "open", path: "/x".into(), source: Errno::EACCES };
        assert_eq!(chain(&error), "open /x: permission denied");
        assert_eq!(chain(&std::io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(errno_text(Errno::EIO), "input/output error");
        assert_eq!(errno_text(Errno::EPERM), "operation not permitted");
    }
}
