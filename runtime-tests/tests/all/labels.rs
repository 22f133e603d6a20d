//! Labels of Linux security modules, as the process itself sees them: AppArmor's profiles,
//! SELinux's contexts (those of runtime-tests/vm/selinux.cil).

use runtime_tests::{Config, Sandbox, json, requires};
use std::io::Write;
use std::process::{Command, Stdio};

/// A profile in the kernel that allows all but reading /etc/secret; gone when dropped.
struct Profile {
    name: String,
}

impl Profile {
    fn load(name: &str) -> Profile {
        let profile = Profile { name: format!("{name}-{}", std::process::id()) };
        profile.parser("--replace");
        profile
    }

    fn parser(&self, what: &str) {
        let text = format!(
            "profile {} flags=(attach_disconnected) {{\n file,\n capability,\n network,\n mount,\n umount,\n signal,\n \
             ptrace,\n unix,\n deny /etc/secret r,\n}}\n",
            self.name
        );
        let mut parser = Command::new("apparmor_parser")
            .args([what, "--skip-cache", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(parser.wait().unwrap().success(), "apparmor_parser {what}");
    }

    /// What /proc/self/attr/current says under it.
    fn label(&self) -> String {
        format!("{} (enforce)", self.name)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove");
    }
}

#[test]
fn an_apparmor_profile_confines_init_and_exec() {
    requires!(Lsm("apparmor"), Program("apparmor_parser"));
    let s = Sandbox::new();
    let profile = Profile::load("kt-init");
    for no_new_privs in [true, false] {
        let config = Config::probe(&["report", "--", "read", "/etc/secret", "--", "ready-sleep"])
            .set("/process/apparmorProfile", profile.name.clone())
            .set("/process/noNewPrivileges", no_new_privs);
        let (id, b) = s.bundle(config);
        b.add("/etc/secret", "secret", 0o644).unwrap();
        let c = s.start_bundle(&id, &b);
        c.wait_ready();
        let lines = c.lines();
        assert_eq!(lines[0]["lsm"], profile.label());
        assert_eq!(lines[1]["errno"], "EACCES", "{}", lines[1]);
        // exec takes the profile over from the bundle's process.
        let lines = c.exec_probe(&["report", "--", "read", "/etc/secret"]);
        assert_eq!(lines[0]["lsm"], profile.label());
        assert_eq!(lines[1]["errno"], "EACCES");
    }
}

#[test]
fn exec_may_name_another_apparmor_profile() {
    requires!(Lsm("apparmor"), Program("apparmor_parser"));
    let s = Sandbox::new();
    let (init, other) = (Profile::load("kt-one"), Profile::load("kt-two"));
    let c = s.start(Config::sleeper().set("/process/apparmorProfile", init.name.clone()));
    let out = c.exec_with(&["--apparmor", &other.name], &["/probe", "report"]).expect_ok();
    assert_eq!(out.lines()[0]["lsm"], other.label());
    let process = json!({"args": ["/probe", "report"], "apparmorProfile": other.name});
    let out = c.exec_process(&[], &process).expect_ok();
    assert_eq!(out.lines()[0]["lsm"], other.label());
    c.exec_with(&["--apparmor", "kt-missing"], &["/probe", "report"])
        .expect_code(255)
        .expect_error("kt-missing");
}

#[test]
fn a_missing_apparmor_profile_is_named() {
    requires!(Lsm("apparmor"), RuncLike);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default().set("/process/apparmorProfile", "kt-missing"));
    let out = s.run_bundle(&id, &b).expect_code(1).expect_error("apparmor").expect_error("/attr/");
    if s.runtime.kind == runtime_tests::runtime::Kind::Krun {
        out.expect_error("process.apparmorProfile").expect_error("kt-missing");
    }
    assert!(!s.state_root().join(&id).exists());
}

#[test]
fn without_a_profile_the_process_is_unconfined() {
    requires!(Lsm("apparmor"));
    let s = Sandbox::new();
    assert_eq!(s.report(Config::default())["lsm"], "unconfined");
}

const CONTAINER: &str = "u:r:container_t:s0";
const OTHER: &str = "u:r:other_t:s0";
const VOLUME: &str = "u:object_r:volume_t:s0";

#[test]
fn a_selinux_label_is_that_of_init_and_exec() {
    requires!(Lsm("selinux"), Path("/sys/fs/selinux/enforce"));
    let s = Sandbox::new();
    for no_new_privs in [true, false] {
        let config = Config::probe(&["report", "--", "ready-sleep"])
            .set("/process/selinuxLabel", CONTAINER)
            .set("/process/noNewPrivileges", no_new_privs);
        let c = s.start(config);
        c.wait_ready();
        assert_eq!(c.lines()[0]["lsm"], CONTAINER);
        assert_eq!(c.exec_probe(&["report"])[0]["lsm"], CONTAINER);
        let out = c.exec_with(&["--process-label", OTHER], &["/probe", "report"]).expect_ok();
        assert_eq!(out.lines()[0]["lsm"], OTHER);
        let process = json!({"args": ["/probe", "report"], "selinuxLabel": OTHER});
        assert_eq!(c.exec_process(&[], &process).expect_ok().lines()[0]["lsm"], OTHER);
        c.exec_with(&["--process-label", "u:r:missing_t:s0"], &["/probe", "report"]).expect_code(255);
    }
    assert_eq!(s.report(Config::default())["lsm"], "u:r:host_t:s0");
}

#[test]
fn an_unknown_selinux_label_is_named() {
    requires!(Lsm("selinux"), Path("/sys/fs/selinux/enforce"), Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default().set("/process/selinuxLabel", "u:r:missing_t:s0"));
    s.run_bundle(&id, &b)
        .expect_code(1)
        .expect_error("process.selinuxLabel")
        .expect_error("u:r:missing_t:s0");
    assert!(!s.state_root().join(&id).exists());
    let config = Config::default().set("/linux/mountLabel", "u:object_r:missing_t:s0");
    s.run(config).expect_code(1).expect_error("u:object_r:missing_t:s0");
}

#[test]
fn a_mount_label_is_that_of_the_new_file_systems() {
    requires!(Lsm("selinux"), Path("/sys/fs/selinux/enforce"));
    let s = Sandbox::new();
    let config =
        Config::default().set("/linux/mountLabel", VOLUME).mount("/mnt", "tmpfs", "tmpfs", &["size=1m"]);
    let lines = s.probe(config.args(&["/probe", "report", "--", "xattr", "/dev/mqueue", "security.selinux"]));
    let r = &lines[0];
    assert_eq!(lines[1]["value"], VOLUME, "/dev/mqueue: {}", lines[1]);
    for target in ["/dev", "/dev/pts", "/dev/shm", "/mnt"] {
        let m = crate::mount_on(r, target);
        assert!(m["super"].to_string().contains(&format!("context={VOLUME}")), "{target}: {m}");
    }
    for target in ["/proc", "/sys"] {
        assert!(!crate::mount_on(r, target)["super"].to_string().contains("context="), "{target}");
    }
}
