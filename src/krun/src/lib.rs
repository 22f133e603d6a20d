//! krun as a library: everything the command and the containerd shim share.
