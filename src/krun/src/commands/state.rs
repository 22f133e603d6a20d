//! `krun state ID`
use krun::container::Container;
use krun::launch::Host;
use krun::state::View;

use super::{Outcome, id, print_json};
use crate::cli::args::Parsed;

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    let container = Container::open(&host.root, &id(parsed)?)?;
    let status = container.status()?;
    // The owner is only named in lists, as with runc.
    let view = View::new(container.head(), status, "");
    print_json(&format!("{}\n", serde_json::to_string_pretty(&view)?))?;
    Ok(0)
}
