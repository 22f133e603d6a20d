//! containerd-shim-krun-v2: krun as a containerd shim runtime.
//!
//! containerd calls `start` in a bundle and is given the address of a socket;
//! one process per pod then serves containerd's Task service on it. The shim
//! starts no runtime: it is one, through the krun library.
//!
//! ```text
//! containerd --ttrpc--> event_loop -> service -> task::lifecycle -> workers -> runtime (krun)
//!     ^                     |                         |
//!     +---- publisher <-----+<---- task::model <------+
//! ```

#![forbid(unsafe_code)]

mod bootstrap;
mod cli;
mod daemon;
mod delete;
mod event_loop;
mod info;
mod log;
mod oom;
mod options_file;
mod publisher;
mod reaper;
mod rootfs;
mod runtime;
mod service;
mod socket;
mod spec;
mod stdio;
mod task;
mod workers;

use std::io::Write;
use std::process::ExitCode;

use cli::Cli;
use containerd_shim_krun_v2::{connection, proto};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // containerd shows what a failed start or delete wrote.
            let _ = writeln!(std::io::stderr(), "{}: {e}", info::NAME);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let cli = Cli::parse(std::env::args().skip(1))?;
    if cli.version {
        let mut out = std::io::stdout();
        writeln!(out, "containerd-shim-krun-v2:\n  Version:  {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(());
    }
    if cli.info {
        return Ok(info::info()?);
    }
    if cli.namespace.is_empty() {
        return Err("shim namespace cannot be empty".into());
    }
    match cli.action.as_str() {
        "start" => Ok(bootstrap::start(&cli)?),
        "delete" => Ok(delete::delete(&cli)?),
        action => Err(format!("unknown action {action:?}: containerd calls start and delete").into()),
    }
}
