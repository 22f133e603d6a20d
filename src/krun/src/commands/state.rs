//! `krun state ID`
use krun::container::Container;
use krun::launch::Host;
use krun::state::{Owners, View};

use super::{Outcome, id, print};
use crate::cli::args::Parsed;

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    let container = Container::open(&host.root, &id(parsed)?)?;
    let status = container.status()?;
    let mut owners = Owners::default();
    let owner = owners.name(container.head().owner_uid);
    let view = View::new(container.head(), status, owner);
    print(&format!("{}\n", serde_json::to_string_pretty(&view)?))?;
    Ok(0)
}
