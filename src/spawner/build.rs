//! Link arguments of the program krun-init: no start files, no C library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"] {
        println!("cargo::rustc-link-arg-bin=krun-init={arg}");
    }
}
