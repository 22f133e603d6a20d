//! krun's own: `plan` and `check`.

use runtime_tests::bundle::Bundle;
use runtime_tests::{Config, Sandbox, Value, elf, json, raw, requires};
use std::os::unix::fs::PermissionsExt;

#[test]
fn plan_is_human_and_json() {
    requires!(Krun);
    let s = Sandbox::new();
    let (_, b) = s.bundle(Config::default());
    let human = s.bare_call().arg("plan").arg(&b.dir).run().expect_ok().stdout;
    for word in ["/proc", "/dev/shm", "/probe", "CAP_KILL"] {
        assert!(human.contains(word), "no {word} in {human}");
    }
    let plan = s.bare_call().args(["plan", "--format", "json"]).arg(&b.dir).run().expect_ok().json();
    assert!(plan.is_object());
    let again = s.bare_call().args(["plan", "--format", "json"]).arg(&b.dir).run().expect_ok().json();
    assert_eq!(plan, again, "the same plan twice");
}

/// An error names a masked path by its place in config.json.
#[test]
fn masked_paths_are_in_their_order_and_once() {
    requires!(Krun);
    let s = Sandbox::new();
    let paths = json!(["/z", "/a//b", "/z", "/a/b", "/c"]);
    let (_, b) = s.bundle(Config::default().set("/linux/maskedPaths", paths));
    let plan = s.bare_call().args(["plan", "--format", "json"]).arg(&b.dir).run().expect_ok().json();
    assert_eq!(plan["masked"], json!(["/z", "/a/b", "/c"]));
}

#[test]
fn plan_needs_no_root() {
    requires!(Krun);
    let s = Sandbox::new();
    let (_, b) = s.bundle(Config::default());
    for d in [s.dir(), &b.dir, &b.rootfs()] {
        std::fs::set_permissions(d, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let copy = s.dir().join("krun");
    std::fs::copy(&s.runtime.path, &copy).unwrap();
    let call = runtime_tests::invocation::Invocation::new(&copy, s.dir()).arg("plan").arg(&b.dir);
    call.before_exec(|| raw::setuid(65_534).map_err(std::io::Error::from_raw_os_error)).run().expect_ok();
}

#[test]
fn plan_changes_nothing() {
    requires!(Krun);
    let s = Sandbox::new();
    let (_, b) = s.bundle(Config::default());
    let before = runtime_tests::leftovers::before();
    s.bare_call().arg("plan").arg(&b.dir).run().expect_ok();
    s.bare_call().arg("check").arg(&b.dir).run().expect_ok();
    runtime_tests::leftovers::assert_none(&before, &s);
}

#[test]
fn check_is_content_with_a_good_bundle() {
    requires!(Krun);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    s.bare_call().arg("check").arg(&b.dir).run().expect_ok();
    s.run_bundle(&id, &b).expect_ok();
}

/// A thing that is wrong with a bundle: name, configuration, files, a word of the diagnosis.
type Fault = (&'static str, Config, fn(&Bundle), &'static str);

fn faults() -> Vec<Fault> {
    let base = || Config::probe(&["exit", "0"]);
    vec![
        ("entry point missing", base().args(&["/nowhere"]), |_| (), "/nowhere"),
        ("entry point not in PATH", base().args(&["nowhere"]), |_| (), "nowhere"),
        (
            "entry point not executable",
            base().args(&["/data"]),
            |b| b.add("/data", "x", 0o644).unwrap(),
            "/data",
        ),
        (
            "another architecture",
            base().args(&["/app"]),
            |b| b.add("/app", elf::executable(elf::foreign(), None), 0o755).unwrap(),
            "/app",
        ),
        (
            "ELF interpreter missing",
            base().args(&["/app"]),
            |b| b.add("/app", elf::executable(elf::native(), Some("/lib/nold.so")), 0o755).unwrap(),
            "/lib/nold.so",
        ),
        (
            "script interpreter missing",
            base().args(&["/run"]),
            |b| b.add("/run", "#!/bin/none\n", 0o755).unwrap(),
            "/bin/none",
        ),
        ("rootfs missing", base().set("/root/path", "gone"), |_| (), "gone"),
        ("bind source missing", base().mount("/mnt", "bind", "/no/source", &["bind"]), |_| (), "/no/source"),
        ("filesystem unknown", base().mount("/mnt", "nosuchfs", "x", &[]), |_| (), "nosuchfs"),
        ("namespace path missing", base().join_namespace("network", "/no/ns"), |_| (), "/no/ns"),
        (
            "sysctl of the host",
            base().set("/linux/sysctl", json!({"vm.swappiness": "1"})),
            |_| (),
            "vm.swappiness",
        ),
        ("bad value", base().set("/process/cwd", "relative"), |_| (), "process.cwd"),
        (
            "a mount of nothing",
            base().mount("/mnt", "none", "/tmp", &["ro"]),
            |_| (),
            "a file system expected",
        ),
        (
            "user namespace without maps",
            base().with_namespace("user"),
            |_| (),
            "no namespace path to join nor mappings",
        ),
    ]
}

#[test]
fn what_check_finds_run_fails_of() {
    requires!(Krun);
    let s = Sandbox::new();
    let mut wrong = Vec::new();
    for (name, config, change, word) in faults() {
        let (id, b) = s.bundle(config);
        change(&b);
        let check = s.bare_call().arg("check").arg(&b.dir).run();
        let run = s.run_bundle(&id, &b);
        let said = format!("{}{}", check.stdout, check.stderr);
        if check.code == 0 || run.code == 0 || !said.contains(word) || !run.stderr.contains(word) {
            wrong.push(format!("{name}: check {} {said:?}, run {} {:?}", check.code, run.code, run.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn check_and_run_agree_on_a_missing_controller() {
    requires!(Krun, NoController("memory"));
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::default().set("/linux/resources/memory", json!({"limit": 67_108_864})));
    let check = s.bare_call().arg("check").arg(&b.dir).run();
    assert_ne!(check.code, 0);
    assert!(format!("{}{}", check.stdout, check.stderr).contains("memory"));
    s.run_bundle(&id, &b).expect_code(1).expect_error("memory");
}

#[test]
fn check_lists_every_fault_at_once() {
    requires!(Krun);
    let s = Sandbox::new();
    let config = Config::default().args(&["/nowhere"]).mount("/mnt", "bind", "/no/source", &["bind"]);
    let (_, b) = s.bundle(config);
    let check = s.bare_call().arg("check").arg(&b.dir).run();
    let said = format!("{}{}", check.stdout, check.stderr);
    assert!(said.contains("/nowhere") && said.contains("/no/source"), "{said}");
}

#[test]
fn the_child_s_system_calls_are_few_and_none_is_for_memory() {
    requires!(Krun, Program("strace"));
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["exit", "0"]));
    let trace = s.path("trace");
    let call = runtime_tests::invocation::Invocation::new("strace".as_ref(), s.dir());
    let call = call
        .args(["-f", "-o", &trace])
        .arg(&s.runtime.path)
        .arg("--root")
        .arg(s.state_root())
        .args(["run", "-b"]);
    call.arg(&b.dir).arg(&id).run().expect_ok();
    let text = std::fs::read_to_string(&trace).unwrap();
    let child = child_calls(&text);
    assert!(child.len() > 20, "{child:?}");
    for forbidden in ["brk", "munmap", "futex", "mremap", "mprotect"] {
        assert!(!child.iter().any(|c| c == forbidden), "{forbidden} in {child:?}");
    }
    assert!(child.iter().filter(|c| *c == "mmap").count() <= 1, "{child:?}");
}

/// The names of the calls between krun-init's execveat and the container's execve.
fn child_calls(trace: &str) -> Vec<String> {
    let begin = trace.lines().find(|l| l.contains("execveat(")).unwrap_or_default();
    let pid = begin.split_whitespace().next().unwrap_or_default().to_owned();
    let own = trace.lines().filter(|l| l.starts_with(&format!("{pid} ")));
    let calls = own.skip_while(|l| !l.contains("execveat(")).skip(1);
    let calls = calls.take_while(|l| !l.contains("execve("));
    calls.filter_map(|l| l.split_whitespace().nth(1)?.split_once('(').map(|(n, _)| n.to_owned())).collect()
}

#[test]
fn plan_is_the_same_json_for_the_same_bundle_elsewhere() {
    requires!(Krun);
    let s = Sandbox::new();
    let same = || Config::default().set("/linux/cgroupsPath", "/same");
    let ((first, a), (second, b)) = (s.bundle(same()), s.bundle(same()));
    let plan =
        |b: &Bundle| s.bare_call().args(["plan", "--format", "json"]).arg(&b.dir).run().expect_ok().stdout;
    // The folder's name, which has the id in it, is all that differs.
    let shifted = plan(&b).replace(&second, &first);
    let read = |t: &str| serde_json::from_str::<Value>(t).unwrap();
    assert_eq!(read(&plan(&a)), read(&shifted));
}
