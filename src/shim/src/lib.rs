//! What the shim and its peers say on a socket: a library of its own for the shim's tests and the fuzz targets.
#![forbid(unsafe_code)]

pub mod connection;
pub mod proto;
