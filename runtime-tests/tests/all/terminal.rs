//! Pseudo terminals: console sockets, the foreground, sizes, exec -t.

use runtime_tests::container::eventually;
use runtime_tests::invocation::{Invocation, json_lines};
use runtime_tests::{Config, Container, Sandbox, Value, json, raw, requires};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

fn tty(actions: &[&str]) -> Config {
    Config::probe(actions).set("/process/terminal", true)
}

/// What comes from a terminal's master until it closes or `enough` holds.
fn read_until(master: &OwnedFd, enough: impl Fn(&str) -> bool) -> String {
    let mut f = File::from(master.try_clone().unwrap());
    let mut text = String::new();
    while raw::poll_in(master.as_fd(), 10_000) {
        let mut buf = [0; 4096];
        match f.read(&mut buf) {
            Ok(n) if n > 0 => text.push_str(&String::from_utf8_lossy(&buf[..n])),
            _ => break,
        }
        if enough(&text) {
            break;
        }
    }
    text
}

struct Console {
    path: String,
    listener: UnixListener,
}

impl Console {
    fn new(s: &Sandbox) -> Console {
        let path = s.path("console.sock");
        let _ = std::fs::remove_file(&path);
        Console { listener: UnixListener::bind(&path).unwrap(), path }
    }

    /// The message's text and its one descriptor.
    fn receive(&self) -> (String, OwnedFd) {
        assert!(raw::poll_in(self.listener.as_fd(), 10_000), "nobody connected");
        let (conn, _) = self.listener.accept().unwrap();
        let (data, mut fds) = raw::recv_fds(conn.as_fd()).unwrap();
        assert_eq!(fds.len(), 1, "exactly one descriptor");
        (String::from_utf8(data).unwrap(), fds.remove(0))
    }
}

fn created<'s>(s: &'s Sandbox, config: Config) -> (Container<'s>, String, OwnedFd) {
    let console = Console::new(s);
    let (id, b) = s.bundle(config);
    let call = s.call(["create", "--console-socket", &console.path, "-b"]).arg(&b.dir).arg(&id).start();
    let file = call.stdout_file().to_owned();
    let (name, master) = console.receive();
    call.wait().expect_ok();
    (Container::new(s, &id, b, file), name, master)
}

#[test]
fn the_console_socket_gets_the_master() {
    let s = Sandbox::new();
    let (c, name, master) = created(&s, tty(&["report"]));
    assert!(name.contains("pts") || name.contains("ptmx"), "{name}");
    assert!(raw::isatty(master.as_raw_fd()));
    c.start();
    let text = read_until(&master, |t| t.contains("\"umask\""));
    c.wait_exit();
    let report = json_lines(&text).remove(0);
    for stream in ["stdin", "stdout", "stderr", "controlling"] {
        assert_eq!(report["tty"][stream], true, "{stream}");
    }
    assert!(report["tty"]["name"].as_str().unwrap().starts_with("/dev/pts/"), "{}", report["tty"]);
    assert_eq!(report["dev"]["console"]["type"], "char");
    assert_eq!(report["sid"], 1);
}

#[test]
fn the_terminal_is_the_container_s_own() {
    let s = Sandbox::new();
    let (c, _, master) = created(
        &s,
        tty(&["stat", "/dev/pts/0", "--", "stat", "/dev/console", "--", "open-rw", "/dev/console"]),
    );
    c.start();
    let text = read_until(&master, |t| t.lines().count() >= 3);
    c.wait_exit();
    let lines = json_lines(&text);
    assert_eq!(lines[0]["major"], 136);
    assert_eq!((&lines[1]["major"], &lines[1]["minor"]), (&lines[0]["major"], &lines[0]["minor"]));
    assert_eq!(lines[2]["ok"], true);
}

#[test]
fn the_terminal_belongs_to_the_user() {
    let s = Sandbox::new();
    let user = json!({"uid": 1000, "gid": 1000});
    let (c, _, master) =
        created(&s, tty(&["stat", "/dev/pts/0", "--", "open-rw", "/dev/tty"]).set("/process/user", user));
    c.start();
    let lines = json_lines(&read_until(&master, |t| t.lines().count() >= 2));
    c.wait_exit();
    assert_eq!(lines[0]["uid"], 1000);
    assert_eq!(lines[1]["ok"], true);
}

#[test]
fn console_size() {
    let s = Sandbox::new();
    let (c, _, master) =
        created(&s, tty(&["winsize"]).set("/process/consoleSize", json!({"height": 31, "width": 97})));
    assert_eq!(raw::winsize(master.as_raw_fd()), Some([31, 97]));
    c.start();
    let text = read_until(&master, |t| t.contains('}'));
    c.wait_exit();
    assert_eq!(json_lines(&text)[0]["size"], json!([31, 97]));
}

#[test]
fn input_and_signals_go_through_the_terminal() {
    let s = Sandbox::new();
    let (c, _, master) = created(&s, tty(&["log-signals"]));
    c.start();
    read_until(&master, |t| t.contains("ready"));
    File::from(master.try_clone().unwrap()).write_all(&[3]).unwrap();
    let text = read_until(&master, |t| t.contains("signal"));
    assert!(text.contains("{\"signal\":2}"), "^C is SIGINT: {text}");
    raw::set_winsize(master.as_raw_fd(), 11, 22).unwrap();
    let text = read_until(&master, |t| t.contains("signal"));
    assert!(text.contains("{\"signal\":28}"), "a new size is SIGWINCH: {text}");
}

#[test]
fn mismatches_are_errors() {
    let s = Sandbox::new();
    let console = Console::new(&s);
    let (id, b) = s.bundle(tty(&["report"]));
    s.call(["create", "-b"]).arg(&b.dir).arg(&id).run().expect_code(1).expect_error("console");
    let (id, b) = s.bundle(Config::default());
    let call = s.call(["create", "--console-socket", &console.path, "-b"]).arg(&b.dir).arg(&id);
    call.run().expect_code(1).expect_error("console");
    let (id, b) = s.bundle(tty(&["report"]));
    let call = s.call(["run", "--detach", "-b"]).arg(&b.dir).arg(&id);
    call.run().expect_code(1).expect_error("console");
    let (id, b) = s.bundle(tty(&["report"]));
    let call = s.call(["create", "--console-socket", "/no/such/socket", "-b"]).arg(&b.dir).arg(&id);
    call.run().expect_code(1);
    assert!(!s.state_root().join(&id).exists());
}

/// Runs a call on a terminal of the test's: what it printed, and its code.
fn on_a_terminal(s: &Sandbox, args: &[&str], size: [u16; 2], dialog: impl Fn(&OwnedFd)) -> (String, i32) {
    let (master, slave) = raw::openpty().unwrap();
    raw::set_winsize(slave.as_raw_fd(), size[0], size[1]).unwrap();
    let io = || File::from(slave.try_clone().unwrap());
    let call = s.call(args).stdin(io()).stdout(io()).stderr(io());
    let call = call.before_exec(|| raw::take_terminal(0)).start();
    drop(slave);
    dialog(&master);
    let text = read_until(&master, |_| false);
    (text, call.wait().code)
}

#[test]
fn a_terminal_in_the_foreground() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(tty(&["report", "--", "winsize", "--", "exit", "5"]));
    let bundle = b.dir.display().to_string();
    let (text, code) = on_a_terminal(&s, &["run", "-b", &bundle, &id], [40, 111], |_| ());
    assert_eq!(code, 5, "{text}");
    let lines = json_lines(&text);
    assert_eq!(lines[0]["tty"]["stdin"], true, "{text}");
    assert_eq!(lines[0]["tty"]["controlling"], true);
    assert_eq!(lines[1]["size"], json!([40, 111]), "the caller's size is taken over");
}

#[test]
fn keys_and_resizes_reach_a_foreground_terminal() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(tty(&["log-signals"]));
    let bundle = b.dir.display().to_string();
    let (text, code) = on_a_terminal(&s, &["run", "-b", &bundle, &id], [24, 80], |master| {
        read_until(master, |t| t.contains("ready"));
        File::from(master.try_clone().unwrap()).write_all(&[3]).unwrap();
        assert!(read_until(master, |t| t.contains("\"signal\":2")).contains("\"signal\":2"));
        raw::set_winsize(master.as_raw_fd(), 50, 60).unwrap();
        assert!(read_until(master, |t| t.contains("\"signal\":28")).contains("\"signal\":28"));
        s.call(["kill", &id, "TERM"]).run().expect_ok();
    });
    assert_eq!(code, 0, "{text}");
}

#[test]
fn signals_to_a_foreground_run_are_forwarded() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["log-signals"]));
    let run = s.call(["run", "-b"]).arg(&b.dir).arg(&id).start();
    assert!(eventually(|| run.stdout().contains("ready")));
    // 32 to 34 are used by C libraries themselves; 34 is RTMIN to glibc's programs.
    for signal in [libc::SIGUSR1, libc::SIGHUP, 32, 34, 64] {
        raw::kill(run.pid(), signal).unwrap();
        let want = format!("\"signal\":{signal}");
        assert!(eventually(|| run.stdout().contains(&want)), "{want}: {}", run.stdout());
    }
    raw::kill(run.pid(), libc::SIGTERM).unwrap();
    run.wait().expect_code(0);
}

#[test]
fn exec_with_a_terminal_by_console_socket() {
    let s = Sandbox::new();
    let c = s.sleeping();
    let console = Console::new(&s);
    let pid_file = s.path("pid");
    let flags = ["--tty", "--detach", "--pid-file", &pid_file, "--console-socket", &console.path];
    let call = c.exec_call(&flags, &["/probe", "report"]).start();
    let (_, master) = console.receive();
    call.wait().expect_ok();
    let report = json_lines(&read_until(&master, |t| t.contains("\"umask\""))).remove(0);
    assert_eq!(report["tty"]["stdin"], true);
    assert_eq!(report["tty"]["controlling"], true);
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    raw::waitpid(pid, false).unwrap();
}

#[test]
fn exec_with_a_terminal_in_the_foreground() {
    let s = Sandbox::new();
    let c = s.sleeping();
    let (text, code) =
        on_a_terminal(&s, &["exec", "-t", &c.id, "/probe", "report", "--", "exit", "9"], [33, 44], |_| ());
    assert_eq!(code, 9, "{text}");
    assert_eq!(json_lines(&text)[0]["tty"]["stdin"], true);
    let (text, _) = on_a_terminal(&s, &["exec", &c.id, "/probe", "report"], [33, 44], |_| ());
    let report: Value = json_lines(&text).remove(0);
    assert_eq!(report["tty"]["controlling"], false, "without -t there is no terminal: {}", report["tty"]);
}

/// The parent takes the terminal and stops it from ending lines with a carriage return: however
/// slow that is (strace(1) makes it so), nothing has been written yet.
#[test]
fn a_foreground_terminal_is_set_up_before_the_program_runs() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    let c = s.sleeping();
    let (id, b) = s.bundle(tty(&["report"]));
    let bundle = b.dir.display().to_string();
    for words in [&["run", "-b", &bundle, &id][..], &["exec", "-t", &c.id, "/probe", "report"]] {
        let slow = ["-q", "-o", "/dev/null", "-e", "inject=ioctl:delay_enter=200000"];
        let call = Invocation::new("strace".as_ref(), s.dir()).args(slow).arg(&s.runtime.path);
        let out = call.arg("--root").arg(s.state_root()).args(words).run().expect_ok();
        assert!(!out.stdout.contains('\r') && out.stdout.contains("\"umask\""), "{:?}", out.stdout);
    }
}

#[test]
fn pidfd_socket() {
    requires!(Spec(1, 2), RuncLike);
    let s = Sandbox::new();
    let path = s.path("pidfd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (id, b) = s.bundle(Config::sleeper());
    let call = s.call(["create", "--pidfd-socket", &path, "-b"]).arg(&b.dir).arg(&id).start();
    let console = Console { path, listener };
    let (_, pidfd) = console.receive();
    call.wait().expect_ok();
    let info = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
    let pid = s.call(["state", &id]).run().json()["pid"].to_string();
    assert!(info.lines().any(|l| l.starts_with("Pid:") && l.ends_with(&pid)), "{info}");
    s.call(["delete", "--force", &id]).run().expect_ok();
    assert!(raw::poll_in(pidfd.as_fd(), 5000), "the pidfd tells of the end");
}
