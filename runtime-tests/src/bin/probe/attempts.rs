//! System calls and sockets to try.

use crate::{Outcome, errno_of, number, ok, text};
use runtime_tests::raw::{self, Arg};
use serde_json::{Value, json};
use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

/// Runs the action when it is one of this module.
pub fn run(name: &str, args: &[&str]) -> Option<Outcome> {
    Some(match name {
        "syscall" => syscall(args),
        "connect" => io_outcome(name, args, UnixStream::connect(text(args, 0)).map(|_| json!({}))),
        "tcp-connect" => {
            io_outcome(name, args, std::net::TcpStream::connect(text(args, 0)).map(|_| json!({})))
        }
        "listen" => io_outcome(name, args, std::net::TcpListener::bind(text(args, 0)).map(|_| json!({}))),
        "notify" => io_outcome(name, args, notify(text(args, 0))),
        "notify-flood" => io_outcome(name, args, notify_flood(text(args, 0), number(args, 1))),
        "stdin" => io_outcome(name, args, stdin()),
        "echo" => io_outcome(name, args, echo(args.join(" ").as_bytes())),
        "stderr" => {
            io_outcome(name, args, io::stderr().write_all(text(args, 0).as_bytes()).map(|()| json!({})))
        }
        "env" => Ok(json!({"env": std::env::var(text(args, 0)).ok()})),
        "exec" => Err(exec(args)),
        "spawn" => io_outcome(name, args, spawn(args)),
        "hook" => io_outcome(name, args, hook(args)).map(|_| Value::Null),
        "fd-read" => io_outcome(name, args, fd_read(args)),
        "fd-write" => io_outcome(name, args, fd_write(args)),
        "winsize" => Ok(json!({"size": raw::winsize(0)})),
        "keyctl-search" => Ok(json!({"keyring": raw::session_keyring().ok()})),
        _ => return None,
    })
}

fn io_outcome(name: &str, args: &[&str], r: io::Result<Value>) -> Outcome {
    r.map(|v| if v.is_null() { v } else { ok(name, args, v) }).map_err(|e| errno_of(&e))
}

/// syscall NAME|NUMBER ARG…; an argument is a number, `page` or `str:TEXT`.
fn syscall(args: &[&str]) -> Outcome {
    let nr = runtime_tests::syscalls::number(text(args, 0)).ok_or("unknown system call")?;
    let values: Vec<Arg> = args.iter().skip(1).map(|a| argument(a)).collect();
    match raw::syscall_args(nr, &values) {
        Ok(v) => Ok(ok("syscall", args, json!({"result": v}))),
        Err(e) => Err(runtime_tests::errno::name(e)),
    }
}

fn argument(a: &str) -> Arg {
    if a == "page" {
        return Arg::Page;
    }
    match a.strip_prefix("str:").map(CString::new) {
        Some(Ok(s)) => Arg::Text(s),
        _ => Arg::Number(number(&[a], 0).cast_unsigned().try_into().unwrap_or(0)),
    }
}

fn notify(message: &str) -> io::Result<Value> {
    let path = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    UnixDatagram::unbound()?.send_to(message.as_bytes(), &path)?;
    Ok(json!({"socket": path}))
}

/// Says it again and again, until that fails or the time is over.
fn notify_flood(message: &str, millis: i64) -> io::Result<Value> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(std::env::var("NOTIFY_SOCKET").unwrap_or_default())?;
    let limit = Duration::from_millis(millis.unsigned_abs());
    socket.set_write_timeout(Some(limit))?;
    let (begun, mut sent) = (Instant::now(), 0);
    while begun.elapsed() < limit {
        if let Err(error) = socket.send(message.as_bytes()) {
            return Ok(json!({"sent": sent, "error": errno_of(&error)}));
        }
        sent += 1;
    }
    Ok(json!({"sent": sent, "error": null}))
}

fn stdin() -> io::Result<Value> {
    let mut data = Vec::new();
    io::stdin().read_to_end(&mut data)?;
    Ok(json!({"data": String::from_utf8_lossy(&data)}))
}

fn echo(text: &[u8]) -> io::Result<Value> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.write_all(b"\n")?;
    out.flush().map(|()| Value::Null)
}

fn exec(args: &[&str]) -> String {
    let Some((path, rest)) = args.split_first() else {
        return "EINVAL".into();
    };
    errno_of(&std::process::Command::new(path).args(rest).exec())
}

/// Runs a program and waits: its status, or the errno of the exec.
fn spawn(args: &[&str]) -> io::Result<Value> {
    let Some((path, rest)) = args.split_first() else {
        return Ok(json!({}));
    };
    let out = std::process::Command::new(path).args(rest).output()?;
    Ok(json!({"code": out.status.code(), "stdout": String::from_utf8_lossy(&out.stdout)}))
}

/// As a hook: appends what it was given to FILE and exits CODE.
fn hook(args: &[&str]) -> io::Result<Value> {
    let mut state = String::new();
    io::stdin().read_to_string(&mut state)?;
    let link = |n| std::fs::read_link(format!("/proc/self/ns/{n}")).map(|p| p.display().to_string()).ok();
    let pid = serde_json::from_str::<Value>(&state).ok().and_then(|v| v["pid"].as_i64());
    let root = pid.and_then(|p| std::fs::read_link(format!("/proc/{p}/root")).ok());
    let line = json!({
        "name": text(args, 1), "argv": crate::argv(), "state": state,
        "env": std::env::vars().collect::<std::collections::BTreeMap<_, _>>(),
        "cwd": std::env::current_dir().ok(), "mnt": link("mnt"), "uts": link("uts"), "pidns": link("pid"),
        "init_root": root, "ids": [raw::getresuid()[0], raw::getresgid()[0]],
    });
    let mut f = std::fs::OpenOptions::new().append(true).create(true).open(text(args, 0))?;
    f.write_all(format!("{line}\n").as_bytes())?;
    match number(args, 2) {
        0 => Ok(Value::Null),
        code => std::process::exit(code.try_into().unwrap_or(1)),
    }
}

fn fd(args: &[&str]) -> io::Result<std::fs::File> {
    let n = number(args, 0).try_into().unwrap_or(-1);
    raw::take_fd(n).map(Into::into).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
}

fn fd_read(args: &[&str]) -> io::Result<Value> {
    let mut s = String::new();
    fd(args)?.read_to_string(&mut s)?;
    Ok(json!({"data": s}))
}

fn fd_write(args: &[&str]) -> io::Result<Value> {
    fd(args)?.write_all(text(args, 1).as_bytes()).map(|()| json!({}))
}
