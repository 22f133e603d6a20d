//! The mounts that come with Create.

use crate::daemon::Daemon;
use crate::wire::Out;
use runtime_tests::{Config, raw, requires};
use std::fs;
use std::path::{Path, PathBuf};

const KILL: u64 = 9;

fn mount(kind: &str, source: &str, options: &[&str]) -> Vec<u8> {
    let mut out = Out::new().bytes(1, kind).bytes(2, source);
    for option in options {
        out = out.bytes(4, option);
    }
    out.done()
}

/// Moves the rootfs that the bundle came with aside: it becomes a layer.
fn layer(shim: &Daemon, n: usize) -> PathBuf {
    let id = format!("{}-c{n}", shim.group);
    let layer = shim.dir.join(format!("layer-{n}"));
    fs::rename(shim.dir.join(&id).join("rootfs"), &layer).unwrap();
    layer
}

/// Creates and starts with one rootfs mount; the bundle is made beforehand so
/// that its own rootfs can be moved away.
fn run(
    shim: &mut Daemon,
    config: Config,
    rootfs: impl FnOnce(&Daemon, &Path) -> Vec<u8>,
) -> (String, PathBuf) {
    let (id, bundle) = shim.bundle(config);
    let n = id.rsplit_once('c').unwrap().1.parse().unwrap();
    let layer = layer(shim, n);
    let mount = rootfs(shim, &layer);
    let request = Out::new().bytes(1, &id).bytes(2, bundle.dir.to_str().unwrap()).bytes(3, mount);
    shim.client.call("Create", request).unwrap();
    shim.call("Start", &id).unwrap();
    (id, bundle.dir.join("rootfs"))
}

fn end(shim: &mut Daemon, id: &str, rootfs: &Path) {
    let _ = shim.kill(id, "", KILL);
    shim.call("Wait", id).unwrap();
    shim.call("Delete", id).unwrap();
    assert_eq!(fs::read_dir(rootfs).unwrap().count(), 0, "the rootfs is still mounted");
}

#[test]
fn a_bind_read_only() {
    let mut shim = Daemon::start();
    let script = Config::default().args(&["/bin/sh", "-c", "echo x > /new || exit 30"]);
    let (id, rootfs) =
        run(&mut shim, script, |_, layer| mount("bind", layer.to_str().unwrap(), &["rbind", "ro"]));
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 30);
    end(&mut shim, &id, &rootfs);
}

/// An overlay of 60 layers and the bundle's rootfs, whose options are longer
/// than a page. `below` and `own` are directories of the shim's, for the layers
/// and for the rootfs: how much of their paths is common decides how they fit.
fn many_layers(shim: &mut Daemon, below: &str, own: &str) {
    let script = Config::default().args(&["/bin/sh", "-c", "cat /mark-0 /mark-59 && echo x > /new"]);
    let mut upper = PathBuf::new();
    let (id, rootfs) = run(shim, script, |shim, layer| {
        upper = shim.dir.join("upper");
        let work = shim.dir.join("work");
        let last = shim.dir.join(own).join("last");
        for dir in [&upper, &work, &shim.dir.join(own)] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::rename(layer, &last).unwrap();
        let mut layers = Vec::new();
        for n in 0..60 {
            let dir = shim.dir.join(below).join(format!("{n}/fs"));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(format!("mark-{n}")), "").unwrap();
            layers.push(dir.display().to_string());
        }
        layers.push(last.display().to_string());
        let lower = format!("lowerdir={}", layers.join(":"));
        assert!(lower.len() > 4096);
        let upper = format!("upperdir={}", upper.display());
        mount("overlay", "overlay", &[&format!("workdir={}", work.display()), &upper, &lower])
    });
    assert_eq!(shim.call("Wait", &id).unwrap().int(1), 0);
    end(shim, &id, &rootfs);
    assert!(upper.join("new").exists());
}

const LONG: &str = "snapshots-in-a-directory-with-a-name-that-is-so-long-that-sixty-of-them-fill-a-page";

#[test]
fn an_overlay_with_more_layers_than_a_page_holds() {
    requires!(Filesystem("overlay"));
    many_layers(&mut Daemon::start(), LONG, LONG);
}

#[test]
fn an_overlay_whose_layers_have_little_in_common() {
    requires!(Filesystem("overlay"), Kernel(6, 5));
    many_layers(&mut Daemon::start(), LONG, "elsewhere");
}

#[test]
fn an_overlay_whose_layers_are_idmapped() {
    requires!(Filesystem("overlay"), Kernel(5, 19));
    let mut shim = Daemon::start();
    let (id, rootfs) = run(&mut shim, Config::sleeper(), |shim, layer| {
        raw::chown(&layer.join("etc/passwd"), 5, 7).unwrap();
        for dir in ["u", "w"] {
            fs::create_dir_all(shim.dir.join(dir)).unwrap();
        }
        let dir = |name: &str, sub: &str| format!("{name}={}", shim.dir.join(sub).display());
        let lower = format!("lowerdir={}", layer.display());
        let maps = ["uidmap=0:100000:65536", "gidmap=0:200000:65536"];
        mount("overlay", "overlay", &[&dir("upperdir", "u"), &dir("workdir", "w"), &lower, maps[0], maps[1]])
    });
    use std::os::unix::fs::MetadataExt;
    let passwd = rootfs.join("etc/passwd").metadata().unwrap();
    assert_eq!((passwd.uid(), passwd.gid()), (100_005, 200_007));
    end(&mut shim, &id, &rootfs);
    assert!(!shim.dir.join(format!("{id}/rootfs.idmapped")).exists());
}

#[test]
fn an_image_file_through_a_loop_device() {
    requires!(Filesystem("ext4"), Program("mke2fs"), Path("/dev/loop-control"));
    let mut shim = Daemon::start();
    let script = Config::default().args(&["/bin/sh", "-c", "echo x > /etc/new || exit 30; sleep 1000"]);
    let image = shim.dir.join("image");
    let (id, rootfs) = run(&mut shim, script, |_, layer| {
        let made = std::process::Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-d", layer.to_str().unwrap(), image.to_str().unwrap(), "16M"])
            .status();
        assert!(made.unwrap().success());
        mount("ext4", image.to_str().unwrap(), &["loop"])
    });
    crate::daemon::until("it wrote to the image", || rootfs.join("etc/new").exists());
    end(&mut shim, &id, &rootfs);
    let image = image.canonicalize().unwrap();
    crate::daemon::until("no loop device has the image", || {
        fs::read_dir("/sys/block").unwrap().flatten().all(|device| {
            let file = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
            Path::new(file.trim_end()) != image
        })
    });
}

#[test]
fn a_mount_that_fails_leaves_nothing() {
    let mut shim = Daemon::start();
    let layer = shim.dir.display().to_string();
    let good = mount("bind", &layer, &["rbind"]);
    let bad = mount("ext4", "/no/device", &[]);
    let refused = shim.create_with(Config::sleeper(), |r| r.bytes(3, good).bytes(3, bad)).unwrap_err();
    assert!(refused.1.contains("rootfs[1]") && refused.1.contains("/no/device"), "{refused:?}");
    let rootfs = shim.dir.join(format!("{}-c0/rootfs", shim.group));
    assert!(rootfs.join("bin").exists(), "the first mount is still there");
}

fn mount_below(kind: &str, source: &str, below: &str, options: &[&str]) -> Vec<u8> {
    let mut out = mount(kind, source, options);
    out.extend(Out::new().bytes(3, below).done());
    out
}

/// The image is somebody else's: its links lead within it.
#[test]
fn a_target_below_the_rootfs_follows_links_within_it() {
    let mut shim = Daemon::start();
    let (id, bundle) = shim.bundle(Config::sleeper());
    let layer = layer(&shim, 0);
    let host = shim.dir.join("host");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("file"), "precious").unwrap();
    let inside = layer.join(host.strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    fs::create_dir(layer.join("plain")).unwrap();
    fs::write(layer.join("plain/name"), "").unwrap();
    std::os::unix::fs::symlink(&host, layer.join("out")).unwrap();
    std::os::unix::fs::symlink("../../../../../out", layer.join("plain/up")).unwrap();
    let host_file = host.join("file").display().to_string();
    let host_dir = host.display().to_string();
    let request = Out::new()
        .bytes(1, &id)
        .bytes(2, bundle.dir.to_str().unwrap())
        .bytes(3, mount("bind", layer.to_str().unwrap(), &["rbind", "rw"]))
        .bytes(3, mount_below("tmpfs", "tmpfs", "out", &["size=1m", "nosuid"]))
        .bytes(3, mount_below("bind", &host_dir, "plain/up", &["rbind", "ro", "private"]))
        .bytes(3, mount_below("bind", &host_file, "/plain/name", &["bind", "ro"]))
        .bytes(3, mount_below("tmpfs", "tmpfs", "plain", &["ro"]));
    shim.client.call("Create", request).unwrap();
    let rootfs = bundle.dir.join("rootfs");
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    assert!(!table.lines().any(|line| line.split(' ').nth(4) == host.to_str()), "{table}");
    assert_eq!(fs::read_to_string(host.join("file")).unwrap(), "precious");
    let at = |path: &Path| -> Vec<String> {
        let of = |line: &&str| line.split(' ').nth(4) == path.to_str();
        table.lines().filter(of).map(|line| line.split(' ').nth(5).unwrap().to_owned()).collect()
    };
    let place = rootfs.join(host.strip_prefix("/").unwrap());
    let flags = at(&place);
    assert_eq!(flags.len(), 2, "a tmpfs, and the bind on it: {table}");
    assert!(flags[0].contains("nosuid") && flags[1].starts_with("ro"), "{flags:?}");
    assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "precious");
    assert!(at(&rootfs.join("plain/name"))[0].starts_with("ro"), "{table}");
    assert!(at(&rootfs.join("plain"))[0].starts_with("ro"), "{table}");
    shim.call("Start", &id).unwrap();
    end(&mut shim, &id, &rootfs);
    assert!(!fs::read_to_string("/proc/thread-self/mountinfo").unwrap().contains(&host_dir));
}

#[test]
fn a_target_that_is_missing_is_an_error_and_is_not_made() {
    let mut shim = Daemon::start();
    let (id, bundle) = shim.bundle(Config::sleeper());
    let layer = layer(&shim, 0);
    let outside = shim.dir.join("outside");
    std::os::unix::fs::symlink(&outside, layer.join("dangling")).unwrap();
    for target in ["none", "dangling", "dangling/below"] {
        let request = Out::new()
            .bytes(1, &id)
            .bytes(2, bundle.dir.to_str().unwrap())
            .bytes(3, mount("bind", layer.to_str().unwrap(), &["rbind"]))
            .bytes(3, mount_below("tmpfs", "tmpfs", target, &[]));
        let refused = shim.client.call("Create", request).unwrap_err();
        assert!(refused.1.contains("rootfs[1]") && refused.1.contains("No such file"), "{refused:?}");
        assert!(!outside.exists() && !layer.join("none").exists());
        assert_eq!(fs::read_dir(bundle.dir.join("rootfs")).unwrap().count(), 0);
    }
}
