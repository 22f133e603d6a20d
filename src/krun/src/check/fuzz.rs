//! What decides whether a program can be started, for runtime-tests/fuzz.

/// Whether an entry of binfmt_misc matches.
#[must_use]
pub fn binfmt_matches(entry: &str, head: &[u8], name: &str) -> bool {
    super::binfmt::matches(entry, head, name)
}
