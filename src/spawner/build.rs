//! Link arguments of the program krun-init: no start files, no C library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=init.ld");
    let script = format!("-Wl,-T,{}/init.ld", env!("CARGO_MANIFEST_DIR"));
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none", &script] {
        println!("cargo::rustc-link-arg-bin=krun-init={arg}");
    }
}
