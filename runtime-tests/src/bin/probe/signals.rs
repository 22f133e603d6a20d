//! Actions about signals and waiting.

use crate::{Outcome, emit, number, ok};
use runtime_tests::raw;
use serde_json::json;
use std::os::fd::AsFd;
use std::time::Duration;

/// Runs the action when it is one of this module.
pub fn run(name: &str, args: &[&str]) -> Option<Outcome> {
    Some(match name {
        "sleep" => sleep(args),
        "ready-sleep" => {
            emit(&json!({"ready": true}));
            sleep(&[])
        }
        "kill-self" => kill_self(number(args, 0)),
        "wait-signal" => wait_signal(args),
        "log-signals" => log_signals(),
        _ => return None,
    })
}

/// sleep [MILLISECONDS], for ever without. Reaps what it adopts.
fn sleep(args: &[&str]) -> Outcome {
    if let Some(ms) = args.first() {
        std::thread::sleep(Duration::from_millis(ms.parse().unwrap_or(0)));
        return Ok(ok("sleep", args, json!({})));
    }
    loop {
        while let Ok(Some(_)) = raw::waitpid(-1, true) {}
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn kill_self(signal: i64) -> Outcome {
    let pid = std::process::id().cast_signed();
    raw::kill(pid, signal.try_into().unwrap_or(9)).map_err(runtime_tests::errno::name)?;
    Ok(json!({"action": "kill-self", "survived": true}))
}

fn catchable() -> Vec<i32> {
    (1..=64).filter(|s| ![libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD].contains(s)).collect()
}

/// Waits for any signal, prints its number, and goes on.
fn wait_signal(args: &[&str]) -> Outcome {
    let fd = raw::catch_signals(&catchable()).map_err(|e| crate::errno_of(&e))?;
    emit(&json!({"ready": true}));
    let n = raw::next_signal(fd.as_fd()).map_err(|e| crate::errno_of(&e))?;
    Ok(ok("wait-signal", args, json!({"signal": n})))
}

/// Prints every signal; ends with SIGTERM.
fn log_signals() -> Outcome {
    let fd = raw::catch_signals(&catchable()).map_err(|e| crate::errno_of(&e))?;
    emit(&json!({"ready": true}));
    loop {
        let n = raw::next_signal(fd.as_fd()).map_err(|e| crate::errno_of(&e))?;
        emit(&json!({"signal": n}));
        if n == libc::SIGTERM.cast_unsigned() {
            std::process::exit(0);
        }
    }
}
