//! Descriptors that the caller hands through krun to the container: LISTEN_FDS
//! (sd_listen_fds(3)) and `--preserve-fds`.

use super::LaunchError;

/// How many descriptors from 3 on are the container's, and what they add to its
/// environment.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Their number.
    pub count: u32,
    /// LISTEN_FDS and LISTEN_PID.
    pub env: Vec<String>,
}

/// Looks at the environment and checks that all promised descriptors were handed down. LISTEN_FDS without LISTEN_PID may
/// be a leftover for another process (sd_listen_fds(3)).
///
/// # Errors
/// [`LaunchError::Preserve`].
pub fn inherited(preserve: u32) -> Result<Inherited, LaunchError> {
    let var = |name| std::env::var(name).ok();
    let own = var("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string());
    let listen = var("LISTEN_FDS").and_then(|n| n.parse::<u32>().ok()).filter(|_| own).unwrap_or(0);
    let count = listen.saturating_add(preserve);
    for at in 0..count {
        let fd = i32::try_from(at).unwrap_or(i32::MAX).saturating_add(3);
        // What krun itself has opened by now (the log, the pidfd of a container's init) is close-on-exec.
        if krun_sys::fs::is_cloexec(fd) != Ok(false) {
            return Err(LaunchError::Preserve { fd: fd - 3, count });
        }
    }
    let mut env = Vec::new();
    if listen > 0 {
        // The container's first process is 1 in its pid namespace.
        env.push(format!("LISTEN_FDS={listen}"));
        env.push("LISTEN_PID=1".to_owned());
        if let Some(names) = var("LISTEN_FDNAMES") {
            env.push(format!("LISTEN_FDNAMES={names}"));
        }
    }
    Ok(Inherited { count, env })
}
