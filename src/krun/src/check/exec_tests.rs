//! Each fault, in a root file system made for it.
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// A root with one file, `/bin/prog`.
struct Root(PathBuf);

impl Root {
    fn new(name: &str, content: &[u8], mode: u32) -> Self {
        let root = std::env::temp_dir().join(format!("krun-exec-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("bin")).unwrap();
        let file = root.join("bin/prog");
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        Self(root)
    }

    fn fault(&self, name: &str) -> String {
        let fault = diagnose_exec(&self.0, name, Some("/sbin:/bin"), Path::new("/"), &[]);
        fault.map(|fault| fault.to_string()).unwrap_or_default()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A 64-bit little-endian ELF file with one program header, PT_INTERP.
fn elf(machine: u16, interpreter: &str) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(64 + 56, 0);
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[32..40].copy_from_slice(&64_u64.to_le_bytes());
    file[54..56].copy_from_slice(&56_u16.to_le_bytes());
    file[56..58].copy_from_slice(&u16::from(!interpreter.is_empty()).to_le_bytes());
    file[64..68].copy_from_slice(&3_u32.to_le_bytes());
    file[72..80].copy_from_slice(&120_u64.to_le_bytes());
    file[96..104].copy_from_slice(&(interpreter.len() as u64 + 1).to_le_bytes());
    file.extend_from_slice(interpreter.as_bytes());
    file.push(0);
    file
}

fn own_machine() -> u16 {
    if cfg!(target_arch = "aarch64") { 183 } else { 62 }
}

#[test]
fn a_program_that_can_be_started_has_no_fault() {
    let root = Root::new("good", &elf(own_machine(), ""), 0o755);
    assert_eq!(
        (root.fault("prog"), root.fault("/bin/prog"), root.fault("bin/prog")),
        <(String, String, String)>::default()
    );
    symlink("/bin/prog", root.0.join("bin/link")).unwrap();
    assert_eq!(root.fault("link"), "", "absolute links stay in the root");
}

#[test]
fn what_is_not_there_or_not_executable_is_named() {
    let root = Root::new("mode", &elf(own_machine(), ""), 0o644);
    assert!(root.fault("prog").contains("\"/bin/prog\": permission denied: its mode is 0644"));
    assert!(root.fault("nope").contains("executable file not found in $PATH (/sbin:/bin)"));
    assert!(root.fault("/nope").contains("no such file or directory"));
    assert!(root.fault("/bin").contains("is a directory"));
    symlink("../../../../../../etc/passwd", root.0.join("bin/out")).unwrap();
    assert!(root.fault("/bin/out").contains("no such file or directory"), "no link leads out of the root");
}

/// Nothing but the name of a FIFO is looked at: opening it would let its writer go on, reading would take its data.
#[test]
fn what_is_no_regular_file_is_named_and_not_opened() {
    let root = Root::new("special", b"x", 0o755);
    let fifo = root.0.join("bin/fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let watch = nix::sys::inotify::Inotify::init(nix::sys::inotify::InitFlags::IN_NONBLOCK).unwrap();
    watch.add_watch(&fifo, nix::sys::inotify::AddWatchFlags::IN_OPEN).unwrap();
    assert_eq!(root.fault("fifo"), "exec: \"/bin/fifo\": is a FIFO");
    assert_eq!(watch.read_events().unwrap_err(), Errno::EAGAIN, "it was opened");
    drop(open(&fifo, OFlag::O_RDWR, Mode::empty()).unwrap());
    assert!(watch.read_events().is_ok(), "the watch sees what it should");
    let _socket = std::os::unix::net::UnixDatagram::bind(root.0.join("bin/socket")).unwrap();
    fs::set_permissions(root.0.join("bin/socket"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(root.fault("/bin/socket"), "exec: \"/bin/socket\": is a socket");
    fs::write(root.0.join("bin/prog"), "#!/bin/fifo\n").unwrap();
    assert_eq!(root.fault("/bin/prog"), "exec: \"/bin/fifo\": is a FIFO");
}

#[test]
fn a_program_for_another_processor_is_named() {
    let (machine, name) = if cfg!(target_arch = "aarch64") { (62, "x86-64") } else { (183, "aarch64") };
    let root = Root::new("arch", &elf(machine, ""), 0o755);
    let fault = root.fault("prog");
    assert!(fault.starts_with(&format!("/bin/prog is {name}, this host is ")), "{fault}");
    assert!(fault.ends_with("binfmt_misc has no interpreter for it"), "{fault}");
}

#[test]
fn a_missing_interpreter_is_named() {
    let root = Root::new("loader", &elf(own_machine(), "/lib/ld-musl.so.1"), 0o755);
    let fault = root.fault("prog");
    assert!(
        fault.starts_with("/bin/prog needs the ELF interpreter /lib/ld-musl.so.1, which is not in"),
        "{fault}"
    );
    let root = Root::new("script", b"#! /bin/bash -e\nx", 0o755);
    assert!(root.fault("prog").starts_with("/bin/prog is a script for /bin/bash, which is not in"));
    let root = Root::new("dos", b"#!/bin/sh\r\nx", 0o755);
    assert!(root.fault("prog").ends_with("its lines end with CR LF, as on Windows"));
    let root = Root::new("indirect", b"#!/bin/other\n", 0o755);
    fs::write(root.0.join("bin/other"), "#!/bin/gone\n").unwrap();
    fs::set_permissions(root.0.join("bin/other"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(root.fault("prog").starts_with("/bin/other is a script for /bin/gone"));
}

#[test]
fn a_file_that_is_no_program_is_named() {
    assert!(Root::new("text", b"echo hi\n", 0o755).fault("prog").contains("is text: neither"));
    assert!(Root::new("empty", b"", 0o755).fault("prog").contains("is empty: neither"));
    assert!(Root::new("short", b"\x7fELF", 0o755).fault("prog").contains("cut short"));
}

#[test]
fn nothing_is_said_of_what_a_mount_hides() {
    let root = Root::new("mount", b"", 0o755);
    let hidden = diagnose_exec(&root.0, "/bin/prog", None, Path::new("/"), &["/bin".into()]);
    assert_eq!(hidden, None);
}
