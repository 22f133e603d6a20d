//! run, create, start, kill, delete, and what they leave.

use runtime_tests::container::eventually;
use runtime_tests::{Config, Sandbox, host, json, raw, requires};
use std::path::Path;

#[test]
fn run_gives_the_exit_code() {
    let s = Sandbox::new();
    for code in [0, 7, 255] {
        s.run(Config::probe(&["exit", &code.to_string()])).expect_code(code);
    }
}

#[test]
fn run_gives_128_plus_the_signal() {
    let s = Sandbox::new();
    let (id, bundle) = s.bundle(Config::sleeper());
    let run = s.call(["run", "--bundle"]).arg(&bundle.dir).arg(&id).start();
    assert!(eventually(|| run.stdout().contains("ready")));
    s.call(["kill", &id, "KILL"]).run().expect_ok();
    run.wait().expect_code(137);
}

#[test]
fn run_passes_stdio_through() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["stdin", "--", "stderr", "to stderr"]));
    let out = s.call(["run", "-b"]).arg(&b.dir).arg(&id).input("from the caller").run().expect_ok();
    assert_eq!(out.lines()[0]["data"], "from the caller");
    assert!(out.stderr.contains("to stderr"));
}

#[test]
fn run_leaves_nothing() {
    let s = Sandbox::new();
    let mounts = host::mount_table();
    let (id, b) = s.bundle(Config::default());
    s.run_bundle(&id, &b).expect_ok();
    assert!(!s.state_root().join(&id).exists());
    assert!(!Path::new(host::CGROUPS).join(&id).exists());
    assert_eq!(host::mount_table(), mounts);
    s.call(["state", &id]).run().expect_error("does not exist");
}

#[test]
fn run_keep_leaves_a_stopped_container() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "3"]));
    s.call(["run", "--keep", "--bundle"]).arg(&b.dir).arg(&id).run().expect_code(3);
    assert_eq!(s.call(["state", &id]).run().expect_ok().json()["status"], "stopped");
    s.call(["delete", &id]).run().expect_ok();
    s.call(["state", &id]).run().expect_code(1);
}

#[test]
fn create_does_not_run_the_process_yet() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    assert_eq!(c.status(), "created");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(c.stdout(), "");
    let exe = std::fs::read_link(format!("/proc/{}/exe", c.pid())).unwrap_or_default();
    assert!(!exe.ends_with("probe"), "{}", exe.display());
    c.start().wait_ready();
    assert_eq!(c.status(), "running");
}

#[test]
fn the_whole_life() {
    let s = Sandbox::new();
    let c = s.create(Config::probe(&["log-signals"]));
    let pid = c.pid();
    assert!(!host::is_dead(pid));
    c.start().wait_ready();
    assert_eq!(c.state()["pid"], pid, "start keeps the process");
    c.kill("TERM").expect_ok();
    assert_eq!(c.wait_exit(), 0);
    let state = c.state();
    assert_eq!(state["status"], "stopped");
    assert_eq!(state["pid"], 0);
    c.delete(&[]).expect_ok();
    assert!(!c.cgroup().exists());
    assert!(!s.state_root().join(&c.id).exists());
}

#[test]
fn a_zombie_counts_as_stopped() {
    let s = Sandbox::new();
    let c = s.create(Config::probe(&["exit", "0"]));
    c.start();
    // The test is its parent and has not reaped it.
    c.wait_status("stopped");
    assert_eq!(c.wait_exit(), 0);
}

#[test]
fn start_works_once() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    c.start().wait_ready();
    c.call(["start"]).run().expect_code(1);
    assert_eq!(c.status(), "running");
    c.kill("KILL").expect_ok();
    c.wait_exit();
    c.call(["start"]).run().expect_code(1);
}

#[test]
fn start_of_a_missing_container() {
    let s = Sandbox::new();
    for verb in ["start", "state", "delete", "pause", "resume", "ps"] {
        s.call([verb, "nobody"]).run().expect_code(1).expect_error("does not exist");
    }
    s.call(["kill", "nobody", "KILL"]).run().expect_code(1).expect_error("does not exist");
    s.call(["exec", "nobody", "/probe"]).run().expect_code(255).expect_error("does not exist");
    s.call(["update", "--pids-limit", "7", "nobody"]).run().expect_code(1).expect_error("does not exist");
}

#[test]
fn signals_by_number_name_and_signame() {
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["log-signals"]));
    c.wait_ready();
    for (given, number) in [("USR1", 10), ("SIGUSR2", 12), ("1", 1), ("hup", 1), ("15", 15)] {
        let before = c.lines().len();
        c.kill(given).expect_ok();
        assert!(eventually(|| c.lines().len() > before), "no answer to {given}");
        assert_eq!(c.lines().last().unwrap()["signal"], number, "{given}");
    }
    assert_eq!(c.wait_exit(), 0);
}

#[test]
fn kill_sends_term_by_default() {
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["log-signals"]));
    c.wait_ready();
    c.call(["kill"]).run().expect_ok();
    assert_eq!(c.wait_line("signal")["signal"], 15);
}

#[test]
fn kill_refuses_an_unknown_signal() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    for bad in ["FOO", "SIGFOO", "9999"] {
        assert_ne!(s.call(["kill", &c.id, bad]).run().code, 0, "{bad}");
    }
    assert_eq!(c.status(), "running");
}

#[test]
fn kill_of_a_stopped_container() {
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["exit", "0"]));
    c.wait_exit();
    let out = c.kill("TERM").expect_code(1);
    assert!(
        ["not running", "no such process", "already finished"].iter().any(|t| out.stderr.contains(t)),
        "{}",
        out.stderr
    );
}

#[test]
fn kill_of_a_created_container() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    c.kill("KILL").expect_ok();
    assert_eq!(c.wait_exit(), 137);
    assert_eq!(c.status(), "stopped");
    c.call(["start"]).run().expect_code(1);
    c.delete(&[]).expect_ok();
}

/// The first process of a pid namespace ignores signals without a handler, but
/// who stops a container before it was started means it.
#[test]
fn term_ends_a_created_container() {
    let s = Sandbox::new();
    let (id, bundle) = s.bundle(Config::sleeper());
    s.call(["create", "--bundle"]).arg(&bundle.dir).arg(&id).run().expect_ok();
    s.call(["kill", &id, "TERM"]).run().expect_ok();
    assert!(eventually(|| s.call(["state", &id]).run().stdout.contains("stopped")));
}

#[test]
fn kill_all_without_a_pid_namespace() {
    let s = Sandbox::new();
    let c = s.start(Config::probe(&["fork-daemon", "--", "ready-sleep"]).without_namespace("pid"));
    c.wait_ready();
    let daemon: i32 = c.wait_line("pid")["pid"].as_i64().unwrap().try_into().unwrap();
    assert!(!host::is_dead(daemon));
    c.kill("KILL").expect_ok();
    assert_eq!(c.wait_exit(), 137);
    // SIGKILL without a private pid namespace takes the whole cgroup along.
    let gone = eventually(|| {
        let _ = raw::waitpid(daemon, true);
        host::is_dead(daemon)
    });
    if !gone {
        c.call(["kill", "--all"]).arg("KILL").run();
        let _ = raw::kill(daemon, libc::SIGKILL);
    }
    assert!(gone || s.runtime.version.contains("version 1.1"), "the daemon outlived its container");
}

#[test]
fn delete_refuses_a_running_container() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    c.delete(&[]).expect_code(1).expect_error("");
    assert_eq!(c.status(), "running");
    c.delete(&["--force"]).expect_ok();
    assert_eq!(c.wait_exit(), 137);
    assert!(c.try_state().is_none());
    assert!(!c.cgroup().exists());
}

#[test]
fn delete_force_of_a_created_container() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    c.delete(&["-f"]).expect_ok();
    assert_eq!(c.wait_exit(), 137);
    assert!(!c.cgroup().exists());
}

#[test]
fn delete_kills_and_deletes_a_created_container() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    // runc: a created container is killed and deleted without --force.
    let out = c.delete(&[]);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(c.wait_exit(), 137);
    assert!(c.try_state().is_none());
}

#[test]
fn delete_force_of_a_missing_container_is_fine() {
    let s = Sandbox::new();
    s.call(["delete", "--force", "nobody"]).run().expect_code(0);
}

#[test]
fn a_run_that_was_deleted_leaves_the_next_one_of_its_name_alone() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, bundle) = s.bundle(Config::sleeper());
    let run = s.call(["run", "--bundle"]).arg(&bundle.dir).arg(&id).start();
    assert!(eventually(|| run.stdout().contains("ready")));
    // It looks at what became of its container only when somebody else has taken the name.
    raw::kill(run.pid(), libc::SIGSTOP).unwrap();
    s.call(["delete", "--force", &id]).run().expect_ok();
    let next = s.start_bundle(&id, &bundle);
    raw::kill(run.pid(), libc::SIGCONT).unwrap();
    run.wait().expect_code(137);
    assert_eq!(next.status(), "running");
    next.delete(&["--force"]).expect_ok();
}

#[test]
fn delete_removes_sub_cgroups() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    std::fs::create_dir_all(c.cgroup().join("a/b")).unwrap();
    c.kill("KILL").expect_ok();
    c.wait_exit();
    c.delete(&[]).expect_ok();
    assert!(!c.cgroup().exists());
}

#[test]
fn an_id_is_taken_once() {
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let (_, other) = s.bundle(Config::sleeper());
    s.call(["create", "--bundle"]).arg(&other.dir).arg(&c.id).run().expect_code(1).expect_error("exist");
    assert_eq!(c.status(), "running");
    assert_eq!(c.exec(&["/probe", "exit", "0"]).code, 0);
}

#[test]
fn a_pid_file_holds_just_the_number() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::sleeper());
    let file = s.path("pid");
    s.call(["create", "--pid-file", &file, "--bundle"]).arg(&b.dir).arg(&id).run().expect_ok();
    let state = s.call(["state", &id]).run().json();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), state["pid"].to_string());
    s.call(["delete", "--force", &id]).run().expect_ok();
}

#[test]
fn the_caller_becomes_the_parent() {
    let s = Sandbox::new();
    for c in [s.create(Config::sleeper()), s.start(Config::sleeper())] {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", c.pid())).unwrap();
        let ppid = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().to_owned();
        assert_eq!(ppid, std::process::id().to_string());
    }
}

#[test]
fn the_container_outlives_the_runtime_that_dies_with_its_caller() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::sleeper());
    // As engines start it: with a parent death signal on the runtime.
    let call = s.call(["run", "--detach", "--bundle"]).arg(&b.dir).arg(&id);
    let pdeathsig =
        || raw::prctl(libc::PR_SET_PDEATHSIG, 9, 0).map(drop).map_err(std::io::Error::from_raw_os_error);
    call.before_exec(pdeathsig).run().expect_ok();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let report = s.call(["exec", &id, "/probe", "report"]).run().expect_ok().lines();
    assert_eq!(report[0]["pdeathsig"], 0);
    assert_eq!(s.call(["state", &id]).run().json()["status"], "running");
    s.call(["delete", "--force", &id]).run().expect_ok();
}

#[test]
fn a_bundle_is_the_current_directory_by_default() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "4"]));
    s.call(["run", &id]).cwd(&b.dir).run().expect_code(4);
}

#[test]
fn a_root_path_may_be_absolute() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default());
    let root = b.rootfs().display().to_string();
    b.write(&Config::probe(&["exit", "5"]).set("/root/path", root)).unwrap();
    s.run_bundle(&id, &b).expect_code(5);
}

#[test]
fn an_occupied_cgroup_is_refused() {
    requires!(Spec(1, 2));
    let s = Sandbox::new();
    let c = s.start(Config::sleeper());
    let (id, b) = s.bundle(Config::sleeper().set("/linux/cgroupsPath", format!("/{}", c.id)));
    s.call(["create", "--bundle"]).arg(&b.dir).arg(&id).run().expect_code(1).expect_error("not empty");
    assert_eq!(c.status(), "running");
}

#[test]
fn a_frozen_cgroup_is_refused() {
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::sleeper());
    let group = Path::new(host::CGROUPS).join(&id);
    std::fs::create_dir(&group).unwrap();
    std::fs::write(group.join("cgroup.freeze"), "1").unwrap();
    let out = s.call(["create", "--bundle"]).arg(&b.dir).arg(&id).run();
    out.expect_code(1);
    s.call(["state", &id]).run().expect_code(1);
    std::fs::write(group.join("cgroup.freeze"), "0").unwrap();
}

#[test]
fn init_is_in_its_cgroup() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper());
    assert_eq!(c.cgroup_file("cgroup.procs"), c.pid().to_string());
    let r = s.report(Config::default());
    assert!(r["cgroup"].as_str().unwrap().lines().any(|l| l == "0::/"), "{}", r["cgroup"]);
}

#[test]
fn annotations_come_back_in_state() {
    let s = Sandbox::new();
    let c = s.create(Config::sleeper().set("/annotations", json!({"org.example.a": "1"})));
    assert_eq!(c.state()["annotations"]["org.example.a"], "1");
}
