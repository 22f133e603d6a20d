//! Mounts in and over mounts: in the order of config.json, each on what is on top by then.

use crate::mount_on;
use runtime_tests::{Config, Sandbox};

fn with(config: Config, target: &str, size: &str) -> Config {
    config.mount(target, "tmpfs", "tmpfs", &["mode=755", &format!("size={size}")])
}

#[test]
fn a_mount_in_a_tmpfs_that_is_covered_later() {
    let s = Sandbox::new();
    let mounts =
        [("/t", "1m"), ("/t/a", "2m"), ("/t/a/b", "3m"), ("/t", "4m"), ("/t/a", "5m"), ("/t/./c", "6m")];
    let r =
        s.report(mounts.iter().fold(Config::default(), |config, (target, size)| with(config, target, size)));
    for (target, size) in [("/t", "4096k"), ("/t/a", "5120k"), ("/t/c", "6144k")] {
        let m = mount_on(&r, target);
        assert!(m["super"].to_string().contains(&format!("size={size}")), "{target}: {m}");
    }
    assert_eq!(r["mounts"].as_array().unwrap().iter().filter(|m| m["target"] == "/t").count(), 2);
}

/// Nothing says that the second tmpfs has mounts in it: what is made in the first would be out of sight.
#[test]
fn a_mount_where_a_tmpfs_was_covered_is_in_what_covers_it() {
    let s = Sandbox::new();
    let mounts = [("/t", "1m"), ("/t/a", "2m"), ("/t", "4m"), ("/u", "1m"), ("/t/c", "5m")];
    let config = Config::probe(&["create", "/t/c/file"]);
    let lines = s.probe(mounts.iter().fold(config, |config, (target, size)| with(config, target, size)));
    assert_eq!(lines[0]["ok"], true, "{lines:?}");
}
