//! The krun command.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_main)]

mod cli;
mod commands;

#[cfg(not(test))]
krun_sys::entry!(run);

#[cfg(all(target_env = "musl", not(feature = "window")))]
#[global_allocator]
static HEAP: krun_sys::heap::Heap = krun_sys::heap::Heap::new();

/// The exit code.
#[cfg_attr(test, allow(dead_code, reason = "the test harness has its own main"))]
fn run() -> i32 {
    let (global, words) = match cli::read_global(cli::arguments()) {
        Ok(split) => split,
        Err(error) => return refuse(error),
    };
    let settings = match cli::log_settings(&global) {
        Ok(settings) => settings,
        Err(error) => return refuse(error),
    };
    if let Err(error) = krun::log::install(settings) {
        return refuse(error);
    }
    match commands::dispatch(&global, words) {
        Ok(code) => code.into(),
        Err(failure) => {
            krun::log::error(krun::chain(failure.error.as_ref()));
            failure.code.into()
        }
    }
}

/// Fails before there is a log to write to.
fn refuse(error: impl std::error::Error + 'static) -> i32 {
    let _ = krun::log::install(krun::log::Settings::default());
    krun::log::error(krun::chain(&error));
    1
}
