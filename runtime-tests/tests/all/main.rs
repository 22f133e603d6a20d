//! The integration tests: each starts real containers and looks from inside.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod lifecycle;
