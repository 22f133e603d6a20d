//! Descriptors that the caller hands through the runtime: `--preserve-fds`, LISTEN_FDS.

use runtime_tests::{Config, Sandbox, json, requires};
use std::fs::File;
use std::net::TcpListener;

/// What the runtime has opened itself is no descriptor of its caller: its log, the pidfd of the container's init.
#[test]
fn what_the_runtime_has_opened_is_not_preserved() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    let log = s.path("log");
    for (count, number) in [("1", None), ("2", Some(3)), ("3", Some(3))] {
        let call = s.bare_call().args(["--log", &log, "--root"]).arg(s.state_root());
        let mut call = call.args(["run", "--preserve-fds", count, "-b"]).arg(&b.dir).arg(&id);
        if let Some(number) = number {
            call = call.fd(File::open("/dev/null").unwrap(), number);
        }
        call.run().expect_code(1).expect_error("preserved-fd");
    }
    let c = s.start(Config::sleeper());
    for count in ["2", "3", "4"] {
        let call = c.exec_call(&["--preserve-fds", count], &["/probe", "report"]);
        let out = call.fd(File::open("/dev/null").unwrap(), 3).run().expect_code(255);
        out.expect_error("preserved-fd");
    }
}

/// LISTEN_FDS alone may have been left over by whoever started the caller (sd_listen_fds(3)).
#[test]
fn listen_fds_count_only_for_the_process_that_they_name() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (id, b) = s.bundle(Config::default());
    let run = s.call(["run", "-b"]).arg(&b.dir).arg(&id).env("LISTEN_FDS", "1").fd(socket(), 3);
    let c = s.start(Config::sleeper());
    let exec = c.exec_call(&[], &["/probe", "report"]).env("LISTEN_FDS", "1").fd(socket(), 3);
    for call in [run, exec] {
        let report = call.run().expect_ok().lines().remove(0);
        assert_eq!(report["env"]["LISTEN_FDS"], json!(null));
        assert_eq!(report["fds"]["3"], json!(null));
    }
}
