//! One program for all fuzz targets: `KRUN_FUZZ_TARGET=NAME krun-fuzz [libFuzzer's options] CORPUS...`.
//!
//! With `KRUN_FUZZ_SEEDS=DIR` it writes the target's binary seeds into DIR and ends; without a target it lists them.
//! run.sh does all that.
#![no_main]

mod heap;
mod plan;
mod stack;
mod targets;

use std::path::Path;
use std::sync::OnceLock;

use targets::{TARGETS, Target};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

static CHOSEN: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        heap::within(input.len(), || (target.run)(input));
    }
});

fn choose() {
    let name = std::env::var("KRUN_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(i32::from(!name.is_empty()));
    };
    if let Some(dir) = std::env::var_os("KRUN_FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(Path::new(&dir).join(format!("made-{number}")), seed).expect("write a seed");
        }
        std::process::exit(0);
    }
    stack::handle_overflow();
    let _ = CHOSEN.set(target);
}
