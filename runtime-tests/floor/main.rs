//! The floor: what the kernel itself charges for a container.
//!
//! `floor run ROOTFS CGROUP PROGRAM` makes the bare system calls of the default
//! bundle (its namespaces, mounts, nodes, masks, limits, device filter, cgroup)
//! with no configuration to parse, no checks and no state: what no runtime can
//! get below. `floor exec PID CGROUP PROGRAM` does so for a process that joins.
//! `floor measure` is the launcher of the benchmark, small because a child's
//! peak memory counts from what its parent had (getrusage(2)).
#![no_main]
#![allow(unsafe_code)]

mod birth;
mod device;
mod join;
mod measure;

use std::ffi::{CStr, c_char};

/// The C entry point, without the set-up of Rust's runtime.
#[unsafe(no_mangle)]
pub extern "C" fn main(argc: i32, argv: *const *const c_char) -> i32 {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: the C library passes argc strings that live as long as the program.
    let words: Vec<&'static CStr> =
        (0..count).map(|i| unsafe { CStr::from_ptr(*argv.wrapping_add(i)) }).collect();
    let done = match words.get(1..).unwrap_or_default() {
        [verb, rootfs, cgroup, program] if *verb == c"run" => birth::run(rootfs, cgroup, program),
        [verb, pid, cgroup, program] if *verb == c"exec" => join::exec(pid, cgroup, program),
        [verb] if *verb == c"nothing" => Ok(0),
        [verb, commands @ ..] if *verb == c"measure" => measure::measure(commands),
        _ => Err(("floor run ROOTFS CGROUP PROGRAM", krun_sys::Errno::EINVAL)),
    };
    match done {
        Ok(code) => code,
        Err((step, errno)) => {
            let text = format!("floor: {step}: errno {}\n", errno.0);
            let _ = krun_sys::fs::write(krun_sys::Fd::STDERR, text.as_bytes());
            125
        }
    }
}

/// What failed, and why.
type Failed = (&'static str, krun_sys::Errno);

/// Names the step of a failed system call.
trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Failed>;
}

impl<T> At<T> for krun_sys::Result<T> {
    fn at(self, step: &'static str) -> Result<T, Failed> {
        self.map_err(|errno| (step, errno))
    }
}

/// The exit code of a child, as a shell counts.
fn wait(pidfd: krun_sys::Fd<'_>) -> Result<i32, Failed> {
    use krun_sys::process::{Exit, waitid_pidfd};
    Ok(match waitid_pidfd(pidfd, 0).at("waitid")? {
        Some(Exit::Code(code)) => code,
        Some(Exit::Signal(signal)) => 128 + signal,
        None => 126,
    })
}

/// Becomes the program; returns only the error.
fn become_program(program: &CStr) -> Failed {
    let path = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let envp = [path, c"TERM=xterm"].map(|text| text.as_ptr() as u64);
    let argv = [program.as_ptr() as u64, 0];
    ("execve", krun_sys::process::execve(program, &argv, &[envp[0], envp[1], 0]))
}
