//! How a process ended, in the words that callers of runc know: those of Go's os/exec.

/// signal(7), as Go's syscall package names them.
const SIGNALS: [&str; 31] = [
    "hangup",
    "interrupt",
    "quit",
    "illegal instruction",
    "trace/breakpoint trap",
    "aborted",
    "bus error",
    "floating point exception",
    "killed",
    "user defined signal 1",
    "segmentation fault",
    "user defined signal 2",
    "broken pipe",
    "alarm clock",
    "terminated",
    "stack fault",
    "child exited",
    "continued",
    "stopped (signal)",
    "stopped",
    "stopped (tty input)",
    "stopped (tty output)",
    "urgent I/O condition",
    "CPU time limit exceeded",
    "file size limit exceeded",
    "virtual timer expired",
    "profiling timer expired",
    "window changed",
    "I/O possible",
    "power failure",
    "bad system call",
];

/// `signal: killed`, or `signal 40` for one without a name.
#[must_use]
pub fn by_signal(number: i32) -> String {
    let name = usize::try_from(number).ok().and_then(|n| SIGNALS.get(n.checked_sub(1)?));
    name.map_or_else(|| format!("signal {number}"), |name| format!("signal: {name}"))
}

/// As krun-init reports it: the signal's number with bit 32, or the exit code.
#[must_use]
pub fn of_report(detail: u64) -> String {
    let number = u32::try_from(detail & 0xffff_ffff).unwrap_or(u32::MAX);
    if detail >> 32 == 0 {
        return format!("exit status {number}");
    }
    by_signal(i32::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_gos_names() {
        assert_eq!(by_signal(9), "signal: killed");
        assert_eq!(by_signal(31), "signal: bad system call");
        assert_eq!(by_signal(34), "signal 34");
        assert_eq!(of_report(1 << 32 | 31), "signal: bad system call");
        assert_eq!(of_report(3), "exit status 3");
    }
}
