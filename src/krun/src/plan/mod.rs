//! From a container specification to the plan its birth follows.

pub mod seccomp;
