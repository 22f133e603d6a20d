//! `krun delete [--force] ID`
use krun::container::{Force, delete};
use krun::launch::Host;

use super::{Outcome, id};
use crate::cli::args::Parsed;

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    let force = if parsed.switch("force")? { Force::Yes } else { Force::No };
    delete(&host.root, &id(parsed)?, force)?;
    Ok(0)
}
