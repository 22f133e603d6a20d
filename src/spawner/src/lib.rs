#![no_std]
//! The hot path: a plan goes in, a container comes out, nothing is allocated.
//!
//! `plan` is the flat memory both sides read, `parent` clones and converses,
//! `init` is the child: read it as the story of a container's birth.
#![deny(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod init;
pub mod parent;
pub mod plan;
pub mod report;
pub mod step;
