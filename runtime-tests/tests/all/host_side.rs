//! What a container, an image or another user of the host leaves for krun's own half, which runs outside of all its walls.

use runtime_tests::{Config, Sandbox, json, raw, requires};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// The entry point is a device of the image, or one that the container made: nothing of it is read to explain the failure.
#[test]
fn a_device_as_program_is_named_and_not_opened() {
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let (id, b) = s.bundle(Config::default().args(&["/tool"]));
    for (kind, major, minor, name) in [
        (libc::S_IFCHR, 1, 3, "a character device"),
        (libc::S_IFBLK, 7, 250, "a block device"),
        (libc::S_IFIFO, 0, 0, "a FIFO"),
    ] {
        let devices = [b.inside("/tool"), format!("/proc/{}/root/tool", c.pid()).into()];
        for device in &devices {
            let _ = fs::remove_file(device);
            raw::mknod(&device.display().to_string(), kind | 0o755, major, minor).unwrap();
        }
        s.run_bundle(&id, &b).expect_code(1).expect_error(&format!("/tool\\\": is {name}\""));
        c.exec(&["/tool"]).expect_code(255).expect_error(&format!("/tool\\\": is {name}\""));
    }
}

/// No program can be there, and files of procfs and its like are there.
#[test]
fn what_lies_on_noexec_is_not_read() {
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper().mount("/noexec", "tmpfs", "tmpfs", &["noexec", "mode=0755"]));
    let script = format!("/proc/{}/root/noexec/script", c.pid());
    fs::write(&script, "#!/gone\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let out = c.exec(&["/noexec/script"]).expect_code(255).expect_error("permission denied");
    assert!(!out.stderr.contains("/gone"), "{out:?}");
}

/// Title, clear screen, an 8-bit control sequence and text that runs backwards.
const COMMANDS: &str = "/no\x1b]0;owned\x07\x1b[2J\u{9b}1m\x7f\u{202e}\r";

/// What a terminal would obey in a text.
fn obeyed(text: &str) -> String {
    let bidi = |c: &char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || bidi(c)).collect()
}

#[test]
fn nothing_from_a_container_commands_the_terminal() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default().args(&["/tool"]));
    b.add("/tool", format!("#!{COMMANDS}x\n"), 0o755).unwrap();
    let log = s.path("log");
    for format in ["text", "json"] {
        let run =
            s.bare_call().arg("--root").arg(s.state_root()).args(["--log", &log, "--log-format", format]);
        let out = run.args(["run", "-b"]).arg(&b.dir).arg(&id).run().expect_code(1);
        assert!(out.stderr.contains("/no\\x1b]0;owned\\x07"), "{out:?}");
        assert_eq!(obeyed(&out.stderr), "", "{out:?}");
        let run = s.bare_call().arg("--root").arg(s.state_root()).args(["--log-format", format]);
        let out = run.args(["run", "-b"]).arg(&b.dir).arg(&id).run().expect_code(1);
        assert_eq!(obeyed(&out.stderr), "", "{out:?}");
    }
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("owned") && obeyed(&text).is_empty(), "{text:?}");
}

/// The bundle of a stranger, looked at before it is run.
#[test]
fn nothing_from_a_bundle_commands_the_terminal() {
    requires!(Krun);
    let s = Sandbox::new();
    let config = Config::default().args(&[COMMANDS]).mount("/m", "bind", COMMANDS, &["bind"]);
    let config = config.set("/hostname", COMMANDS).set("/annotations", json!({ COMMANDS: COMMANDS }));
    let (id, b) = s.bundle(config.set(&format!("/x{}", COMMANDS.trim_start_matches('/')), 1));
    for command in ["check", "plan"] {
        for format in ["table", "json"] {
            let out = s.bare_call().args([command, "--format", format]).arg(&b.dir).run();
            assert!(out.stdout.contains("owned"), "{out:?}");
            assert_eq!(obeyed(&out.stdout) + &obeyed(&out.stderr), "", "{out:?}");
        }
    }
    let out = s.run_bundle(&id, &b);
    assert_eq!(obeyed(&out.stderr), "", "{out:?}");
}

#[test]
fn an_annotation_is_shown_as_json_escapes_and_means_the_same() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper().set("/annotations", json!({"a": COMMANDS})));
    let out = c.call(["state"]).run().expect_ok();
    assert_eq!(obeyed(&out.stdout), "", "{out:?}");
    assert_eq!(out.json()["annotations"]["a"], COMMANDS);
    let list = s.call(["list", "--format", "json"]).run().expect_ok();
    assert!(list.stdout.contains("owned") && obeyed(&list.stdout).is_empty(), "{list:?}");
}

/// The pid file's directory is writable for somebody else, who has put links where a temporary file may come.
#[test]
fn a_pid_file_overwrites_nothing_but_itself() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let (victim, public) = (s.path("victim"), s.path("public"));
    fs::write(&victim, "untouched").unwrap();
    fs::create_dir(&public).unwrap();
    for link in [".x.pid", "x.pid"] {
        symlink(&victim, format!("{public}/{link}")).unwrap();
    }
    let (id, b) = s.bundle(Config::sleeper());
    let file = format!("{public}/x.pid");
    s.call(["create", "--pid-file", &file, "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    let state = s.call(["state", &id]).run().expect_ok().json();
    assert_eq!(fs::read_to_string(&file).unwrap(), state["pid"].to_string());
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(fs::read_dir(&public).unwrap().count(), 2, "no temporary file stays");
    s.call(["delete", "-f", &id]).run().expect_ok();
    // A file that can't be made leaves nothing behind either.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    s.call(["create", "--pid-file", &file, "-b"]).arg(&b.dir).arg(&id).run().expect_code(1);
    assert_eq!(fs::read_dir(&public).unwrap().count(), 2, "no temporary file stays");
}
