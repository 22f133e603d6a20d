//! Flags, logs, versions: what engines type and read.

use runtime_tests::{Config, Sandbox, Value, json, requires};

#[test]
fn version_has_the_lines_that_dockerd_parses() {
    let s = Sandbox::new();
    let out = s.bare_call().arg("--version").run().expect_ok().stdout;
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].split(' ').nth(1) == Some("version"), "{out}");
    assert!(lines.iter().any(|l| l.starts_with("commit: ")), "{out}");
    assert!(lines.iter().any(|l| l.starts_with("spec: 1.")), "{out}");
    assert_eq!(s.bare_call().arg("-v").run().expect_ok().stdout, out);
}

#[test]
fn version_names_krun_s_features() {
    requires!(Krun);
    let s = Sandbox::new();
    let out = s.bare_call().arg("--version").run().expect_ok().stdout;
    let last = out.lines().last().unwrap();
    for f in ["+SECCOMP", "+EBPF", "+SYSTEMD"] {
        assert!(last.contains(f), "{out}");
    }
    assert!(out.starts_with("krun version ") && out.contains("spec: 1.3"), "{out}");
}

#[test]
fn version_and_features_tell_the_commit() {
    requires!(Krun);
    let s = Sandbox::new();
    let out = s.bare_call().arg("--version").run().expect_ok().stdout;
    let commit = out.lines().find_map(|l| l.strip_prefix("commit: ")).unwrap();
    let features = s.bare_call().arg("features").run().expect_ok().json();
    assert_eq!(features["annotations"]["io.krun.commit"], commit);
    // Where the source and its repository are at hand, it is one of its commits (HEAD, if krun was
    // built just now).
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(args).output().is_ok_and(|o| o.status.success())
    };
    if git(&["rev-parse", "--verify", "HEAD"]) {
        assert!(commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{commit}");
        assert!(git(&["cat-file", "-e", &format!("{commit}^{{commit}}")]), "{commit} is no commit");
    }
}

#[test]
fn both_spellings_of_a_flag_s_value() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    let root = s.state_root().display().to_string();
    let call = s.bare_call().arg(format!("--root={root}"));
    call.args(["run", &format!("--bundle={}", b.dir.display()), &id]).run().expect_ok();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    s.bare_call().args(["--root", &root, "run", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
}

#[test]
fn create_takes_go_runc_s_argument_order() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::sleeper());
    let bundle = b.dir.display().to_string();
    let root = s.state_root().display().to_string();
    let (log, pid) = (s.path("log.json"), s.path("init.pid"));
    let args = [
        "--root",
        &root,
        "--log",
        &log,
        "--log-format",
        "json",
        "create",
        "--bundle",
        &bundle,
        "--pid-file",
        &pid,
        "--no-pivot",
        "--no-new-keyring",
        &id,
    ];
    s.bare_call().args(args).run().expect_ok();
    assert_eq!(std::fs::read_to_string(&log).unwrap_or_default(), "");
    s.bare_call()
        .args(["--root", &root, "--log", &log, "--log-format", "json", "start", &id])
        .run()
        .expect_ok();
    s.bare_call()
        .args(["--root", &root, "--log", &log, "--log-format", "json", "kill", &id, "9"])
        .run()
        .expect_ok();
    s.bare_call().args(["--root", &root, "delete", "--force", &id]).run().expect_ok();
}

#[test]
fn a_json_log_has_one_line_for_a_failure() {
    let s = Sandbox::new();
    let log = s.path("log.json");
    let out = s.bare_call().args(["--root"]).arg(s.state_root());
    let out = out.args(["--log", &log, "--log-format", "json", "start", "nobody"]).run().expect_code(1);
    let text = std::fs::read_to_string(&log).unwrap();
    let entries: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(entries.len(), 1, "{text}");
    assert_eq!(entries[0]["level"], "error");
    assert!(entries[0]["msg"].as_str().unwrap().contains("does not exist"), "{text}");
    assert!(entries[0]["time"].as_str().unwrap().contains('T'));
    assert!(out.stderr.contains("does not exist"), "the bare message is on stderr too: {}", out.stderr);
}

#[test]
fn a_text_log() {
    let s = Sandbox::new();
    let log = s.path("log.txt");
    let call = s.bare_call().arg("--root").arg(s.state_root());
    call.args(["--log", &log, "start", "nobody"]).run().expect_code(1);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("does not exist") && text.contains("error"), "{text}");
}

#[test]
fn errors_go_to_stderr_without_a_log() {
    let s = Sandbox::new();
    let out = s.call(["start", "nobody"]).run().expect_code(1);
    assert!(out.stderr.contains("does not exist"), "{}", out.stderr);
    assert_eq!(out.stdout, "");
}

#[test]
fn an_unknown_capability_is_only_a_warning_in_debug() {
    requires!(RuncLike, Spec(1, 1));
    let s = Sandbox::new();
    let caps = json!({"bounding": ["CAP_KILL", "CAP_UNKNOWN"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]});
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]).set("/process/capabilities", caps));
    let log = s.path("log.json");
    let call = s.bare_call().arg("--root").arg(s.state_root()).args([
        "--log",
        &log,
        "--log-format",
        "json",
        "run",
        "-b",
    ]);
    let out = call.arg(&b.dir).arg(&id).run().expect_ok();
    assert_eq!(out.stderr, "");
}

#[test]
fn the_state_root_is_private() {
    let s = Sandbox::new();
    let root = s.path("fresh-root");
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    s.bare_call().args(["--root", &root, "run", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&root).unwrap().permissions());
    assert_eq!(mode & 0o077 & !0o011, 0, "{mode:o}");
}

#[test]
fn slash_as_root_is_refused() {
    requires!(Krun);
    let s = Sandbox::new();
    s.bare_call().args(["--root", "/", "list"]).run().expect_code(1);
}

#[test]
fn a_usage_error() {
    let s = Sandbox::new();
    s.call(["nonsense"]).run().expect_error("");
    s.call(["create"]).run().expect_error("");
    s.call(["kill"]).run().expect_error("");
    s.call(["start", "a", "b"]).run().expect_error("");
    let out = s.call(["run", "--no-such-flag", "x"]).run().expect_error("flag provided but not defined");
    assert_eq!(out.stderr.matches("not defined").count(), 1, "{out:?}");
}

#[test]
fn help_is_there() {
    let s = Sandbox::new();
    let text = s.bare_call().arg("--help").run().expect_ok().stdout;
    for verb in [
        "create", "start", "exec", "kill", "delete", "list", "state", "update", "events", "pause", "resume",
        "ps", "spec", "features",
    ] {
        assert!(text.contains(verb), "{verb} isn't in --help");
    }
    assert!(s.bare_call().args(["run", "--help"]).run().expect_ok().stdout.contains("--bundle"));
}

#[test]
fn checkpoint_help_answers() {
    requires!(RuncLike);
    let s = Sandbox::new();
    s.bare_call().args(["checkpoint", "--help"]).run().expect_ok();
}

#[test]
fn an_error_names_the_program_that_was_called() {
    requires!(Krun);
    let s = Sandbox::new();
    let other = s.dir().join("oci-runtime");
    std::os::unix::fs::symlink(&s.runtime.path, &other).unwrap();
    let (id, b) = s.bundle(Config::default().args(&["no-such-program"]));
    let call = runtime_tests::invocation::Invocation::new(&other, s.dir());
    let call = call.arg("--root").arg(s.state_root()).args(["run", "-b"]).arg(&b.dir).arg(&id);
    call.run().expect_code(1).expect_error("oci-runtime run failed: unable to start container process");
}

#[test]
fn checkpoint_names_a_wrong_parent_path_and_that_it_is_not_supported() {
    requires!(Krun);
    let s = Sandbox::new();
    let images = std::env::temp_dir();
    for (parent, words) in
        [("/", "--parent-path must be relative"), ("no-such-images", "invalid --parent-path")]
    {
        let call = s.call(["checkpoint", "--parent-path", parent, "--image-path"]);
        let out = call.arg(&images).arg("c").run().expect_code(1);
        out.expect_error(words).expect_error("checkpoint is not supported");
    }
}

#[test]
fn features_are_json_and_plausible() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let f = s.bare_call().arg("features").run().expect_ok().json();
    for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        assert!(f["hooks"].as_array().unwrap().contains(&json!(hook)), "{hook}");
    }
    let ns = f["linux"]["namespaces"].to_string();
    for kind in ["pid", "network", "mount", "ipc", "uts", "user", "cgroup"] {
        assert!(ns.contains(kind), "{kind} isn't in {ns}");
    }
    assert_eq!(f["linux"]["cgroup"]["v2"], true);
    assert_eq!(f["linux"]["seccomp"]["enabled"], true);
    assert!(f["linux"]["seccomp"]["actions"].as_array().unwrap().contains(&json!("SCMP_ACT_ERRNO")));
    assert!(f["mountOptions"].as_array().unwrap().contains(&json!("rro")));
    assert!(f["linux"]["capabilities"].as_array().unwrap().len() >= 41);
    assert!(f["ociVersionMin"].as_str().unwrap().starts_with("1."));
}

/// features.md of the runtime-spec; runc's has the same members.
#[test]
fn features_have_the_specification_s_members() {
    requires!(Krun);
    let s = Sandbox::new();
    let f = s.bare_call().arg("features").run().expect_ok().json();
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let set = |names: &str| names.split(' ').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let top =
        "annotations hooks linux mountOptions ociVersionMax ociVersionMin potentiallyUnsafeConfigAnnotations";
    assert_eq!(keys(&f), set(top));
    let linux = "apparmor capabilities cgroup intelRdt memoryPolicy mountExtensions namespaces netDevices seccomp selinux";
    assert_eq!(keys(&f["linux"]), set(linux));
    assert_eq!(keys(&f["linux"]["cgroup"]), set("rdma systemd systemdUser v1 v2"));
    assert_eq!(
        keys(&f["linux"]["seccomp"]),
        set("actions archs enabled knownFlags operators supportedFlags")
    );
    // All of runc's mount options.
    let options = "async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand \
        noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid \
        nosymfollow private ratime rbind rdev rdiratime relatime remount rexec ridmap rnoatime rnodev \
        rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw \
        rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid \
        symfollow sync tmpcopyup unbindable";
    let has = super::strings(&f["mountOptions"]);
    let missing: Vec<_> = options.split_whitespace().filter(|o| !has.iter().any(|h| h == o)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn features_of_spec_1_3() {
    requires!(Spec(1, 3));
    let s = Sandbox::new();
    let f = s.bare_call().arg("features").run().expect_ok().json();
    assert!(f["linux"]["namespaces"].as_array().unwrap().contains(&json!("time")));
    assert_eq!(f["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    assert!(
        f["linux"]["seccomp"]["knownFlags"].as_array().unwrap().contains(&json!("SECCOMP_FILTER_FLAG_LOG"))
    );
    assert_eq!(f["linux"]["netDevices"]["enabled"], true);
}

#[test]
fn spec_writes_the_default_configuration() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let dir = s.path("spec");
    std::fs::create_dir(&dir).unwrap();
    s.call(["spec", "--bundle", &dir]).run().expect_ok();
    let text = std::fs::read_to_string(format!("{dir}/config.json")).unwrap();
    let c: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(c["process"]["terminal"], true);
    assert_eq!(c["process"]["args"], json!(["sh"]));
    assert_eq!(c["root"], json!({"path": "rootfs", "readonly": true}));
    assert_eq!(c["process"]["noNewPrivileges"], true);
    assert_eq!(c["mounts"].as_array().unwrap().len(), 7);
    let again = s.call(["spec", "--bundle", &dir]).run();
    assert_ne!(again.code, 0, "an existing config.json isn't overwritten");
}

#[test]
fn spec_s_own_configuration_runs() {
    requires!(RuncLike, Busybox);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    std::fs::remove_file(b.dir.join("config.json")).unwrap();
    s.call(["spec"]).cwd(&b.dir).run().expect_ok();
    let path = b.dir.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut c: Value = serde_json::from_str(&text).unwrap();
    c["process"]["terminal"] = json!(false);
    c["process"]["args"] = json!(["sh", "-c", "exit 21"]);
    c["linux"]["cgroupsPath"] = json!(format!("/{id}"));
    std::fs::write(&path, c.to_string()).unwrap();
    s.run_bundle(&id, &b).expect_code(21);
}

#[test]
fn spec_rootless() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let dir = s.path("spec");
    std::fs::create_dir(&dir).unwrap();
    s.call(["spec", "--rootless", "-b", &dir]).run().expect_ok();
    let text = std::fs::read_to_string(format!("{dir}/config.json")).unwrap();
    let c: Value = serde_json::from_str(&text).unwrap();
    assert!(c["linux"]["namespaces"].to_string().contains("user"));
    assert_eq!(c["linux"]["uidMappings"][0]["containerID"], 0);
    assert!(!c["linux"]["namespaces"].to_string().contains("network"));
    assert!(!text.contains("null"), "{text}");
}

#[test]
fn run_of_a_bundle_by_its_folder() {
    requires!(Krun);
    let s = Sandbox::new();
    let (_, b) = s.bundle(Config::probe(&["exit", "14"]));
    s.call(["run"]).arg(format!("{}/", b.dir.display())).run().expect_code(14);
    let name = s.new_id();
    s.call(["run", "--id", &name]).arg(format!("{}/", b.dir.display())).run().expect_code(14);
}

#[test]
fn run_timing_prints_phases() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    let out = s.call(["run", "--timing", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    assert!(out.stderr.contains("us") || out.stderr.contains("µs"), "{}", out.stderr);
}
