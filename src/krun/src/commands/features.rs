//! `krun features`.
use super::{Outcome, print_json};

/// Prints what this build recognizes.
pub fn run() -> Outcome {
    print_json(&format!("{}\n", serde_json::to_string_pretty(&krun::features::features())?))?;
    Ok(0)
}
