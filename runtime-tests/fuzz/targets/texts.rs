//! Annotations, programs, and what the kernel and its users write as lines.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use krun::cgroup::systemd::fuzz as systemd;
use krun::{cgroup, check};

/// A line NAME=VALUE, as an annotation `org.systemd.property.NAME`.
pub fn property(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (name, text) = text.split_once('=').unwrap_or(("Name", text));
    let Ok((name, value)) = systemd::property(name, text) else { return };
    let method = systemd::Method { destination: None, path: "/o", interface: "i.i", member: "M" };
    let args = [systemd::Value::Str(name), systemd::Value::Variant(Box::new(value))];
    let bytes = systemd::call(method, 1, &args, true);
    let message = systemd::parse(&bytes).expect("a message");
    assert_eq!(message.body.first(), args.first());
}

/// A program's first bytes: ELF, a `#!` line or neither.
pub fn exec(input: &[u8]) {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        let root = std::env::temp_dir().join(format!("krun-fuzz-exec-{}", std::process::id()));
        std::fs::create_dir_all(&root).expect("a directory");
        root
    });
    let program = root.join("p");
    if !program.exists() {
        std::fs::write(&program, b"").expect("a program");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    std::fs::write(&program, input).expect("its bytes");
    if let Some(fault) = check::diagnose_exec(root, "/p", None, Path::new("/"), &[]) {
        assert!(fault.to_string().len() < 64 << 10);
    }
}

/// ELF files of both widths with an interpreter, and scripts.
pub fn exec_seeds() -> Vec<Vec<u8>> {
    let mut wide = vec![0_u8; 64 + 56];
    wide[..6].copy_from_slice(b"\x7fELF\x02\x01");
    wide[18] = 62;
    wide[32] = 64; // e_phoff
    wide[54] = 56; // e_phentsize
    wide[56] = 1; // e_phnum
    wide[64] = 3; // PT_INTERP
    wide[72] = 120;
    wide[96] = 6;
    wide.extend_from_slice(b"/ld.1\0");
    let mut narrow = vec![0_u8; 52 + 32];
    narrow[..6].copy_from_slice(b"\x7fELF\x01\x01");
    narrow[18] = 3;
    narrow[28] = 52;
    narrow[42] = 32;
    narrow[44] = 1;
    narrow[52] = 3;
    narrow[56] = 84;
    narrow[68] = 6;
    narrow.extend_from_slice(b"/ld.2\0");
    vec![wide, narrow, b"#! /p -x\nexit\n".to_vec(), b"#!/bin/sh\r\n".to_vec(), b"MZ".to_vec()]
}

/// Texts of the kernel and of its users. The first byte says which.
pub fn texts(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    if *kind == b's' {
        let _ = krun::fuzz::process_stat(bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match kind {
        b'm' => drop(cgroup::fuzz::mount_of_table(text)),
        b'c' => path(text),
        b'e' => drop(cgroup::fuzz::events(text)),
        b'r' => drop(cgroup::fuzz::rdma_line(text)),
        b'p' => drop(cgroup::fuzz::psi_text(text)),
        b'u' => drop(krun::fuzz::user_name(text, 7)),
        b'a' => drop(systemd::socket_path(text)),
        b'n' => drop(systemd::unit_path(text, true)),
        b'b' => drop(check::fuzz::binfmt_matches(text, b"\x7fELF\x02\x01\x01", "a.exe")),
        _ => {}
    }
}

/// Below the mount point, without odd parts, and its own normal form.
fn path(text: &str) {
    let Ok(clean) = cgroup::fuzz::clean(text) else { return };
    assert!(clean.starts_with('/') && !clean.ends_with('/'));
    assert!(clean[1..].split('/').all(|part| !matches!(part, "" | "." | "..")));
    assert_eq!(cgroup::fuzz::clean(&clean).ok(), Some(clean));
}
