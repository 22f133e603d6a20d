//! `krun check [BUNDLE]`
use std::path::Path;

use krun::bundle::Caller;
use krun::check::{Severity, check};

use super::{Format, Outcome, print, print_json};
use crate::cli::absolute;
use crate::cli::args::Parsed;

pub fn run(parsed: &Parsed) -> Outcome {
    let format = Format::read(parsed)?;
    let word = parsed.words.first().map(|word| Path::new(word).to_owned());
    let bundle = absolute(&word.or(parsed.path("bundle")).unwrap_or_default())?;
    let config = parsed.path("config").map(|path| absolute(&path)).transpose()?;
    let caller = Caller { rootless: !nix::unistd::geteuid().is_root(), no_pivot: false };
    let findings = check(&bundle, config.as_deref(), caller);
    match format {
        Format::Json => print_json(&format!("{}\n", serde_json::to_string_pretty(&findings)?))?,
        Format::Table if findings.is_empty() => print(&format!("{}: nothing found\n", bundle.display()))?,
        Format::Table => print(&findings.iter().fold(String::new(), |text, finding| {
            let severity = if finding.severity == Severity::Error { "error" } else { "note" };
            text + &format!("{severity}: {}: {}\n", finding.check, finding.message)
        }))?,
    }
    Ok(u8::from(findings.iter().any(|finding| finding.severity == Severity::Error)))
}
