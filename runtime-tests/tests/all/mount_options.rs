//! Options of mounts beyond the usual: mapped ids, links, whole trees, flags of the file system.

use crate::userns::mapped;
use crate::{has_option, mount_on};
use runtime_tests::{Config, Sandbox, Value, json, raw, requires};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A directory of the sandbox that root owns, with another bound below it: a file in each.
fn tree(s: &Sandbox) -> String {
    let (top, other) = (s.path("tree"), s.path("other"));
    for dir in [&top, &other] {
        fs::create_dir(dir).unwrap();
        fs::write(format!("{dir}/file"), dir).unwrap();
    }
    fs::create_dir(format!("{top}/sub")).unwrap();
    raw::mount(&other, &format!("{top}/sub"), "", libc::MS_BIND, "").unwrap();
    top
}

/// The probe's actions that look at each of these files.
fn stats<'a>(paths: &[&'a str]) -> Vec<&'a str> {
    paths.iter().flat_map(|path| ["--", "stat", path]).skip(1).collect()
}

fn owner(line: &Value) -> (u64, u64) {
    (line["uid"].as_u64().unwrap(), line["gid"].as_u64().unwrap())
}

#[test]
fn idmap_takes_the_container_s_maps_and_ridmap_those_of_the_tree() {
    requires!(Spec(1, 2), RuncLike, UserNamespace, Kernel(5, 12));
    let s = Sandbox::new();
    let source = tree(&s);
    let actions = stats(&["/a/file", "/a/sub/file", "/b/file", "/b/sub/file", "/c/file"]);
    let config = Config::probe(&actions)
        .mount("/a", "bind", &source, &["rbind", "idmap"])
        .mount("/b", "bind", &source, &["rbind", "ridmap"])
        .mount("/c", "bind", &source, &["rbind"]);
    let (id, b) = mapped(&s, config);
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    let owners: Vec<_> = lines.iter().map(owner).collect();
    let (root, nobody) = ((0, 0), (65_534, 65_534));
    assert_eq!(owners, [root, nobody, root, root, nobody]);
}

#[test]
fn a_mount_s_own_maps_for_a_whole_tree() {
    requires!(Spec(1, 2), RuncLike, Kernel(5, 12));
    let s = Sandbox::new();
    let source = tree(&s);
    let mount = |target: &str, options: &[&str]| {
        json!({"destination": target, "type": "bind", "source": source, "options": options,
            "uidMappings": [{"containerID": 0, "hostID": 7000, "size": 10}],
            "gidMappings": [{"containerID": 0, "hostID": 8000, "size": 10}]})
    };
    let mut actions = stats(&["/a/file", "/a/sub/file", "/b/sub/file"]);
    actions.extend(["--", "create", "/a/new"]);
    let config = Config::probe(&actions)
        .push("/mounts", mount("/a", &["rbind", "idmap"]))
        .push("/mounts", mount("/b", &["rbind", "ridmap"]))
        .capabilities(&["CAP_DAC_OVERRIDE"]);
    let lines = s.probe(config);
    let owners: Vec<_> = lines[..3].iter().map(owner).collect();
    assert_eq!(owners, [(7000, 8000), (0, 0), (7000, 8000)]);
    assert_eq!(lines[3]["errno"], "EOVERFLOW", "root has no id there");
}

#[test]
fn every_recursive_attribute_reaches_the_whole_tree() {
    requires!(RuncLike, Kernel(5, 12));
    let s = Sandbox::new();
    let source = tree(&s);
    // The tree has everything that can be taken away.
    let all = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_RDONLY | libc::MS_NOATIME;
    for dir in [source.clone(), format!("{source}/sub")] {
        raw::mount(&dir, &dir, "", libc::MS_BIND | libc::MS_REC, "").unwrap();
        raw::mount("", &dir, "", libc::MS_BIND | libc::MS_REMOUNT | all, "").unwrap();
    }
    let plain = s.path("other");
    raw::mount(&plain, &plain, "", libc::MS_BIND, "").unwrap();
    let given = [
        "rro",
        "rnosuid",
        "rnodev",
        "rnoexec",
        "rnoatime",
        "rnodiratime",
        "rrelatime",
        "rstrictatime",
        "rnosymfollow",
    ];
    let taken = ["rrw", "rsuid", "rdev", "rexec", "ratime", "rdiratime"];
    let mut config = Config::default();
    for option in given {
        config = config.mount(&format!("/given/{option}"), "bind", &plain, &["rbind", option]);
    }
    for option in taken {
        config = config.mount(&format!("/taken/{option}"), "bind", &source, &["rbind", option]);
    }
    let r = s.report(config);
    for option in given {
        let m = mount_on(&r, &format!("/given/{option}"));
        // mountinfo shows strictatime by showing no other.
        let shown = option.trim_start_matches('r').replace("elatime", "relatime");
        let there = if option == "rstrictatime" {
            !has_option(&m, "relatime") && !has_option(&m, "noatime")
        } else {
            has_option(&m, if option == "rro" { "ro" } else { &shown })
        };
        assert!(there, "{option}: {m}");
    }
    for (option, flag) in taken.iter().zip(["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"]) {
        for below in ["", "/sub"] {
            let m = mount_on(&r, &format!("/taken/{option}{below}"));
            assert!(!has_option(&m, flag), "{option}{below}: {m}");
            let other = if flag == "ro" { "nosuid" } else { "ro" };
            assert!(has_option(&m, other), "{option}{below} keeps the rest: {m}");
        }
    }
}

#[test]
fn copy_symlink_makes_the_same_link() {
    requires!(Krun);
    let s = Sandbox::new();
    let link = s.path("link");
    symlink("some/where", &link).unwrap();
    let config = Config::probe(&["readlink", "/etc/made/link", "--", "readlink", "/etc/present"])
        .mount("/etc/made/link", "bind", &link, &["bind", "copy-symlink"])
        .mount("/etc/present", "bind", &link, &["bind", "copy-symlink"]);
    let (id, b) = s.bundle(config.clone());
    symlink("some/where", b.inside("/etc/present")).unwrap();
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!((&lines[0]["target"], &lines[1]["target"]), (&json!("some/where"), &json!("some/where")));
    // Another file in its place is not replaced.
    let (id, b) = s.bundle(config);
    fs::write(b.inside("/etc/present"), "mine").unwrap();
    s.run_bundle(&id, &b).expect_code(1).expect_error("mounts[8] /etc/present");
    assert_eq!(fs::read_to_string(b.inside("/etc/present")).unwrap(), "mine");
}

#[test]
fn links_are_mounted_themselves_when_they_are_not_to_be_followed() {
    requires!(Krun);
    let s = Sandbox::new();
    let (link, file) = (s.path("link"), s.path("file"));
    fs::write(&file, "content").unwrap();
    symlink("of/the/host", &link).unwrap();
    let config = Config::probe(&["readlink", "/link", "--", "read", "/elsewhere", "--", "stat", "/file"])
        .mount("/link", "bind", &link, &["bind", "src-nofollow", "dest-nofollow"])
        .mount("/file", "bind", &file, &["bind", "dest-nofollow"]);
    let (id, b) = s.bundle(config);
    b.add("/elsewhere", "untouched", 0o644).unwrap();
    symlink("elsewhere", b.inside("/link")).unwrap();
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!(lines[0]["target"], "of/the/host");
    assert_eq!(lines[1]["data"], "untouched");
    assert_eq!(lines[2]["type"], "file");
    assert_eq!(fs::read_link(b.inside("/link")).unwrap().to_str(), Some("elsewhere"));
}

#[test]
fn flags_of_a_file_system() {
    let s = Sandbox::new();
    let flags = ["sync", "dirsync", "lazytime"];
    let mut config = Config::default();
    for flag in flags {
        config = config.mount(&format!("/mnt/{flag}"), "tmpfs", "tmpfs", &[flag]);
    }
    config = config
        .mount("/mnt/none", "tmpfs", "tmpfs", &["async", "nolazytime", "nomand", "noiversion", "defaults"])
        .mount("/mnt/iversion", "tmpfs", "tmpfs", &["iversion"])
        .mount("/mnt/mand", "tmpfs", "tmpfs", &["mand"]);
    let r = s.report(config);
    for flag in flags {
        let m = mount_on(&r, &format!("/mnt/{flag}"));
        let options = m["super"].as_str().map(str::to_owned).unwrap_or_else(|| m["super"].to_string());
        assert!(options.contains(flag), "{flag}: {m}");
    }
    for target in ["/mnt/none", "/mnt/iversion", "/mnt/mand"] {
        assert_eq!(mount_on(&r, target)["fstype"], "tmpfs", "{target}");
    }
    let none = mount_on(&r, "/mnt/none")["super"].to_string();
    assert!(flags.iter().all(|flag| !none.contains(flag)), "{none}");
}

#[test]
fn an_option_that_the_file_system_lacks_is_named() {
    requires!(Krun);
    let s = Sandbox::new();
    for (options, words) in
        [(["size=lots"], "size=lots"), (["no-such-option"], "no-such-option"), (["mode=9"], "mode=9")]
    {
        s.run(Config::default().mount("/mnt", "tmpfs", "tmpfs", &options))
            .expect_code(1)
            .expect_error(
                "run failed: unable to start container process: error during container init: error mounting",
            )
            .expect_error("mounts[7] /mnt")
            .expect_error(words);
    }
}

#[test]
fn tmpcopyup_keeps_modes_and_owners() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let (id, b) = s.bundle(Config::probe(&["stat", "/data/d", "--", "stat", "/data/d/f"]).mount(
        "/data",
        "tmpfs",
        "tmpfs",
        &["tmpcopyup"],
    ));
    b.add("/data/d/f", "x", 0o4750).unwrap();
    raw::chown(&b.inside("/data/d/f"), 7, 8).unwrap();
    fs::set_permissions(b.inside("/data/d/f"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::set_permissions(b.inside("/data/d"), fs::Permissions::from_mode(0o1731)).unwrap();
    let lines = s.run_bundle(&id, &b).expect_ok().lines();
    assert_eq!(lines[0]["mode"], 0o1731);
    assert_eq!(
        (&lines[1]["mode"], &lines[1]["uid"], &lines[1]["gid"]),
        (&json!(0o4750), &json!(7), &json!(8))
    );
}

#[test]
fn a_mount_is_changed_by_remount() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let config = Config::probe(&["create", "/mnt/x"]).mount("/mnt", "tmpfs", "tmpfs", &["size=1m"]).mount(
        "/mnt",
        "none",
        "",
        &["bind", "remount", "ro"],
    );
    assert_eq!(s.probe(config)[0]["errno"], "EROFS");
}

#[test]
fn a_file_system_is_changed_by_remount() {
    requires!(RuncLike);
    let s = Sandbox::new();
    let mounted = Config::default().mount("/mnt", "tmpfs", "tmpfs", &["size=1m"]);
    let r = s.report(mounted.mount("/mnt", "tmpfs", "tmpfs", &["remount", "size=2m", "nosuid"]));
    let mount = mount_on(&r, "/mnt");
    assert!(mount.to_string().contains("size=2048k") && has_option(&mount, "nosuid"), "{mount}");
}

#[test]
fn an_access_time_replaces_the_source_s() {
    const MS_NOATIME_REMOUNT_BIND: u64 = 1024 | 32 | 4096;
    let s = Sandbox::new();
    let v = s.path("noatime");
    std::fs::create_dir(&v).unwrap();
    raw::mount("none", &v, "tmpfs", 0, "mode=777").unwrap();
    raw::mount("", &v, "", MS_NOATIME_REMOUNT_BIND, "").unwrap();
    let r = s.report(Config::default().mount("/mnt/r", "bind", &v, &["bind", "relatime"]).mount(
        "/mnt/n",
        "bind",
        &v,
        &["bind", "nosuid"],
    ));
    assert!(has_option(&mount_on(&r, "/mnt/r"), "relatime"), "{}", mount_on(&r, "/mnt/r"));
    assert!(has_option(&mount_on(&r, "/mnt/n"), "noatime"), "{}", mount_on(&r, "/mnt/n"));
}
