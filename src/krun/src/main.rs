//! The krun command.

fn main() {}
