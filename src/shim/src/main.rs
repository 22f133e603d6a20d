//! containerd-shim-krun-v2: krun as a containerd shim runtime.

fn main() {}
