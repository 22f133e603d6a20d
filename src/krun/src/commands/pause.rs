//! `krun pause ID` and `krun resume ID`
use krun::container::Container;
use krun::launch::Host;

use super::{Outcome, id};
use crate::cli::args::Parsed;

pub fn pause(host: &Host, parsed: &Parsed) -> Outcome {
    Container::open(&host.root, &id(parsed)?)?.pause()?;
    Ok(0)
}

pub fn resume(host: &Host, parsed: &Parsed) -> Outcome {
    Container::open(&host.root, &id(parsed)?)?.resume()?;
    Ok(0)
}
