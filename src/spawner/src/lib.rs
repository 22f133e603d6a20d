#![no_std]
//! The hot path: a plan goes in, a container comes out, nothing is allocated.
