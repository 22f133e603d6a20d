//! What goes wrong is refused, named, and leaves nothing.

use crate::malformed::{Case, all_refused};
use runtime_tests::bundle::Bundle;
use runtime_tests::runtime::Kind;
use runtime_tests::{Config, Output, Sandbox, elf, json, leftovers, requires};
use std::os::unix::fs::symlink;

/// Runs a bundle that must fail and leave nothing.
fn refused(s: &Sandbox, config: Config, change: impl FnOnce(&Bundle)) -> Output {
    let (id, b) = s.bundle(config);
    change(&b);
    let before = leftovers::before();
    let out = s.run_bundle(&id, &b);
    // Go's own exit code for a panic is 2.
    let want = if s.runtime.kind == Kind::Krun { 1..=1 } else { 1..=2 };
    assert!(want.contains(&out.code), "{out:?}");
    leftovers::assert_none(&before, s);
    out
}

/// The same, and krun says these words (others have their own).
fn refused_with(s: &Sandbox, config: Config, change: impl FnOnce(&Bundle), words: &[&str]) {
    let out = refused(s, config, change);
    if s.runtime.kind == Kind::Krun {
        for w in words {
            assert!(out.stderr.to_lowercase().contains(&w.to_lowercase()), "no {w:?} in: {}", out.stderr);
        }
    }
}

#[test]
fn a_missing_entry_point() {
    let s = Sandbox::new();
    let out = refused(&s, Config::default().args(&["/no/such/program"]), |_| ());
    out.expect_error("no such file or directory");
    let out = refused(&s, Config::default().args(&["no-such-program"]), |_| ());
    out.expect_error("run failed: unable to start container process")
        .expect_error("executable file not found");
}

#[test]
fn create_fails_for_a_missing_entry_point() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default().args(&["/no/such/program"]));
    let before = leftovers::before();
    s.call(["create", "-b"])
        .arg(&b.dir)
        .arg(&id)
        .run()
        .expect_code(1)
        .expect_error("no such file or directory");
    leftovers::assert_none(&before, &s);
}

#[test]
fn an_entry_point_that_is_not_executable() {
    let s = Sandbox::new();
    let out = refused(&s, Config::default().args(&["/data"]), |b| b.add("/data", "x", 0o644).unwrap());
    out.expect_error("permission denied");
}

#[test]
fn an_entry_point_that_is_a_directory() {
    let s = Sandbox::new();
    let out = refused(&s, Config::default().args(&["/etc"]), |_| ());
    out.expect_error_of(&["is a directory", "permission denied"]);
}

#[test]
fn a_binary_of_another_architecture() {
    let s = Sandbox::new();
    let words = if cfg!(target_arch = "aarch64") { ["x86-64", "aarch64"] } else { ["aarch64", "x86-64"] };
    let foreign = elf::executable(elf::foreign(), None);
    refused_with(
        &s,
        Config::default().args(&["/app"]),
        |b| b.add("/app", foreign, 0o755).unwrap(),
        &["/app", words[0], words[1]],
    );
}

#[test]
fn a_missing_elf_interpreter() {
    let s = Sandbox::new();
    let app = elf::executable(elf::native(), Some("/lib/ld-nowhere.so.1"));
    let config = Config::default().args(&["/app"]);
    refused_with(&s, config, |b| b.add("/app", app, 0o755).unwrap(), &["/app", "/lib/ld-nowhere.so.1"]);
}

#[test]
fn a_missing_script_interpreter() {
    let s = Sandbox::new();
    let config = Config::default().args(&["/run.sh"]);
    refused_with(
        &s,
        config,
        |b| b.add("/run.sh", "#!/bin/nowhere -x\n", 0o755).unwrap(),
        &["/run.sh", "/bin/nowhere"],
    );
}

#[test]
fn an_entry_point_that_is_no_program() {
    let s = Sandbox::new();
    let config = Config::default().args(&["/text"]);
    let out = refused(&s, config, |b| b.add("/text", "just words\n", 0o755).unwrap());
    out.expect_error("exec format error");
}

#[test]
fn start_says_why_the_program_did_not_start() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default().args(&["/run.sh"]));
    b.add("/run.sh", "#!/bin/nowhere\n", 0o755).unwrap();
    let call = s.call(["create", "-b"]).arg(&b.dir).arg(&id).run();
    if call.code == 0 {
        s.call(["start", &id]).run().expect_code(1).expect_error("/bin/nowhere");
    } else {
        call.expect_error("/bin/nowhere");
    }
}

#[test]
fn start_reports_a_program_that_vanished() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default().args(&["/app"]));
    std::fs::copy(b.inside("/probe"), b.inside("/app")).unwrap();
    let c = s.create_bundle(&id, &b);
    std::fs::remove_file(b.inside("/app")).unwrap();
    c.call(["start"]).run().expect_code(1).expect_error("no such file or directory");
}

#[test]
fn exec_names_what_is_wrong_with_the_program() {
    requires!(Krun);
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    c.bundle.add("/app", elf::executable(elf::foreign(), None), 0o755).unwrap();
    c.bundle.add("/run.sh", "#!/bin/nowhere\n", 0o755).unwrap();
    let host = if cfg!(target_arch = "aarch64") { "x86-64" } else { "aarch64" };
    c.exec(&["/app"]).expect_code(255).expect_error(host);
    c.exec(&["/run.sh"]).expect_code(255).expect_error("/bin/nowhere");
}

#[test]
fn a_missing_bundle_config_or_root() {
    let s = Sandbox::new();
    let id = s.new_id();
    s.call(["run", "-b", "/no/such/bundle", &id])
        .run()
        .expect_code(1)
        .expect_error("no such file or directory");
    refused(&s, Config::default(), |b| std::fs::remove_file(b.dir.join("config.json")).unwrap())
        .expect_error("config.json");
    refused(&s, Config::default().set("/root/path", "not-here"), |_| ()).expect_error("not-here");
    refused(&s, Config::default(), |b| {
        std::fs::remove_dir_all(b.rootfs()).unwrap();
        std::fs::write(b.rootfs(), "a file").unwrap();
    });
}

#[test]
fn configurations_that_are_not_json() {
    let s = Sandbox::new();
    for text in
        ["", "{", "[]", "null", "\"x\"", "{\"ociVersion\": \"1.0.2\"} trailing", "\u{feff}{}", "{'a': 1}"]
    {
        refused(&s, Config::default(), |b| b.write_text(text).unwrap());
    }
}

/// JSON pointer, a bad value, and the dotted path that krun's message has.
fn bad_values() -> Vec<Case> {
    vec![
        ("/process/user/uid", json!(-1), "process.user.uid"),
        ("/process/user/uid", json!("root"), "process.user.uid"),
        ("/process/user/gid", json!(4_294_967_296_u64), "process.user.gid"),
        ("/process/args", json!([]), "process.args"),
        ("/process/args", json!("sh"), "process.args"),
        ("/process/args/0", json!(7), "process.args[0]"),
        ("/process/env", json!(["NOEQUALS"]), "process.env[0]"),
        ("/process/cwd", json!(7), "process.cwd"),
        ("/process/cwd", json!(""), "process.cwd"),
        ("/process/rlimits/0/soft", json!(-1), "process.rlimits[0].soft"),
        ("/process/oomScoreAdj", json!("high"), "process.oomScoreAdj"),
        ("/process/oomScoreAdj", json!(5000), "oomScoreAdj"),
        ("/process/capabilities", json!([]), "process.capabilities"),
        ("/hostname", json!(5), "hostname"),
        ("/root", json!("rootfs"), "root"),
        ("/mounts", json!({}), "mounts"),
        ("/mounts/0/destination", json!(7), "mounts[0].destination"),
        ("/mounts/0/options", json!("ro"), "mounts[0].options"),
        ("/linux/namespaces/0/type", json!("nonsense"), "linux.namespaces[0]"),
        ("/linux/namespaces", json!({}), "linux.namespaces"),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "c", "major": "one", "minor": 3}]),
            "linux.devices[0]",
        ),
        ("/linux/resources/memory", json!({"limit": "lots"}), "linux.resources.memory.limit"),
        ("/linux/resources/pids", json!({"limit": "many"}), "linux.resources.pids.limit"),
        ("/linux/resources/devices/0/access", json!("xyz"), "linux.resources.devices[0]"),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NONSENSE"}), "linux.seccomp.defaultAction"),
        ("/linux/maskedPaths", json!("x"), "linux.maskedPaths"),
        ("/linux/rootfsPropagation", json!("sideways"), "linux.rootfsPropagation"),
        ("/linux/sysctl", json!({"kernel.domainname": 5}), "linux.sysctl"),
        ("/hooks", json!({"createRuntime": [{"path": 5}]}), "hooks.createRuntime[0].path"),
        ("/annotations", json!({"a": 5}), "annotations"),
    ]
}

#[test]
fn bad_values_are_refused_by_their_path() {
    requires!(Krun);
    all_refused(bad_values());
}

#[test]
fn other_runtimes_refuse_most_of_them_too() {
    let s = Sandbox::new();
    let all = bad_values();
    let mut refused = 0;
    for (pointer, value, _) in &all {
        let (id, b) = s.bundle(Config::probe(&["exit", "0"]).set(pointer, value.clone()));
        refused += usize::from(s.run_bundle(&id, &b).code != 0);
    }
    assert!(refused * 10 >= all.len() * 8, "only {refused} of {}", all.len());
}

#[test]
fn a_later_specification_version_is_refused() {
    requires!(Krun);
    let s = Sandbox::new();
    for version in ["2.0.0", "x", ""] {
        refused_with(&s, Config::default().set("/ociVersion", version), |_| (), &["ociVersion"]);
    }
}

#[test]
fn a_nul_in_a_string_is_refused() {
    requires!(Krun);
    let s = Sandbox::new();
    for pointer in ["/process/args/0", "/hostname", "/process/cwd", "/mounts/1/destination", "/process/env/0"]
    {
        refused(&s, Config::default().set(pointer, "/a\0b=c"), |_| ());
    }
}

#[test]
fn hostile_sizes_end_quickly() {
    requires!(Krun);
    let s = Sandbox::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let out = refused(&s, Config::default(), |b| b.write_text(&deep).unwrap());
    assert!(out.took.as_secs() < 5);
    let out = refused(&s, Config::default(), |b| {
        let f = std::fs::File::create(b.dir.join("config.json")).unwrap();
        f.set_len(4 << 30).unwrap();
    });
    assert!(out.took.as_secs() < 5, "{:?}", out.took);
}

#[test]
fn a_config_that_is_no_regular_file() {
    requires!(Krun);
    let s = Sandbox::new();
    refused(&s, Config::default(), |b| {
        std::fs::remove_file(b.dir.join("config.json")).unwrap();
        symlink("/dev/zero", b.dir.join("config.json")).unwrap();
    });
}

#[test]
fn container_ids() {
    let s = Sandbox::new();
    let (_, b) = s.bundle(Config::probe(&["exit", "0"]));
    let long = "x".repeat(1025);
    for id in ["../x", ".", "..", "", "a/b", "a b", "ü", "a\nb", &long, "a;b", "$(id)"] {
        let out = s.call(["run", "-b"]).arg(&b.dir).arg("--").arg(id).run();
        assert_ne!(out.code, 0, "{id:?}");
    }
    assert_eq!(std::fs::read_dir(s.state_root()).map_or(0, Iterator::count), 0);
    for id in ["a+b", "a_b-c.d", "A9"] {
        let full = format!("{}{id}", s.new_id());
        let bundle = s.bundle_for(&full, Config::probe(&["exit", "0"]));
        s.run_bundle(&full, &bundle).expect_ok();
        let _ = std::fs::remove_dir(format!("/sys/fs/cgroup/{full}"));
    }
}

#[test]
fn sysctls_of_the_host_are_refused() {
    let s = Sandbox::new();
    for name in ["kernel.panic", "vm.swappiness", "fs.file-max", "kernel.core_pattern", "x"] {
        refused(&s, Config::default().set("/linux/sysctl", json!({name: "1"})), |_| ()).expect_error(name);
    }
    // Namespaced ones, but the namespace is the host's.
    let shared = Config::default().without_namespace("ipc").without_mount("/dev/mqueue");
    refused(&s, shared.set("/linux/sysctl", json!({"kernel.shmmax": "1"})), |_| ())
        .expect_error("kernel.shmmax");
    let shared = Config::default().without_namespace("network");
    refused(&s, shared.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"})), |_| ())
        .expect_error("net.ipv4.ip_forward");
}

#[test]
fn namespaced_sysctls_are_set() {
    let s = Sandbox::new();
    let c = Config::default().set("/linux/sysctl", json!({
        "kernel.shmmax": "123456", "net.ipv4.ip_forward": "1", "fs.mqueue.msg_max": "17", "net.ipv4.ip_unprivileged_port_start": "0"}));
    let names =
        ["kernel/shmmax", "net/ipv4/ip_forward", "fs/mqueue/msg_max", "net/ipv4/ip_unprivileged_port_start"];
    let r = s.report_with(c, &names);
    assert_eq!(r["sysctl"][names[0]], "123456");
    assert_eq!(r["sysctl"][names[1]], "1");
    assert_eq!(r["sysctl"][names[2]], "17");
    assert_eq!(r["sysctl"][names[3]], "0");
}

#[test]
fn a_label_without_its_module_is_refused() {
    let s = Sandbox::new();
    if !std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        refused(&s, Config::default().set("/process/apparmorProfile", "some-profile"), |_| ())
            .expect_error("apparmor");
    }
    if s.runtime.kind == Kind::Krun && !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        let c = Config::default().set("/process/selinuxLabel", "system_u:system_r:container_t:s0");
        refused(&s, c, |_| ()).expect_error("selinux");
    }
}
