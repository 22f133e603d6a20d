//! The compiler against an evaluator of the profile, against seccompiler, and
//! in the kernel.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod interpreter;
mod kernel;
mod oracle;
mod profile;
mod properties;
mod refusals;
mod semantics;
