//! Real filters in throw-away threads and processes.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;

use super::profile::{like_an_engine, parse};
use crate::plan::seccomp::{Instruction, compile};

/// Puts the calling thread under a filter.
fn install(program: &[Instruction]) {
    let convert = |i: &Instruction| seccompiler::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    let program: Vec<_> = program.iter().map(convert).collect();
    seccompiler::apply_filter(&program).unwrap();
}

#[test]
fn the_kernel_denies_what_the_profile_denies() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 100},
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
         "args": [{"index": 1, "value": 255, "valueTwo": 18, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#;
    let program = compile(&parse(json)).unwrap();
    thread::spawn(move || {
        install(&program.instructions);
        assert_eq!(nix::unistd::mkdir("/proc/x", Mode::empty()), Err(Errno::ENETDOWN));
        let own = nix::unistd::getpid();
        assert_eq!(kill(own, None), Ok(()));
        assert_eq!(kill(own, Signal::SIGCONT), Err(Errno::EACCES));
        assert_eq!(std::fs::create_dir("/proc/x").unwrap_err().raw_os_error(), Some(100));
    })
    .join()
    .unwrap();
}

#[test]
fn a_thread_lives_under_an_engine_profile() {
    let program = compile(&like_an_engine()).unwrap();
    thread::spawn(move || {
        install(&program.instructions);
        assert_eq!(std::fs::read_to_string("/proc/self/comm").map(|comm| comm.is_empty()).ok(), Some(false));
        assert_eq!(nix::unistd::sethostname("x"), Err(Errno::EPERM));
        assert_eq!(nix::sched::unshare(nix::sched::CloneFlags::empty()), Err(Errno::EPERM));
    })
    .join()
    .unwrap();
}

/// Runs itself again as the process that gets killed.
#[test]
fn kill_process_takes_all_threads() {
    const ROLE: &str = "KRUN_TEST_SECCOMP_VICTIM";
    if std::env::var_os(ROLE).is_some() {
        let json = r#"{"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
        install(&compile(&parse(json)).unwrap().instructions);
        let _ = nix::unistd::sethostname("must-not-happen");
        return;
    }
    let name = format!("{}::kill_process_takes_all_threads", module_path!().split_once("::").unwrap().1);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name])
        .env(ROLE, "1")
        .output()
        .unwrap()
        .status;
    assert_eq!(status.signal(), Some(nix::libc::SIGSYS), "{status}");
}
