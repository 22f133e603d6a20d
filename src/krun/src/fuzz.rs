//! What runtime-tests/fuzz reaches besides the public interface: parsers of texts that krun reads for itself.

/// The start time in a `/proc/PID/stat`.
#[must_use]
pub fn process_stat(text: &[u8]) -> Option<u64> {
    crate::state::process::parse(text).map(|stat| stat.start_time)
}

/// The name of a user in an /etc/passwd.
#[must_use]
pub fn user_name(passwd: &str, uid: u32) -> Option<String> {
    crate::state::user_names(passwd).remove(&uid)
}
