//! Plays containerd: starts the shim as containerd does, calls its Task
//! service with real containers behind it, and takes its events.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod bootstrap;
mod client;
mod daemon;
mod lifecycle;
mod rootfs;
mod stdio;
mod storm;
mod wire;
