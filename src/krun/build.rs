//! Builds krun-init, the child half of the spawner, for krun to embed, and
//! tells krun which commit it is.
//!
//! krun-init is a program without std or a C library, so it cannot be a plain
//! dependency: a nested cargo builds it with flags and a target directory of
//! its own.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rustc-env=KRUN_COMMIT={}", commit());
    for watched in ["../spawner", "../sys"] {
        println!("cargo::rerun-if-changed={watched}/src");
        println!("cargo::rerun-if-changed={watched}/Cargo.toml");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let var = |name| env::var_os(name).unwrap_or_else(|| fail(&format!("cargo sets no {name}")));
    let target = var("TARGET");
    let out = PathBuf::from(var("OUT_DIR"));
    let target_dir = out.join("init");
    let mut flags =
        vec!["-Ctarget-feature=+crt-static", "-Crelocation-model=static", "-Cforce-unwind-tables=no"];
    // rustc would bring musl's start files.
    if var("CARGO_CFG_TARGET_ENV") == "musl" {
        flags.push("-Clink-self-contained=no");
    }

    let mut cargo = Command::new(var("CARGO"));
    cargo
        .args([
            "build",
            "--release",
            "--quiet",
            "--features",
            "program",
            "--bin",
            "krun-init",
            "--manifest-path",
        ])
        .arg(PathBuf::from(var("CARGO_MANIFEST_DIR")).join("../spawner/Cargo.toml"))
        .arg("--target")
        .arg(&target)
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z");
    // What the outer build sets for itself: lints, coverage and other flags.
    for name in [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(name);
    }
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("building krun-init: {status}")),
        Err(error) => fail(&format!("starting cargo for krun-init: {error}")),
    }
    let program = target_dir.join(&target).join("release/krun-init");
    println!("cargo::rustc-env=KRUN_INIT={}", program.display());
    // A panic aborts in a release: nothing ever searches the unwind tables.
    if var("PROFILE") == "release" && var("CARGO_CFG_TARGET_ARCH") == "x86_64" {
        println!("cargo::rustc-link-arg-bin=krun=-Wl,--no-eh-frame-hdr");
    }
}

/// The commit that is built: what a packager says in `KRUN_COMMIT`, else what
/// is checked out, else "unknown" (a source without its repository).
fn commit() -> String {
    println!("cargo::rerun-if-env-changed=KRUN_COMMIT");
    if let Some(said) = env::var("KRUN_COMMIT").ok().filter(|c| !c.is_empty()) {
        return said;
    }
    let Some(head) = git(&["rev-parse", "--verify", "HEAD"]) else { return "unknown".to_owned() };
    // HEAD is rewritten by a checkout, its branch by a commit. A packed branch has no file until
    // then, but the log of HEAD grows. One that isn't there would make cargo build every time.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]).filter(|p| PathBuf::from(p).is_file());
        if let Some(path) = path {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    head
}

/// What git says, if it is there and this is a repository. Cargo starts build
/// scripts in their package, which git's relative answers are relative to.
fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| text.trim_end().to_owned())
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}
