//! The state on disk: whole, patched in place, refused where it isn't ours.
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn sample() -> State {
    let head = Head {
        pid: 77,
        start_time: 88,
        pidfd_inode: 99,
        oci_version: "1.3.0".into(),
        id: "c1".into(),
        bundle: "/bundle".into(),
        rootfs: "/bundle/rootfs".into(),
        created: "2026-01-02T03:04:05.000000006Z".into(),
        annotations: BTreeMap::from([("a\"b".into(), "ü".into())]),
        owner_uid: 0,
        cgroup: Location {
            driver: crate::cgroup::Driver::Cgroupfs,
            path: "/c1".into(),
            mount: "/sys/fs/cgroup".into(),
            scope: None,
            optional: false,
        },
        private_pid_namespace: true,
        gate: true,
    };
    let details = Details {
        rootless: false,
        systemd_cgroup: false,
        no_new_keyring: false,
        mount_below: None,
        namespaces: vec![NamespaceRecord { kind: LinuxNamespaceType::Pid, path: None }],
        process: Some(Process::default()),
        resources: None,
        seccomp: false,
        agent: None,
        hooks: None,
        intel_rdt: None,
        personality: None,
        memory_policy: None,
    };
    State { head, details: Box::new(details) }
}

fn scratch(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("krun-state-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    root
}

#[test]
fn a_template_is_valid_json_before_and_after_patching() {
    let mut template = sample().render_template();
    let before = State::from_json(&template.bytes).unwrap();
    assert_eq!(before.head.identity(), process::Identity::default());
    for (pid, start_time, inode) in [(1, 2, 3), (i32::MAX, u64::MAX, u64::MAX), (9, 9, 0)] {
        let told = process::Identity { pid, start_time, inode };
        template.patch(told);
        let after = State::from_json(&template.bytes).unwrap();
        assert_eq!(after.head.identity(), told);
        assert_eq!(after.head.annotations, sample().head.annotations);
        let head = Head::from_json(&template.bytes).unwrap();
        assert_eq!((head.identity(), head.id.as_str()), (told, "c1"));
    }
}

#[test]
fn the_numbers_are_written_over_those_of_the_file() {
    let root = scratch("numbers");
    let dir = StateDir::create(&root, &ContainerId::new("c1").unwrap()).unwrap();
    let mut template = sample().render_template();
    let file = dir.write_file(STATE, &template.bytes).unwrap();
    for (pid, start_time, inode) in [(i32::MAX, 1, u64::MAX), (1, u64::MAX, 0)] {
        template.patch(process::Identity { pid, start_time, inode });
        template.write_numbers(&file).unwrap();
        assert_eq!(dir.read(STATE).unwrap(), template.bytes);
    }
    assert!(!dir.is_removed());
    let other = StateDir::open(&root, &ContainerId::new("c1").unwrap()).unwrap();
    dir.remove().unwrap();
    assert!(other.is_removed());
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_container_directory_is_private_and_unique() {
    let root = scratch("dir");
    let id = ContainerId::new("c1").unwrap();
    assert!(StateDir::open(&root, &id).unwrap_err().is_not_exist());
    let dir = StateDir::create(&root, &id).unwrap();
    assert_eq!(std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(matches!(StateDir::create(&root, &id), Err(StateError::Exists { .. })));
    assert!(dir.head().unwrap_err().is_not_exist(), "no state.json yet");
    dir.write(&sample()).unwrap();
    assert_eq!(StateDir::open(&root, &id).unwrap().load().unwrap().head.pid, 77);
    std::fs::write(dir.path().join("other"), "x").unwrap();
    let waiting = StateDir::open(&root, &id).unwrap();
    dir.remove().unwrap();
    assert!(waiting.lock().unwrap_err().is_not_exist());
    std::fs::remove_dir(&root).unwrap();
}

#[test]
fn a_symlink_in_place_of_the_directory_is_no_container() {
    let root = scratch("link");
    std::fs::create_dir_all(&root).unwrap();
    std::os::unix::fs::symlink("/", root.join("c1")).unwrap();
    let id = ContainerId::new("c1").unwrap();
    assert!(StateDir::open(&root, &id).unwrap_err().is_not_exist());
    assert!(matches!(StateDir::create(&root, &id), Err(StateError::Exists { .. })));
    std::fs::remove_dir_all(&root).unwrap();
}
