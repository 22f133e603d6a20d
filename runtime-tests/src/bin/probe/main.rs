//! The probe: runs as a container's process, says what it sees and tries what
//! it is told to. One JSON line on stdout per action; actions are separated
//! by `--`: `probe report -- open-write /etc/passwd -- exit 3`.
//!
//! It has no `main` of Rust's: the standard library's start-up ignores
//! SIGPIPE and installs handlers, which would hide what the runtime left.
#![no_main]
#![allow(missing_docs)]

mod attacks;
mod attempts;
mod load;
mod paths;
mod proc_report;
mod report;
mod signals;

use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{CStr, c_char};
use std::io::Write;
use std::sync::OnceLock;

/// Ends the probe where there is no memory. Rust would abort, which the first process of a pid namespace survives: it
/// would fault for ever while strace(1) is looking on.
struct OrExit;

#[global_allocator]
static HEAP: OrExit = OrExit;

// SAFETY: all calls go to the system's allocator.
unsafe impl GlobalAlloc for OrExit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            // SAFETY: ends the process, at once, as abort(3) would in any other process.
            unsafe { libc::_exit(128 + libc::SIGABRT) }
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

static ARGV: OnceLock<Vec<String>> = OnceLock::new();

/// The arguments, the program's name first: std has them only if it starts the program or glibc does.
pub fn argv() -> &'static [String] {
    ARGV.get().map_or(&[], Vec::as_slice)
}

/// # Safety
/// Called by the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: i32, argv: *const *const c_char) -> i32 {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: what the C library hands to main: so many strings.
    let text = |i| unsafe { CStr::from_ptr(*argv.add(i)) }.to_string_lossy().into_owned();
    let args = ARGV.get_or_init(|| (0..count).map(text).collect());
    for action in args.get(1..).unwrap_or_default().split(|a| a == "--") {
        let Some((name, rest)) = action.split_first() else {
            continue;
        };
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let value = run(name, &rest);
        if !value.is_null() {
            emit(&value);
        }
    }
    0
}

/// Writes one line at once, so that lines of several processes don't mix.
pub fn emit(value: &Value) {
    let line = format!("{value}\n");
    let mut out = std::io::stdout().lock();
    if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(99);
    }
}

fn run(name: &str, args: &[&str]) -> Value {
    let result = match name {
        "report" => Ok(report::all(args)),
        "exit" => std::process::exit(number(args, 0).try_into().unwrap_or(1)),
        _ => paths::run(name, args)
            .or_else(|| attempts::run(name, args))
            .or_else(|| signals::run(name, args))
            .or_else(|| load::run(name, args))
            .or_else(|| attacks::run(name, args))
            .unwrap_or_else(|| Err(format!("unknown action {name}"))),
    };
    match result {
        Ok(v) => v,
        Err(errno) => json!({"action": name, "args": args, "ok": false, "errno": errno}),
    }
}

/// What an action gives: its JSON line (null for none) or an errno's name.
pub type Outcome = Result<Value, String>;

/// The argument at `i` as a number, 0 when missing.
pub fn number(args: &[&str], i: usize) -> i64 {
    let text = args.get(i).copied().unwrap_or("0");
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

/// The argument at `i`, empty when missing.
pub fn text<'a>(args: &[&'a str], i: usize) -> &'a str {
    args.get(i).copied().unwrap_or("")
}

/// A positive answer of `action` with further fields.
pub fn ok(action: &str, args: &[&str], extra: Value) -> Value {
    let mut v = json!({"action": action, "args": args, "ok": true});
    if let (Some(v), Value::Object(extra)) = (v.as_object_mut(), extra) {
        v.extend(extra);
    }
    v
}

/// The errno's name of an I/O error.
pub fn errno_of(e: &std::io::Error) -> String {
    e.raw_os_error().map_or_else(|| format!("{:?}", e.kind()), runtime_tests::errno::name)
}
