//! An error and its sources as one line, with the kernel's errors in the words that callers of runc look for: Go prints
//! `no such file or directory` where the C library prints `No such file or directory (os error 2)`.
use std::borrow::Cow;
use std::error::Error;

use nix::errno::Errno;

use crate::{shown, words};

/// `error: source: source…`, as a terminal may get it: an error's object has whatever name a bundle or container gave it.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = word(error);
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&word(error));
        next = error.source();
    }
    match shown(&text) {
        Cow::Owned(shown) => shown,
        Cow::Borrowed(_) => text,
    }
}

/// An errno in Go's words.
#[must_use]
pub fn errno_text(errno: i32) -> String {
    let known = usize::try_from(errno).ok().and_then(|n| words::ERRNO.get(n)).filter(|text| !text.is_empty());
    known.map_or_else(|| format!("errno {errno}"), |text| (*text).to_owned())
}

fn word(error: &(dyn Error + 'static)) -> String {
    let errno = error.downcast_ref::<Errno>().map(|errno| *errno as i32);
    let errno = errno.or_else(|| error.downcast_ref::<std::io::Error>()?.raw_os_error());
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
        assert_eq!(errno_text(Errno::EIO as i32), "input/output error");
        assert_eq!(errno_text(Errno::EPERM as i32), "operation not permitted");
        assert_eq!(errno_text(Errno::EBUSY as i32), "device or resource busy");
        assert_eq!(errno_text(Errno::ELIBSCN as i32), ".lib section in a.out corrupted");
        assert_eq!(errno_text(Errno::EHWPOISON as i32), "memory page has hardware error");
        let error = StateError::NotExist { id: "a\x1b[2J\u{9b}b".into() };
        assert!(chain(&error).contains("a\\x1b[2J\\x9bb"), "{}", chain(&error));
        // ENOTSUPP, which the kernel should keep to itself
        assert_eq!(chain(&std::io::Error::from_raw_os_error(524)), "errno 524");
    }
}
