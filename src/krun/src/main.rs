//! The krun command.
#![forbid(unsafe_code)]

mod cli;
mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    let (global, words) = match cli::read_global(std::env::args_os()) {
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
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            krun::log::error(krun::chain(failure.error.as_ref()));
            ExitCode::from(failure.code)
        }
    }
}

/// Fails before there is a log to write to.
fn refuse(error: impl std::error::Error + 'static) -> ExitCode {
    let _ = krun::log::install(krun::log::Settings::default());
    krun::log::error(krun::chain(&error));
    ExitCode::FAILURE
}
