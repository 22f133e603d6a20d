//! `NOTIFY_SOCKET`: the container speaks to its own socket, the host's hears it.

use runtime_tests::{Config, Sandbox, requires};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// The host's side: a socket in the sandbox, and what arrived there.
struct Host {
    path: String,
    socket: UnixDatagram,
}

impl Host {
    fn new(s: &Sandbox) -> Host {
        let path = s.path("host-notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Host { path, socket }
    }

    #[track_caller]
    fn next(&self) -> String {
        let mut buf = [0u8; 4096];
        let n = self.socket.recv(&mut buf).expect("a message");
        String::from_utf8_lossy(&buf[..n]).into_owned()
    }
}

/// Says the words to the container's socket, then waits to be killed.
fn speaker(words: &str) -> Config {
    Config::default().args(&["/probe", "notify", words, "--", "ready-sleep"])
}

#[test]
fn ready_main_pid_and_barrier_come_in_order() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let host = Host::new(&s);
    let (id, b) = s.bundle(speaker("READY=1\nMAINPID=1"));
    let running = s.call(["run", "-d", "-b"]).arg(&b.dir).arg(&id).env("NOTIFY_SOCKET", &host.path).start();
    assert_eq!(host.next().lines().next(), Some("READY=1"));
    let main = host.next();
    assert_eq!(host.next().trim(), "BARRIER=1");
    running.wait().expect_ok();
    let state = s.call(["state", &id]).run().expect_ok().json();
    assert_eq!(main.trim(), format!("MAINPID={}", state["pid"]), "the pid on the host");
}

#[test]
fn start_proxies_for_a_created_container() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let host = Host::new(&s);
    let (id, b) = s.bundle(speaker("READY=1"));
    s.call(["create", "-b"]).arg(&b.dir).arg(&id).env("NOTIFY_SOCKET", &host.path).run().expect_ok();
    let running = s.call(["start", &id]).env("NOTIFY_SOCKET", &host.path).start();
    assert_eq!(host.next().lines().next(), Some("READY=1"));
    assert!(host.next().starts_with("MAINPID="));
    assert_eq!(host.next().trim(), "BARRIER=1");
    running.wait().expect_ok();
}

#[test]
fn a_container_that_ends_without_a_word_holds_nobody_up() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let host = Host::new(&s);
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    s.call(["run", "-d", "-b"]).arg(&b.dir).arg(&id).env("NOTIFY_SOCKET", &host.path).run().expect_ok();
}

/// The manager would stop the service, wait for it for ever or call it failed.
#[test]
fn only_ready_goes_through_and_only_once() {
    requires!(Krun);
    let s = Sandbox::new();
    let host = Host::new(&s);
    let words = ["STATUS=warming up", "STOPPING=1\nWATCHDOG_USEC=1", "READY=0", "READY=10", "XREADY=1"];
    let ready = "EXTEND_TIMEOUT_USEC=9\nREADY=1\nREADY=1\nMAINPID=1";
    let said = words.iter().chain([&ready]).flat_map(|word| ["notify", word, "--"]);
    let args: Vec<&str> =
        ["/probe"].into_iter().chain(said).chain(["notify-flood", "READY=1", "10000"]).collect();
    let (id, b) = s.bundle(Config::default().args(&args));
    let running = s.call(["run", "-b"]).arg(&b.dir).arg(&id).env("NOTIFY_SOCKET", &host.path).start();
    // While it stays the runtime is the service's main process.
    let pid = running.pid();
    assert_eq!(host.next(), "READY=1\n");
    assert_eq!(host.next(), format!("MAINPID={pid}\n"));
    assert_eq!(host.next(), "BARRIER=1");
    let out = running.wait().expect_ok();
    let flood = out.lines().into_iter().find(|line| line["action"] == "notify-flood").unwrap();
    // At the first message or a later one.
    let refused = [&flood["error"], &flood["errno"]].into_iter().any(|error| error == "ECONNREFUSED");
    assert!(refused, "nobody listens any more, and that is said: {flood}");
    host.socket.set_nonblocking(true).unwrap();
    assert!(host.socket.recv(&mut [0; 64]).is_err(), "the manager heard more");
}

/// Messages are taken at a pace of the runtime's; who says more waits.
#[test]
fn a_flood_before_ready_is_slowed_down() {
    requires!(Krun);
    for detached in [true, false] {
        let s = Sandbox::new();
        let host = Host::new(&s);
        let flood = ["/probe", "notify-flood", "STATUS=x", "2000", "--", "notify", "READY=1"];
        let (id, b) = s.bundle(Config::default().args(&flood));
        let call = s.call(["run"]).args(detached.then_some("-d")).arg("-b").arg(&b.dir).arg(&id);
        let out = s.path("flood");
        let file = std::fs::File::create(&out).unwrap();
        let running = call.stdout(file).env("NOTIFY_SOCKET", &host.path).start();
        // All that comes is read: it is not the manager that slows anything down.
        while host.next() != "BARRIER=1" {}
        running.wait().expect_ok();
        let sent = || {
            let lines = runtime_tests::invocation::json_lines(&std::fs::read_to_string(&out).unwrap());
            lines.iter().find(|line| line["action"] == "notify-flood").map(|line| line["sent"].clone())
        };
        assert!(runtime_tests::container::eventually(|| sent().is_some()));
        let sent = sent().and_then(|sent| sent.as_u64()).unwrap();
        assert!((1..5000).contains(&sent), "{sent} messages in two seconds");
    }
}

#[test]
fn the_container_cannot_change_the_directory_and_exec_does_not_inherit_the_variable() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let host = Host::new(&s);
    let (id, b) = s.bundle(speaker("READY=1"));
    let running = s.call(["run", "-d", "-b"]).arg(&b.dir).arg(&id).env("NOTIFY_SOCKET", &host.path).start();
    // The runtime waits for its barrier to be read.
    while host.next().trim() != "BARRIER=1" {}
    running.wait().expect_ok();
    let out = s.call(["exec", &id, "/probe", "report"]).run().expect_ok();
    let report = &out.lines()[0];
    assert_eq!(report["env"]["NOTIFY_SOCKET"], runtime_tests::json!(null));
    let mount = crate::mount_on(report, "/run/notify");
    assert!(crate::has_option(&mount, "ro") && crate::has_option(&mount, "noexec"), "{mount}");
}
