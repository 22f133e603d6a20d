//! `floor measure STEP…`: runs commands and says what they cost.
//!
//! A step is `seq WORD… ;` (run and wait), `par N WORD… ;` (start N at once,
//! `{}` in a word becomes 0, 1, …, wait for all) or `reap ;` (wait for one
//! adopted process: a container that was created and started). Whatever the
//! commands leave behind is adopted, since this is a subreaper, and its time is
//! counted too when it ends.
//!
//! Prints one line: wall and CPU in nanoseconds, peak KiB of the largest
//! process, and the last failing exit code.

use std::ffi::{CStr, CString};
use std::io;

use krun_sys::Errno;
use libc::c_char;

use super::Failed;

/// What has been spent so far.
#[derive(Default)]
struct Spent {
    cpu_ns: i64,
    peak_kib: i64,
    failed: i32,
}

/// Runs the steps and prints what they cost.
pub fn measure(words: &[&CStr]) -> Result<i32, Failed> {
    // SAFETY: integers only.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    let mut spent = Spent::default();
    let begin = now();
    for step in words.split(|word| *word == c";").filter(|step| !step.is_empty()) {
        match step {
            [verb] if *verb == c"reap" => {
                spent.reap(-1)?;
            }
            [verb, command @ ..] if *verb == c"seq" => {
                let pid = spawn(command, 0)?;
                spent.reap_all_of(&[pid])?;
            }
            [verb, count, command @ ..] if *verb == c"par" => {
                let count: usize = count.to_str().ok().and_then(|n| n.parse().ok()).unwrap_or(1);
                let pids: Result<Vec<i32>, Failed> = (0..count).map(|i| spawn(command, i)).collect();
                spent.reap_all_of(&pids?)?;
            }
            _ => return Err(("measure: unknown step", Errno::EINVAL)),
        }
    }
    let wall = now() - begin;
    // A line of its own: what a command printed may end without one.
    let line = format!("\n{wall} {} {} {}\n", spent.cpu_ns, spent.peak_kib, spent.failed);
    let _ = krun_sys::fs::write(krun_sys::Fd::STDOUT, line.as_bytes());
    Ok(0)
}

impl Spent {
    /// Waits for each of these; adopted processes that end meanwhile stay for `reap`.
    fn reap_all_of(&mut self, pids: &[i32]) -> Result<(), Failed> {
        for pid in pids {
            let status = self.reap(*pid)?;
            if status != 0 {
                self.failed = status;
            }
        }
        Ok(())
    }

    /// Waits for one child and counts it with all it has waited for.
    fn reap(&mut self, pid: i32) -> Result<i32, Failed> {
        let mut status = 0;
        // SAFETY: an all-zero rusage is valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        loop {
            // SAFETY: both out pointers are valid.
            if unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } >= 0 {
                break;
            }
            if last_errno() != Errno::EINTR {
                return Err(("wait4", last_errno()));
            }
        }
        for time in [usage.ru_utime, usage.ru_stime] {
            self.cpu_ns += time.tv_sec * 1_000_000_000 + time.tv_usec * 1000;
        }
        self.peak_kib = self.peak_kib.max(usage.ru_maxrss);
        Ok(status)
    }
}

fn last_errno() -> Errno {
    Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// posix_spawn(3): shares memory until the exec, so that it costs the same
/// whoever is measured.
fn spawn(command: &[&CStr], number: usize) -> Result<i32, Failed> {
    let fill = |word: &&CStr| {
        let text = word.to_string_lossy().replace("{}", &number.to_string());
        CString::new(text).unwrap_or_default()
    };
    let words: Vec<CString> = command.iter().map(fill).collect();
    let mut argv: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    let path = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let envp = [path.as_ptr().cast_mut(), std::ptr::null_mut()];
    let mut pid = 0;
    // SAFETY: both arrays end in a null pointer and their strings live here.
    let errno = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            argv[0],
            std::ptr::null(),
            std::ptr::null(),
            argv.as_ptr(),
            envp.as_ptr(),
        )
    };
    if errno == 0 { Ok(pid) } else { Err(("posix_spawn", Errno(errno))) }
}

fn now() -> i64 {
    // SAFETY: an all-zero timespec is valid and the out pointer too.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}
