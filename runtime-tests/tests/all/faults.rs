//! Faults at every step: krun or its child killed, a system call refused. Whatever
//! happens, `delete --force` leaves nothing on the host.
//!
//! strace(1) injects them, by the number of the system call, into the parent and into
//! each of its children; so the sweep finds steps that nobody listed.

use runtime_tests::container::eventually;
use runtime_tests::invocation::{Invocation, Output};
use runtime_tests::{Config, Sandbox, leftovers, requires};
use std::ffi::OsStr;
use std::path::Path;

/// Who is traced.
#[derive(Clone, Copy)]
enum Who {
    /// The runtime alone: of a command that leaves a process.
    Parent,
    /// Its children too.
    All,
}

/// A call of the runtime under strace, and what each process called.
fn traced(s: &Sandbox, who: Who, flags: &[&str], args: &[impl AsRef<OsStr>]) -> (Output, Vec<String>) {
    let follow: &[&str] = if let Who::All = who { &["-ff"] } else { &[] };
    let call =
        Invocation::new(Path::new("strace"), s.dir()).args(follow).args(["-q", "-o", &s.path("trace")]);
    let call = call.args(["-e", "trace=!futex,wait4,waitid"]).args(flags).arg(&s.runtime.path);
    let out = call.arg("--root").arg(s.state_root()).args(args).run();
    (out, traces(s))
}

/// A call of the runtime with this injection; and whether it killed anyone or refused anything:
/// how often krun reads its signals, say, is not the same each time.
fn injected(s: &Sandbox, who: Who, inject: &str, args: &[impl AsRef<OsStr>]) -> (Output, bool) {
    let (out, traces) = traced(s, who, &["-e", &format!("inject={inject}")], args);
    assert!(!traces.is_empty(), "strace didn't start the runtime: {out:?}");
    let took = |text: &String| text.contains("+++ killed by SIGKILL") || text.contains("(INJECTED)");
    (out, traces.iter().any(took))
}

/// What each process called, by trace file; the files are removed.
fn traces(s: &Sandbox) -> Vec<String> {
    let files = std::fs::read_dir(s.dir()).unwrap().flatten();
    let traces = files.filter(|f| f.file_name().to_string_lossy().starts_with("trace"));
    let read = |f: std::fs::DirEntry| {
        let text = String::from_utf8_lossy(&std::fs::read(f.path()).unwrap()).into_owned();
        let _ = std::fs::remove_file(f.path());
        text
    };
    traces.map(read).collect()
}

/// Every step of a command: a system call's name and the how-manieth of it this is, which
/// is how strace counts. The parent's and the children's steps of one name and number are one.
/// Not among them: strace's own execve, which it leaves alone, and a call too new for it to name.
fn steps(s: &Sandbox, who: Who, args: &[impl AsRef<OsStr>]) -> Vec<(String, usize)> {
    let (out, traces) = traced(s, who, &[], args);
    out.expect_ok();
    let mut steps = Vec::new();
    for text in traces {
        let mut counts = std::collections::HashMap::new();
        let lines = text.lines().skip_while(|line| line.starts_with("execve("));
        let names = lines.filter_map(|line| line.split_once('(')).map(|(name, _)| name);
        for name in names.filter(|name| !name.starts_with("syscall_")) {
            let n = counts.entry(name.to_owned()).or_insert(0);
            *n += 1;
            if !steps.iter().any(|(have, at)| have == name && at == n) {
                steps.push((name.to_owned(), *n));
            }
        }
    }
    assert!(steps.len() > 30, "{steps:?}");
    steps
}

/// As many as there is time for, the first and the last among them. `KRUN_FAULTS_DIVIDED=20` tries
/// a twentieth of `most`: an emulated machine takes a second for what takes a hundredth here.
fn spread(steps: &[(String, usize)], most: usize) -> impl Iterator<Item = &(String, usize)> {
    let divisor = std::env::var("KRUN_FAULTS_DIVIDED").map_or(1, |n| n.parse().unwrap());
    let most = most.div_ceil(divisor).max(2);
    let (last, gaps) = (steps.len().saturating_sub(1), steps.len().min(most).saturating_sub(1));
    (0..steps.len().min(most)).map(move |i| &steps[i * last / gaps.max(1)])
}

/// A container that sleeps, created; its id.
fn created(s: &Sandbox) -> String {
    let (id, b) = s.bundle(Config::sleeper());
    s.call(["create", "-b"]).arg(&b.dir).arg(&id).run().expect_ok();
    id
}

fn force(s: &Sandbox, id: &str) {
    leftovers::reap(s);
    s.call(["delete", "--force", id]).run().expect_ok();
    let left = s.call(["state", id]).run();
    assert_ne!(left.code, 0, "{id} is still there");
}

/// A sweep whose faults don't happen shows nothing.
fn assert_most(took: &[bool]) {
    let effective = took.iter().filter(|t| **t).count();
    assert!(effective * 2 > took.len(), "only {effective} of {} faults happened", took.len());
}

/// A command killed at each of its steps, `most` of them. `prepare` makes what it works on, and
/// answers with the container's id and the command; `look` sees how it ended.
fn killed_at_every_step(
    s: &Sandbox,
    (who, most): (Who, usize),
    prepare: impl Fn() -> (String, Vec<String>),
    look: impl Fn(&str, &Output, bool),
) {
    let (id, words) = prepare();
    let all = steps(s, who, &words);
    force(s, &id);
    let before = leftovers::before();
    let mut took = Vec::new();
    for (name, n) in spread(&all, most) {
        let (id, words) = prepare();
        let (out, killed) = injected(s, who, &format!("{name}:signal=KILL:when={n}"), &words);
        took.push(killed);
        look(name, &out, killed);
        force(s, &id);
    }
    assert_most(&took);
    leftovers::assert_none(&before, s);
}

fn owned<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn create_killed_at_every_system_call() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::sleeper());
    let words = owned(["create", "-b", &b.dir.display().to_string(), &id]);
    let prepare = || (id.clone(), words.clone());
    killed_at_every_step(&s, (Who::Parent, 200), prepare, |_, _, _| ());
}

/// The runtime and the container's process, each at each of its system calls.
#[test]
fn run_killed_at_every_system_call() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    let words = owned(["run", "-b", &b.dir.display().to_string(), &id]);
    let prepare = || (id.clone(), words.clone());
    killed_at_every_step(&s, (Who::All, 200), prepare, |name, out, killed| {
        // Its last call is no fault: it has ended by then.
        let ended = name == "exit_group" || name == "exit";
        assert!(ended || !killed || out.code != 0, "killed at {name}, and content: {out:?}");
    });
}

#[test]
fn start_exec_and_delete_killed_at_every_system_call() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    for (before, after) in
        [(&["start"][..], &[][..]), (&["exec"], &["/probe", "exit", "0"]), (&["delete", "--force"], &[])]
    {
        let prepare = || {
            let id = created(&s);
            let words = owned(before.iter().chain(&[id.as_str()]).chain(after).copied());
            (id, words)
        };
        killed_at_every_step(&s, (Who::All, 80), prepare, |_, _, _| ());
    }
}

/// A set of calls and what they may fail of on a machine in trouble.
const TROUBLE: [(&str, &str); 7] = [
    ("openat,openat2,open_tree,socket,socketpair,pipe2,memfd_create,fsopen,fsmount", "EMFILE"),
    ("write,pwrite64,mkdir,mkdirat,mknodat,symlinkat,renameat,ftruncate", "ENOSPC"),
    ("clone3,clone,fork,vfork", "EAGAIN"),
    ("mmap,clone3,mount,move_mount,mount_setattr,fsconfig,seccomp,execve", "ENOMEM"),
    ("read,recvmsg,sendmsg,poll,ppoll", "EIO"),
    ("openat,openat2,mkdirat,unlinkat,setns,bpf", "EACCES"),
    ("read,recvmsg,poll,ppoll,flock,openat,write", "EINTR"),
];

/// A command refused at each of its steps that `TROUBLE` has, `most` of each set; `look` sees the
/// injection and how it ended.
fn refused_at_every_step(s: &Sandbox, most: usize, words: &[&str], mut look: impl FnMut(&str, &Output)) {
    let all = steps(s, Who::All, words);
    let mut took = Vec::new();
    for (set, errno) in TROUBLE {
        let of_set = |(name, _): &&(String, usize)| set.split(',').any(|s| s == name);
        let of_set: Vec<_> = all.iter().filter(of_set).cloned().collect();
        assert!(!of_set.is_empty(), "no step calls any of {set}");
        for (name, n) in spread(&of_set, most) {
            let inject = format!("{name}:error={errno}:when={n}");
            let (out, refused) = injected(s, Who::All, &inject, words);
            took.push(refused);
            look(&inject, &out);
        }
    }
    assert_most(&took);
}

#[test]
fn run_refused_at_every_system_call() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    let bundle = b.dir.display().to_string();
    let words = ["run", "-b", &bundle, &id];
    let before = leftovers::before();
    let mut silent = Vec::new();
    refused_at_every_step(&s, 30, &words, |inject, out| {
        // Killed by a signal it may be (no memory for its own start), but not fail without a
        // word; unless it is the word that can't be written.
        let said = inject.starts_with("write:") || !out.stderr.trim().is_empty();
        if !(out.code == 0 || out.code > 127 || said) {
            silent.push(format!("{inject}: {out:?}"));
        }
        force(&s, &id);
    });
    assert!(silent.is_empty(), "{}", silent.join("\n"));
    leftovers::assert_none(&before, &s);
}

#[test]
fn exec_refused_at_every_system_call() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    let c = s.sleeping();
    let before = leftovers::before();
    let words = ["exec", &c.id, "/probe", "exit", "0"];
    refused_at_every_step(&s, 12, &words, |_, _| ());
    assert_eq!(c.status(), "running");
    c.exec(&["/probe", "exit", "5"]).expect_code(5);
    leftovers::reap(&s);
    let procs = c.cgroup_file("cgroup.procs");
    assert_eq!(procs.lines().count(), 1, "half-born processes: {procs}");
    drop(c);
    leftovers::assert_none(&before, &s);
}

/// What exec's helper has to say is which process it has made: without that nobody but the process
/// itself knows of it, and it waits for an answer.
#[test]
fn exec_s_helper_without_a_word_leaves_nobody_waiting() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    let c = s.sleeping();
    let before = leftovers::before();
    let words = ["exec", &c.id, "/probe", "exit", "0"];
    // krun's own first write is what it says about that, which is lost too.
    for fault in ["signal=KILL", "error=ENOSPC"] {
        let (out, _) = injected(&s, Who::All, &format!("write:{fault}:when=1"), &words);
        assert_ne!(out.code, 0, "{fault}: {out:?}");
        assert!(eventually(|| c.cgroup_file("cgroup.procs").lines().count() == 1), "{fault}: who is left?");
    }
    leftovers::reap(&s);
    drop(c);
    leftovers::assert_none(&before, &s);
}

#[test]
fn a_full_disk_under_the_state_root() {
    requires!(Krun);
    let s = Sandbox::new();
    let full = s.path("full");
    std::fs::create_dir(&full).unwrap();
    runtime_tests::raw::mount("tmpfs", &full, "tmpfs", 0, "size=8k,mode=700").unwrap();
    // One page is left for the directories, none for a state.
    std::fs::write(format!("{full}/ballast"), [0u8; 8192]).unwrap();
    let (id, b) = s.bundle(Config::sleeper());
    let before = leftovers::before();
    let out = s.bare_call().args(["--root", &full, "create", "-b"]).arg(&b.dir).arg(&id).run();
    out.expect_code(1).expect_error("no space left on device");
    assert!(!Path::new(&full).join(&id).exists());
    leftovers::assert_none(&before, &s);
}

#[test]
fn no_process_may_be_made() {
    requires!(Krun, Controller("pids"));
    let s = Sandbox::new();
    let before = leftovers::before();
    // The runtime and the container below a cgroup that is full: clone3(2) and fork(2) are EAGAIN.
    let name = s.new_id();
    let group = Path::new(runtime_tests::host::CGROUPS).join(&name);
    std::fs::create_dir_all(group.join("caller")).unwrap();
    for most in 1..4 {
        std::fs::write(group.join("pids.max"), most.to_string()).unwrap();
        let (id, b) =
            s.bundle(Config::probe(&["exit", "0"]).set("/linux/cgroupsPath", format!("/{name}/box")));
        let procs = std::fs::File::options().write(true).open(group.join("caller/cgroup.procs")).unwrap();
        let enter = move || std::io::Write::write_all(&mut &procs, b"0");
        let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).before_exec(enter).run();
        assert!(
            out.code == 0 || out.code == 1 && out.stderr.contains("resource temporarily unavailable"),
            "{most}: {out:?}"
        );
        s.call(["delete", "--force", &id]).run().expect_ok();
    }
    std::fs::remove_dir(group.join("caller")).unwrap();
    std::fs::remove_dir(&group).unwrap();
    leftovers::assert_none(&before, &s);
}
