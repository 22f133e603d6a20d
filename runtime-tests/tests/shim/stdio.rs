//! What a process reads and writes, through everything a client may name.

use crate::daemon::{Daemon, exec_request, until};
use crate::wire::Out;
use runtime_tests::{Config, requires};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const KILL: u64 = 9;
/// The next process gets the number after this one (CONFIG_CHECKPOINT_RESTORE).
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

fn fifo(shim: &Daemon, name: &str) -> PathBuf {
    let path = shim.dir.join(name);
    let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(status.success());
    path
}

fn reader(path: &Path) -> File {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map(blocking).unwrap()
}

/// Clears O_NONBLOCK: the reader was opened without waiting for a writer.
fn blocking(file: File) -> File {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, 0) };
    file
}

fn sh(script: &str) -> Config {
    Config::default().args(&["/bin/sh", "-c", script])
}

fn stdio(request: Out, n: u64, path: &Path) -> Out {
    request.bytes(n, path.to_str().unwrap())
}

#[test]
fn fifos_carry_every_byte_and_end() {
    let mut shim = Daemon::start();
    let (out, err) = (fifo(&shim, "out"), fifo(&shim, "err"));
    let (mut from_out, mut from_err) = (reader(&out), reader(&err));
    let script = "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done; echo bad >&2";
    let (id, _) = shim.create_with(sh(script), |r| stdio(stdio(r, 6, &out), 7, &err)).unwrap();
    shim.call("Start", &id).unwrap();
    let mut text = String::new();
    from_out.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 20_000);
    assert!(text.ends_with("line-19999\n"));
    text.clear();
    from_err.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bad\n");
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 0);
    shim.call("Delete", &id).unwrap();
}

#[test]
fn stdin_stays_open_until_close_io() {
    let mut shim = Daemon::start();
    let (input, out) = (fifo(&shim, "in"), fifo(&shim, "out"));
    let mut from = reader(&out);
    let (id, _) = shim.create_with(sh("cat; echo end"), |r| stdio(stdio(r, 5, &input), 6, &out)).unwrap();
    shim.call("Start", &id).unwrap();
    // A client that goes away is not the end of input.
    for word in ["one\n", "two\n"] {
        OpenOptions::new().write(true).open(&input).unwrap().write_all(word.as_bytes()).unwrap();
    }
    let mut eight = [0u8; 8];
    from.read_exact(&mut eight).unwrap();
    assert_eq!(&eight, b"one\ntwo\n");
    assert_eq!(shim.status(&id, ""), 2);
    shim.client.call("CloseIO", Out::new().bytes(1, &id).int(3, 1)).unwrap();
    let mut rest = String::new();
    from.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "end\n");
}

#[test]
fn a_client_that_comes_back_finds_the_writer_alive() {
    let mut shim = Daemon::start();
    let out = fifo(&shim, "out");
    let first = reader(&out);
    let (id, _) =
        shim.create_with(sh("while true; do echo tick; sleep 0.05; done"), |r| stdio(r, 6, &out)).unwrap();
    shim.call("Start", &id).unwrap();
    drop(first);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(shim.status(&id, ""), 2, "SIGPIPE");
    let mut four = [0u8; 5];
    reader(&out).read_exact(&mut four).unwrap();
    assert_eq!(&four, b"tick\n");
    shim.kill(&id, "", KILL).unwrap();
}

#[test]
fn a_client_that_is_late_still_gets_the_end() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    for round in 0..20 {
        let out = fifo(&shim, &format!("late-{round}"));
        let late = out.clone();
        let client = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(round));
            let mut text = String::new();
            // Waits for a writer, as containerd's client does.
            File::open(late).unwrap().read_to_string(&mut text).unwrap();
            text
        });
        let name = format!("e{round}");
        shim.client.call("Exec", stdio(exec_request(&id, &name, &["/bin/true"]), 5, &out)).unwrap();
        shim.call_exec("Start", &id, &name).unwrap();
        shim.call_exec("Wait", &id, &name).unwrap();
        shim.call_exec("Delete", &id, &name).unwrap();
        until("the reader has seen the end", || client.is_finished());
        client.join().unwrap();
    }
}

#[test]
fn a_file_takes_both_streams_and_keeps_what_it_had() {
    let mut shim = Daemon::start();
    let log = shim.dir.join("logs/new/log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, "before\n").unwrap();
    let uri = format!("file://{}", log.display());
    let config = sh("echo out; echo err >&2");
    let (id, _) = shim.create_with(config, |r| r.bytes(6, &uri).bytes(7, &uri)).unwrap();
    shim.call("Start", &id).unwrap();
    shim.call("Wait", &id).unwrap();
    shim.call("Delete", &id).unwrap();
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("before\n") && text.contains("out\n") && text.contains("err\n"), "{text:?}");
}

/// A process that stays behind keeps the output open: containerd's shim waits
/// for it before a delete, but not for ever.
#[test]
fn a_delete_waits_ten_seconds_for_the_output() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let log = shim.dir.join("log");
    let uri = format!("file://{}", log.display());
    let request = exec_request(&id, "e", &["/bin/sh", "-c", "sleep 1000 & echo said"]);
    shim.client.call("Exec", request.bytes(5, &uri)).unwrap();
    shim.call_exec("Start", &id, "e").unwrap();
    shim.call_exec("Wait", &id, "e").unwrap();
    let begin = std::time::Instant::now();
    let delete = shim.client.send("Delete", Out::new().bytes(1, &id).bytes(2, "e"));
    assert_eq!(shim.status(&id, ""), 2);
    assert!(begin.elapsed().as_secs() < 5, "State waited for the delete");
    shim.client.receive(delete).unwrap();
    let waited = begin.elapsed().as_secs();
    assert!((9..20).contains(&waited), "{waited} s");
    assert_eq!(fs::read_to_string(&log).unwrap(), "said\n");
}

#[test]
fn a_logging_program_gets_both_streams() {
    let mut shim = Daemon::start();
    let program = shim.dir.join("logger.sh");
    let script = "#!/bin/sh\necho \"$CONTAINER_ID $CONTAINER_NAMESPACE $*\" > $2.head\nexec 5>&-\ncat <&3 > $2.out &\ncat <&4 > $2.err\nwait\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let to = shim.dir.join("to");
    let uri = format!("binary://{}?dest={}", program.display(), to.display());
    let (id, _) =
        shim.create_with(sh("echo out; echo err >&2"), |r| r.bytes(6, &uri).bytes(7, &uri)).unwrap();
    shim.call("Start", &id).unwrap();
    shim.call("Wait", &id).unwrap();
    let read = |end: &str| fs::read_to_string(to.with_extension(end)).unwrap_or_default();
    until("the logger has it all", || read("out") == "out\n" && read("err") == "err\n");
    assert_eq!(read("head").trim(), format!("{id} test dest {}", to.display()));
    shim.call("Delete", &id).unwrap();
}

/// The pid of a logging program that has ended may be anyone's by now.
#[test]
fn a_logging_program_that_has_ended_is_not_signalled() {
    requires!(Path(LAST_PID));
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let program = shim.dir.join("logger.sh");
    let noted = shim.dir.join("pid");
    fs::write(&program, format!("#!/bin/sh\necho $$ > {}\n", noted.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let uri = format!("binary://{}", program.display());
    shim.client.call("Exec", exec_request(&id, "e", &["/bin/true"]).bytes(5, uri)).unwrap();
    shim.call_exec("Start", &id, "e").unwrap();
    shim.call_exec("Wait", &id, "e").unwrap();
    let pid: i32 = fs::read_to_string(noted).unwrap().trim().parse().unwrap();
    until("it was reaped", || !Path::new(&format!("/proc/{pid}")).exists());
    let mut heir = sleeper_with_pid(pid);
    shim.call_exec("Delete", &id, "e").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let ended = heir.try_wait().unwrap();
    heir.kill().unwrap();
    heir.wait().unwrap();
    assert_eq!(ended, None, "the shim signalled a stranger");
}

/// A process with a pid that was another's.
fn sleeper_with_pid(pid: i32) -> std::process::Child {
    for _ in 0..1000 {
        fs::write(LAST_PID, (pid - 1).to_string()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        if i32::try_from(child.id()) == Ok(pid) {
            return child;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    panic!("pid {pid} is never free");
}

#[test]
fn a_terminal_has_a_size_and_gives_all_its_output() {
    let mut shim = Daemon::start();
    let (input, out) = (fifo(&shim, "in"), fifo(&shim, "out"));
    let mut from = reader(&out);
    let script =
        "tty; read line; stty size; echo got $line; i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done";
    let config = sh(script).set("/process/terminal", true);
    let wired = |r: Out| stdio(stdio(r.int(4, 1), 5, &input), 6, &out);
    let (id, bundle) = shim.bundle(config);
    let busybox =
        |name: &str| std::os::unix::fs::symlink("busybox", bundle.inside("bin").join(name)).unwrap();
    busybox("tty");
    busybox("stty");
    let request = Out::new().bytes(1, &id).bytes(2, bundle.dir.to_str().unwrap());
    shim.client.call("Create", wired(request)).unwrap();
    shim.call("Start", &id).unwrap();
    shim.client.call("ResizePty", Out::new().bytes(1, &id).int(3, 132).int(4, 43)).unwrap();
    OpenOptions::new().write(true).open(&input).unwrap().write_all(b"word\n").unwrap();
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    assert!(
        text.contains("/dev/") && text.contains("43 132\r\n") && text.contains("got word\r\n"),
        "{text:?}"
    );
    assert!(text.ends_with("2999\r\n"), "the last output is missing");
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 0);
    shim.call("Delete", &id).unwrap();
}

#[test]
fn an_exec_has_its_own_stdio() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let out = fifo(&shim, "out");
    for round in 0..3 {
        let mut from = reader(&out);
        let name = format!("e{round}");
        let request = exec_request(&id, &name, &["/bin/sh", "-c", "echo from exec"]);
        shim.client.call("Exec", stdio(request, 5, &out)).unwrap();
        shim.call_exec("Start", &id, &name).unwrap();
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        assert_eq!(text, "from exec\n");
        shim.call_exec("Wait", &id, &name).unwrap();
        shim.call_exec("Delete", &id, &name).unwrap();
    }
    let mut from = reader(&out);
    let request = exec_request(&id, "tty", &["/bin/sh", "-c", "test -t 0 && test -t 1 && echo terminal"]);
    shim.client.call("Exec", stdio(request.int(3, 1), 5, &out)).unwrap();
    shim.call_exec("Start", &id, "tty").unwrap();
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    assert_eq!(text, "terminal\r\n");
    assert_eq!(shim.call_exec("Wait", &id, "tty").unwrap().int(1), 0);
}

/// Starts that hang, here for want of a reader, take no place from what looks at a container or ends it.
#[test]
fn starts_that_hang_hold_up_no_kill() {
    let mut shim = Daemon::start();
    let id = shim.run(Config::sleeper());
    let mut hung = shim.connect();
    for n in 0..12 {
        let out = fifo(&shim, &format!("nobody-{n}"));
        let exec = format!("e{n}");
        let request = stdio(exec_request(&id, &exec, &["/bin/true"]), 5, &out);
        shim.client.call("Exec", request).unwrap();
        hung.send("Start", Out::new().bytes(1, &id).bytes(2, &exec));
    }
    // Some have a thread each, the others wait for a place.
    until("eight starts hang", || fs::read_dir(format!("/proc/{}/task", shim.pid)).unwrap().count() > 8);
    // A start that finds no reader gives up after ten seconds: nobody waits for that.
    let begun = std::time::Instant::now();
    shim.call("Pids", &id).unwrap();
    shim.client.call("Kill", Out::new().bytes(1, &id).int(3, KILL).int(4, 1)).unwrap();
    assert!(begun.elapsed().as_secs() < 7, "{:?}", begun.elapsed());
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 137);
}
