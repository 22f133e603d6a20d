//! What containers and engines write as JSON.

use std::path::Path;

use krun::bundle::{self, Bundle, Caller};
use krun::cgroup;
use krun::host::Facts;
use krun::plan::{self, dump, seccomp};
use krun::state::process::Identity;
use krun::state::{Head, State};
use oci_spec::runtime::LinuxResources;
use serde_json::Value;

/// config.json: read, judged and planned, as `krun plan` and `krun check` do.
pub fn config(input: &[u8]) {
    let Ok(spec) = bundle::spec_from_json(input, Path::new("config.json")) else { return };
    let bundle = Bundle { dir: "/nonexistent".into(), spec };
    for rootless in [false, true] {
        let _ = bundle::problems(&bundle, Caller { rootless, no_pivot: rootless });
    }
    if let Some(linux) = bundle.spec.linux() {
        linux.resources().iter().for_each(limits);
        let path = linux.cgroups_path().as_ref().and_then(|path| path.to_str());
        let _ = cgroup::systemd::fuzz::unit_path(path.unwrap_or_default(), false);
        if let Some(profile) = linux.seccomp() {
            let _ = seccomp::warnings(profile);
        }
    }
    let Ok(program) = seccomp::of(&bundle.spec) else { return };
    if let Some(program) = &program {
        let lines = seccomp::dump(program).count();
        assert!((1..=4096).contains(&lines), "{lines} instructions");
    }
    let facts = Facts::ideal();
    let joined = plan::Joined::unopened(&bundle.spec);
    if let Ok(frozen) = plan::build(&plan::Request::dry(&bundle, "id", &facts, &joined, program.as_ref())) {
        look_at(&frozen);
    }
}

/// The description that `exec --process` reads.
pub fn process(input: &[u8]) {
    let Ok(process) = bundle::process_from_json(input, Path::new("process.json")) else { return };
    let _ = bundle::validate_process(&process);
    let facts = Facts::ideal();
    for user_namespace in [None, Some(plan::UserNamespace { root_mapped: true })] {
        let request = plan::ExecRequest {
            root: -1,
            process: &process,
            id: "id",
            facts: &facts,
            fds: plan::no_fds(),
            joined: &[],
            user_namespace,
            deny_setgroups: false,
            seccomp: None,
            personality: None,
            memory_policy: None,
            no_new_keyring: false,
            await_cgroup: false,
            rdt: false,
            reset_thp: false,
        };
        if let Ok(frozen) = plan::build_exec(&request) {
            look_at(&frozen);
        }
    }
}

/// The limits that `update` reads, over themselves as the ones in force.
pub fn resources(input: &[u8]) {
    let Ok(new) = bundle::resources_from_json(input, Path::new("resources.json")) else { return };
    limits(&new);
    let merged = cgroup::merge(&new, &new);
    limits(&merged);
    // What state.json keeps is read again by the next update.
    let text = serde_json::to_vec(&merged).expect("limits are written");
    let read: LinuxResources = serde_json::from_slice(&text).expect("limits are read again");
    assert_eq!(read, merged);
}

/// state.json: what is read is written and read again as the same.
pub fn state(input: &[u8]) {
    let _ = Head::from_json(input);
    let Ok(state) = State::from_json(input) else { return };
    let bytes = state.to_json();
    let again = State::from_json(&bytes).expect("what krun writes it reads");
    assert_eq!(values(&again.to_json()), values(&bytes));
    let told = Identity { pid: i32::MAX, start_time: u64::MAX, inode: 1 };
    let mut template = state.render_template();
    template.patch(told);
    let patched = State::from_json(&template.bytes).expect("a patched template is a state");
    assert_eq!(patched.head.identity(), told);
    assert_eq!(values(&patched.to_json())[1], values(&bytes)[1]);
}

fn values(bytes: &[u8]) -> Vec<Value> {
    let lines = serde_json::Deserializer::from_slice(bytes).into_iter();
    lines.collect::<Result<_, _>>().expect("JSON values")
}

fn limits(resources: &LinuxResources) {
    if cgroup::validate(resources).is_ok() {
        let needed = cgroup::needed_controllers(resources);
        assert!(needed.len() <= 9);
    }
    for version in [0, 252] {
        let _ = cgroup::systemd::fuzz::properties(resources, version);
    }
}

fn look_at(frozen: &plan::Frozen) {
    crate::plan::walk(frozen.view());
    assert!(!dump::human(frozen.view()).is_empty());
}
