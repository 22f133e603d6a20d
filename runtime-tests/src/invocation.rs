//! One call of the runtime: its arguments, descriptors, time limit, output.

use crate::{host, raw};
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How a call ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code, 128+signal when killed.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
    /// The command line, for messages.
    pub command: String,
}

impl Output {
    /// Panics with everything known unless the code is `want`.
    #[track_caller]
    pub fn expect_code(self, want: i32) -> Output {
        assert_eq!(self.code, want, "{self:#?}");
        self
    }

    /// Panics unless the code is 0.
    #[track_caller]
    pub fn expect_ok(self) -> Output {
        self.expect_code(0)
    }

    /// Panics unless it failed with a message that has `text` in it,
    /// whatever the case of its letters.
    #[track_caller]
    pub fn expect_error(self, text: &str) -> Output {
        assert_ne!(self.code, 0, "should have failed with {text:?}: {self:#?}");
        let all = format!("{}{}", self.stderr, self.stdout).to_lowercase();
        assert!(all.contains(&text.to_lowercase()), "no {text:?} in {self:#?}");
        self
    }

    /// Panics unless the message has one of these texts in it.
    #[track_caller]
    pub fn expect_error_of(self, texts: &[&str]) -> Output {
        let all = format!("{}{}", self.stderr, self.stdout).to_lowercase();
        assert!(texts.iter().any(|t| all.contains(&t.to_lowercase())), "none of {texts:?} in {self:#?}");
        self
    }

    /// Standard output as JSON lines: what the probe wrote.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }

    /// The one JSON value on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(v) => v,
            Err(e) => unreadable(&e, self),
        }
    }
}

#[allow(clippy::panic)]
#[track_caller]
fn unreadable(e: &serde_json::Error, o: &Output) -> ! {
    panic!("not JSON ({e}): {o:#?}")
}

/// Every line that is a JSON object or array.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|l| serde_json::from_str(l.trim()).ok())
        .filter(|v: &Value| v.is_object())
        .collect()
}

/// A call that is being put together.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    dir: PathBuf,
    timeout: Duration,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    fds: Vec<(OwnedFd, RawFd)>,
}

impl Invocation {
    /// A call of `program`; `dir` gets the files that take its output.
    pub fn new(program: &Path, dir: &Path) -> Invocation {
        let mut command = Command::new(program);
        command.env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS");
        let timeout = Duration::from_secs(if slow() { 120 } else { 30 });
        Invocation {
            command,
            dir: dir.to_owned(),
            timeout,
            stdin: None,
            stdout: None,
            stderr: None,
            fds: Vec::new(),
        }
    }

    /// One more argument.
    pub fn arg(mut self, a: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(a);
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<std::ffi::OsStr>>(mut self, a: impl IntoIterator<Item = S>) -> Self {
        self.command.args(a);
        self
    }

    /// An environment variable of the runtime.
    pub fn env(mut self, k: &str, v: &str) -> Self {
        self.command.env(k, v);
        self
    }

    /// The runtime's working directory.
    pub fn cwd(mut self, d: impl AsRef<Path>) -> Self {
        self.command.current_dir(d);
        self
    }

    /// Another time limit than 30 s.
    pub fn timeout(mut self, t: Duration) -> Self {
        self.timeout = t;
        self
    }

    /// Standard input, empty by default.
    pub fn stdin(mut self, s: impl Into<Stdio>) -> Self {
        self.stdin = Some(s.into());
        self
    }

    /// Standard output, captured by default.
    pub fn stdout(mut self, s: impl Into<Stdio>) -> Self {
        self.stdout = Some(s.into());
        self
    }

    /// Standard error, captured by default.
    pub fn stderr(mut self, s: impl Into<Stdio>) -> Self {
        self.stderr = Some(s.into());
        self
    }

    /// Standard input with this text.
    pub fn input(self, text: &str) -> Self {
        let path = self.dir.join("stdin");
        let file = fs::write(&path, text).and_then(|()| File::open(&path));
        match file {
            Ok(f) => self.stdin(f),
            Err(_) => self,
        }
    }

    /// Hands a descriptor down under a number.
    pub fn fd(mut self, fd: impl Into<OwnedFd>, number: RawFd) -> Self {
        self.fds.push((fd.into(), number));
        self
    }

    /// Something to do in the child before its exec: system calls only.
    pub fn before_exec(mut self, f: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> Self {
        raw::before_exec(&mut self.command, f);
        self
    }

    /// Starts it; see [`Running`].
    #[track_caller]
    pub fn start(mut self) -> Running {
        // Files take the output: a container that keeps them open holds up nobody.
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (out, err) = (self.dir.join(format!("out-{n}")), self.dir.join(format!("err-{n}")));
        let file = |p: &Path| {
            File::options().append(true).create(true).open(p).map_or_else(|_| Stdio::null(), Stdio::from)
        };
        self.command.stdin(self.stdin.unwrap_or_else(Stdio::null));
        self.command.stdout(self.stdout.unwrap_or_else(|| file(&out)));
        self.command.stderr(self.stderr.unwrap_or_else(|| file(&err)));
        hand_down(&mut self.command, self.fds);
        let text = format!("{:?}", self.command);
        let writing = crate::bundle::WRITING.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let spawned = self.command.spawn();
        drop(writing);
        assert!(spawned.is_ok(), "{text}: {spawned:?}");
        let Ok(child) = spawned else { std::process::abort() };
        Running { child, out, err, text, begun: Instant::now(), timeout: self.timeout }
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Output {
        self.start().wait()
    }
}

static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Whether this is an emulated machine, where everything takes longer.
pub fn slow() -> bool {
    std::env::var_os("KRUN_TEST_SLOW").is_some()
}

/// Moves descriptors to their numbers between fork and exec. They are first
/// copied high, so that no number is overwritten before its turn.
fn hand_down(command: &mut Command, fds: Vec<(OwnedFd, RawFd)>) {
    if fds.is_empty() {
        return;
    }
    let high: Vec<(OwnedFd, RawFd)> =
        fds.into_iter().filter_map(|(fd, n)| fcntl_high(&fd).ok().map(|h| (h, n))).collect();
    raw::before_exec(command, move || high.iter().try_for_each(|(fd, n)| raw::dup2(fd.as_raw_fd(), *n)));
}

fn fcntl_high(fd: &OwnedFd) -> io::Result<OwnedFd> {
    raw::dup_cloexec(fd.as_fd(), 200)
}

/// A call that runs.
#[derive(Debug)]
pub struct Running {
    child: std::process::Child,
    out: PathBuf,
    err: PathBuf,
    text: String,
    begun: Instant,
    timeout: Duration,
}

impl Running {
    /// The process id of the runtime.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What it (or its container) wrote so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// The file that takes standard output.
    pub fn stdout_file(&self) -> &Path {
        &self.out
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }

    /// Waits for its end, at most for the time limit.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let status = self.wait_status();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let took = self.begun.elapsed();
        Output { code, stdout: self.stdout(), stderr: self.stderr(), took, command: self.text.clone() }
    }

    #[track_caller]
    fn wait_status(&mut self) -> ExitStatus {
        let left = self.timeout.saturating_sub(self.begun.elapsed());
        if let Ok(fd) = raw::pidfd_open(self.pid()) {
            let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            if !raw::poll_in(fd.as_fd(), millis) {
                self.give_up();
            }
        }
        let status = self.child.wait();
        assert!(status.is_ok(), "{}: {status:?}", self.text);
        status.unwrap_or_default()
    }

    #[allow(clippy::panic)]
    #[track_caller]
    fn give_up(&mut self) -> ! {
        let about = host::describe_process(self.pid());
        let _ = self.child.kill();
        let _ = self.child.wait();
        panic!(
            "{} didn't end within {:?}\nstdout: {}\nstderr: {}\n{about}",
            self.text,
            self.timeout,
            self.stdout(),
            self.stderr()
        )
    }

    /// Waits for its end whatever it is; for cleaning up.
    pub fn end(mut self) {
        let left = i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX);
        let ended = raw::pidfd_open(self.pid()).is_ok_and(|fd| raw::poll_in(fd.as_fd(), left));
        if !ended {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
