//! Labels of Linux security modules: an AppArmor profile, as the process itself sees it.

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
        out.expect_error("process.apparmorProfile \"kt-missing\"");
    }
    assert!(!s.state_root().join(&id).exists());
}

#[test]
fn without_a_profile_the_process_is_unconfined() {
    requires!(Lsm("apparmor"));
    let s = Sandbox::new();
    assert_eq!(s.report(Config::default())["lsm"], "unconfined");
}
