//! Actions that use up resources.

use crate::{Outcome, errno_of, number, ok, text};
use runtime_tests::raw;
use serde_json::json;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Runs the action when it is one of this module.
pub fn run(name: &str, args: &[&str]) -> Option<Outcome> {
    Some(match name {
        "alloc" => Ok(alloc(args)),
        "huge" => huge(args),
        "fork" => Ok(fork(args)),
        "fork-daemon" => fork_daemon(),
        "spin" => Ok(spin(args)),
        "write-file" => write_file(args).map_err(|e| errno_of(&e)),
        "direct-read" => direct_read(args).map_err(|e| errno_of(&e)),
        "clocks" => Ok(clocks()),
        _ => return None,
    })
}

/// alloc MEGABYTES: touches every page.
fn alloc(args: &[&str]) -> serde_json::Value {
    let bytes = usize::try_from(number(args, 0)).unwrap_or(0) << 20;
    let mut v = vec![0u8; bytes];
    for i in (0..bytes).step_by(4096) {
        v[i] = 1;
    }
    let sum: u64 = v.iter().step_by(4096).map(|b| u64::from(*b)).sum();
    ok("alloc", args, json!({"pages": sum}))
}

/// huge MEGABYTES: maps huge pages and has the kernel fill them.
fn huge(args: &[&str]) -> Outcome {
    let length = usize::try_from(number(args, 0)).unwrap_or(0) << 20;
    let (read_write, private) =
        (3, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB).unsigned_abs());
    let map = [0, length, read_write, private as usize, usize::MAX, 0];
    let address = raw::syscall_numbers(libc::SYS_mmap, map).map_err(runtime_tests::errno::name)?;
    // A page that the cgroup doesn't get is an EFAULT of read(2); to touch it here would be the end.
    let zero = std::fs::File::open("/dev/zero").map_err(|e| errno_of(&e))?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&zero).unsigned_abs() as usize;
    let buffer = usize::try_from(address).unwrap_or(0);
    let filled = raw::syscall_numbers(libc::SYS_read, [fd, buffer, length, 0, 0, 0]);
    let filled = filled.map_err(runtime_tests::errno::name)?;
    Ok(ok("huge", args, json!({"bytes": filled})))
}

/// fork N: children that sleep; how many there are, and what stopped it.
fn fork(args: &[&str]) -> serde_json::Value {
    let mut pids = Vec::new();
    let mut stopped = None;
    for _ in 0..number(args, 0) {
        match raw::fork(|| {
            std::thread::sleep(Duration::from_secs(60));
            0
        }) {
            Ok(pid) => pids.push(pid),
            Err(e) => {
                stopped = Some(runtime_tests::errno::name(e));
                break;
            }
        }
    }
    for pid in &pids {
        let _ = raw::kill(*pid, libc::SIGKILL);
        let _ = raw::waitpid(*pid, false);
    }
    ok("fork", args, json!({"children": pids.len(), "errno": stopped}))
}

/// Leaves a child behind that sleeps for ever in a session of its own.
fn fork_daemon() -> Outcome {
    let pid = raw::fork(|| {
        let _ = raw::syscall_numbers(libc::SYS_setsid, [0; 6]);
        loop {
            std::thread::sleep(Duration::from_secs(60));
        }
    })
    .map_err(runtime_tests::errno::name)?;
    Ok(json!({"action": "fork-daemon", "pid": pid}))
}

fn cpu_time() -> Duration {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let _ = raw::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut ts);
    Duration::new(ts.tv_sec.unsigned_abs(), ts.tv_nsec.try_into().unwrap_or(0))
}

/// spin MILLISECONDS of wall time: how much CPU time it got.
fn spin(args: &[&str]) -> serde_json::Value {
    let wall = Duration::from_millis(number(args, 0).unsigned_abs());
    let start = Instant::now();
    let before = cpu_time();
    let mut x = 0u64;
    while start.elapsed() < wall {
        for i in 0..10_000u64 {
            x = std::hint::black_box(x.wrapping_add(i));
        }
    }
    let used = cpu_time().saturating_sub(before).as_millis();
    let took = start.elapsed().as_millis();
    ok("spin", args, json!({"cpu_ms": u64::try_from(used).ok(), "wall_ms": u64::try_from(took).ok()}))
}

/// write-file PATH KILOBYTES: how long it took with fsync.
fn write_file(args: &[&str]) -> std::io::Result<serde_json::Value> {
    let start = Instant::now();
    let mut f = std::fs::File::create(text(args, 0))?;
    for _ in 0..number(args, 1) {
        f.write_all(&[7; 1024])?;
    }
    f.sync_all()?;
    let took = u64::try_from(start.elapsed().as_millis()).ok();
    Ok(ok("write-file", args, json!({"wall_ms": took})))
}

/// direct-read PATH MEGABYTES: past the page cache; how long it took.
fn direct_read(args: &[&str]) -> std::io::Result<serde_json::Value> {
    use std::os::unix::fs::OpenOptionsExt;
    let start = Instant::now();
    let mut f = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(text(args, 0))?;
    let mut space = vec![0u8; (1 << 20) + 4096];
    let offset = space.as_ptr().align_offset(4096);
    let mut done = 0;
    for _ in 0..number(args, 1) {
        match f.read(&mut space[offset..offset + (1 << 20)])? {
            0 => break,
            n => done += n,
        }
    }
    let took = u64::try_from(start.elapsed().as_millis()).ok();
    Ok(ok("direct-read", args, json!({"wall_ms": took, "bytes": done})))
}

/// Seconds of the clocks that a time namespace shifts.
fn clocks() -> serde_json::Value {
    let seconds = |id| {
        let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        raw::clock_gettime(id, &mut ts).ok().map(|()| ts.tv_sec)
    };
    json!({"monotonic": seconds(libc::CLOCK_MONOTONIC), "boottime": seconds(libc::CLOCK_BOOTTIME)})
}
