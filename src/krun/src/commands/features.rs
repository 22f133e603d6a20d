//! `krun features`.
use super::{Outcome, print};

/// Prints what this build recognizes.
pub fn run() -> Outcome {
    print(&format!("{}\n", serde_json::to_string_pretty(&krun::features::features())?))?;
    Ok(0)
}
