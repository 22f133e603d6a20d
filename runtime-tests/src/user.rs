//! An ordinary user of the machine, as whom a test calls the runtime: with an
//! entry in passwd(5), perhaps with subordinate ids, perhaps with a cgroup.

use crate::bundle::Bundle;
use crate::invocation::{Invocation, Output};
use crate::{Config, Sandbox, Value, host, json, raw};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The user's id and group.
pub const UID: u32 = 1000;
/// The first subordinate id, of [`COUNT`].
pub const SUB: u32 = 200_000;
/// How many subordinate ids there are.
pub const COUNT: u32 = 65_536;

/// See the module. Dropping it deletes its containers by force.
#[derive(Debug)]
pub struct User<'s> {
    sandbox: &'s Sandbox,
    group: Option<String>,
    ids: Mutex<Vec<String>>,
}

impl<'s> User<'s> {
    /// A user with subordinate ids and without a cgroup.
    #[track_caller]
    pub fn new(sandbox: &'s Sandbox) -> User<'s> {
        let made = User::prepare(sandbox);
        assert!(made.is_ok(), "a user for the test: {made:?}");
        User { sandbox, group: None, ids: Mutex::default() }
    }

    /// A user to whom a part of the cgroup tree was delegated (cgroups(7)), with every controller.
    #[track_caller]
    pub fn delegated(sandbox: &'s Sandbox) -> User<'s> {
        let mut user = User::new(sandbox);
        let name = sandbox.new_id();
        let made = delegate(&Path::new(host::CGROUPS).join(&name));
        assert!(made.is_ok(), "a delegated cgroup: {made:?}");
        user.group = Some(name);
        user
    }

    /// Files of the host as the user finds them, in this thread's own mount namespace.
    fn prepare(sandbox: &Sandbox) -> std::io::Result<()> {
        let dir = sandbox.dir();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
        let passwd = format!("root:x:0:0:root:/root:/bin/sh\nkt:x:{UID}:{UID}:kt:/:/bin/sh\n");
        let ranges = format!("kt:{SUB}:{COUNT}\n");
        for (target, text) in [("passwd", &passwd), ("subuid", &ranges), ("subgid", &ranges)] {
            let file = sandbox.path(target);
            fs::write(&file, text)?;
            raw::mount(&file, &format!("/etc/{target}"), "", libc::MS_BIND, "")?;
        }
        // Whoever owns the directories on the way there.
        fs::write(dir.join("runtime"), "")?;
        let program = sandbox.runtime.path.display().to_string();
        raw::mount(&program, &sandbox.path("runtime"), "", libc::MS_BIND, "")?;
        for name in ["xdg", "home"] {
            fs::create_dir(dir.join(name))?;
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o700))?;
            raw::chown(&dir.join(name), UID, UID)?;
        }
        Ok(())
    }

    /// The user's `XDG_RUNTIME_DIR`, in which the state of containers is kept.
    pub fn runtime_dir(&self) -> PathBuf {
        self.sandbox.dir().join("xdg")
    }

    /// The user's own directory.
    pub fn home(&self) -> PathBuf {
        self.sandbox.dir().join("home")
    }

    /// A call of the runtime as the user, with the default state root.
    pub fn call<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        self.program(&self.sandbox.dir().join("runtime")).args(args)
    }

    /// A call of any program as the user.
    pub fn program(&self, path: &Path) -> Invocation {
        let group = self.group.as_ref().map(|name| Path::new(host::CGROUPS).join(name).join("caller"));
        let procs = group.and_then(|group| File::options().write(true).open(group.join("cgroup.procs")).ok());
        Invocation::new(path, self.sandbox.dir())
            .env("XDG_RUNTIME_DIR", &self.runtime_dir().display().to_string())
            .cwd(self.home())
            .before_exec(move || {
                // Still root: the way into the delegated cgroup from outside is root's.
                if let Some(mut procs) = procs.as_ref() {
                    procs.write_all(b"0")?;
                }
                raw::become_user(UID).map_err(std::io::Error::from_raw_os_error)
            })
    }

    /// A bundle that the user owns. Its cgroup is the runtime's choice unless given.
    #[track_caller]
    pub fn bundle(&self, config: &Config) -> (String, Bundle) {
        let id = self.sandbox.new_id();
        let made = Bundle::make(&self.sandbox.dir().join(format!("bundle-{id}")), config);
        assert!(made.is_ok(), "bundle: {made:?}");
        let bundle = made.unwrap_or_else(|_| Bundle { dir: PathBuf::new() });
        let owned = chown_tree(&bundle.dir);
        assert!(owned.is_ok(), "chown: {owned:?}");
        self.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(id.clone());
        (id, bundle)
    }

    /// `run` in the foreground.
    #[track_caller]
    pub fn run(&self, config: &Config) -> Output {
        let (id, bundle) = self.bundle(config);
        self.call(["run", "--bundle"]).arg(&bundle.dir).arg(id).run()
    }

    /// What `probe report` says in the foreground.
    #[track_caller]
    pub fn report(&self, config: Config) -> Value {
        let out = self.run(&config.args(&["/probe", "report"])).expect_ok();
        out.lines().into_iter().next().unwrap_or_default()
    }

    /// `run --detach` of the probe, until it is ready: id and pid.
    #[track_caller]
    pub fn start(&self, config: Config) -> (String, i32) {
        let (id, bundle) = self.bundle(&config.args(&["/probe", "ready-sleep"]));
        let pid_file = self.home().join(format!("{id}.pid"));
        let call = self.call(["run", "--detach", "--pid-file"]).arg(&pid_file).arg("--bundle");
        let running = call.arg(&bundle.dir).arg(&id).start();
        let out = running.stdout_file().to_owned();
        running.wait().expect_ok();
        let ready = || fs::read_to_string(&out).is_ok_and(|text| text.contains("ready"));
        assert!(crate::container::eventually(ready), "the probe isn't ready");
        let pid = fs::read_to_string(pid_file).unwrap_or_default();
        (id, pid.parse().unwrap_or(0))
    }

    /// A directory of the delegated part of the cgroup tree.
    pub fn cgroup(&self, name: &str) -> PathBuf {
        Path::new(host::CGROUPS).join(self.group.as_deref().unwrap_or_default()).join(name)
    }

    /// The ids of its containers so far.
    pub fn ids(&self) -> Vec<String> {
        self.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        for id in self.ids() {
            self.call(["delete", "--force", &id]).start().end();
        }
        for file in ["passwd", "subuid", "subgid"] {
            let _ = raw::umount(&format!("/etc/{file}"), libc::MNT_DETACH);
        }
    }
}

/// A user namespace in which root is the user, and nobody else is anyone.
pub fn own_id(config: Config) -> Config {
    let map = json!([{"containerID": 0, "hostID": UID, "size": 1}]);
    user_namespace(config, &map).without_mount("/dev/pts").mount(
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    )
}

/// A user namespace in which root is the user and all others are subordinate ids.
pub fn sub_ids(config: Config) -> Config {
    let map = json!([
        {"containerID": 0, "hostID": UID, "size": 1},
        {"containerID": 1, "hostID": SUB, "size": COUNT},
    ]);
    user_namespace(config, &map)
}

fn user_namespace(config: Config, map: &Value) -> Config {
    config
        .with_namespace("user")
        .remove("/linux/resources")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map.clone())
}

fn chown_tree(path: &Path) -> std::io::Result<()> {
    raw::chown(path, UID, UID)?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            chown_tree(&entry?.path())?;
        }
    }
    Ok(())
}

/// Makes a cgroup that belongs to the user, every controller handed down, and in it one for its callers.
fn delegate(group: &Path) -> std::io::Result<()> {
    let caller = group.join("caller");
    fs::create_dir_all(&caller)?;
    // Where the root itself hands something down; a host with a manager may have done so already.
    let root = Path::new(host::CGROUPS);
    for controller in host::controllers() {
        let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    let all = fs::read_to_string(group.join("cgroup.controllers"))?;
    for controller in all.split_whitespace() {
        fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"))?;
    }
    let list = fs::read_to_string("/sys/kernel/cgroup/delegate")?;
    for dir in [group, &caller] {
        raw::chown(dir, UID, UID)?;
        // A controller's file may be missing.
        for file in list.lines().map(|file| dir.join(file)).filter(|file| file.exists()) {
            raw::chown(&file, UID, UID)?;
        }
    }
    Ok(())
}
