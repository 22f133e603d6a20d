//! `krun plan [BUNDLE]`
use std::path::Path;

use krun::bundle;
use krun::host::Facts;
use krun::plan::{self, dump};

use super::{Format, Outcome, print, print_json};
use crate::cli::absolute;
use crate::cli::args::Parsed;

/// Prints what krun would do. Needs no privileges and asks nothing of the host, so that the same bundle gives the same
/// plan everywhere.
pub fn run(parsed: &Parsed) -> Outcome {
    let word = parsed.words.first().map(Path::new).map(Path::to_path_buf);
    let dir = absolute(&word.or_else(|| parsed.path("bundle")).unwrap_or_default())?;
    let bundle = bundle::load(&dir, parsed.path("config").as_deref())?;
    let id = bundle.dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let facts = Facts::ideal();
    let joined = plan::Joined::unopened(&bundle.spec);
    let program = plan::seccomp::of(&bundle.spec).map_err(plan::PlanError::from)?;
    let request = plan::Request::dry(&bundle, &id, &facts, &joined, program.as_ref());
    let frozen = plan::build(&request)?;
    match Format::read(parsed)? {
        Format::Json => print_json(&format!("{:#}\n", dump::json(frozen.view())))?,
        Format::Table => print(&dump::human(frozen.view()))?,
    }
    Ok(0)
}
