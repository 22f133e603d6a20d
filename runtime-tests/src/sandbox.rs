//! A test's own place: a directory, a state root, a private mount namespace.
//! Everything in it is gone when it is dropped.

use crate::bundle::Bundle;
use crate::invocation::{Invocation, Output};
use crate::runtime::{self, Runtime};
use crate::{Config, Container, host};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// See the module.
#[derive(Debug)]
pub struct Sandbox {
    /// The runtime under test.
    pub runtime: &'static Runtime,
    dir: PathBuf,
    ids: Mutex<Vec<String>>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Sandbox::new()
    }
}

/// A number no other sandbox or container of this machine has now.
fn fresh() -> String {
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Sandbox {
    /// Makes one, and puts this thread into a private mount namespace.
    pub fn new() -> Sandbox {
        host::enter_private_mounts();
        let base = std::env::var_os("KRUN_TEST_TMP").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = base.join(format!("kt-{}", fresh()));
        let made = fs::create_dir_all(dir.join("state"));
        assert!(made.is_ok(), "{}: {made:?}", dir.display());
        Sandbox { runtime: runtime::under_test(), dir, ids: Mutex::default() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The runtime's `--root`.
    pub fn state_root(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// A path in the sandbox, as text.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// A container id of this test; its cgroup and state are removed at the end.
    pub fn new_id(&self) -> String {
        let id = format!("kt-{}", fresh());
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
        id
    }

    /// Every id given out so far.
    pub fn ids(&self) -> Vec<String> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A call of the runtime with this sandbox's state root.
    pub fn call<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        self.bare_call().arg("--root").arg(self.state_root()).args(args)
    }

    /// A call of the runtime without any argument yet.
    pub fn bare_call(&self) -> Invocation {
        Invocation::new(&self.runtime.path, &self.dir)
    }

    /// A bundle. `linux.cgroupsPath` is set to a place of the container's own unless given.
    #[track_caller]
    pub fn bundle(&self, config: Config) -> (String, Bundle) {
        let id = self.new_id();
        let bundle = self.bundle_for(&id, config);
        (id, bundle)
    }

    /// A bundle for a given id.
    #[track_caller]
    pub fn bundle_for(&self, id: &str, config: Config) -> Bundle {
        let config = with_cgroup(config, id);
        let made = Bundle::make(&self.dir.join(format!("bundle-{id}")), &config);
        assert!(made.is_ok(), "bundle: {made:?}");
        made.unwrap_or_else(|_| Bundle { dir: PathBuf::new() })
    }

    /// `run` in the foreground.
    #[track_caller]
    pub fn run(&self, config: Config) -> Output {
        let (id, bundle) = self.bundle(config);
        self.run_bundle(&id, &bundle)
    }

    /// `run` of a bundle made before.
    #[track_caller]
    pub fn run_bundle(&self, id: &str, bundle: &Bundle) -> Output {
        self.call(["run", "--bundle"]).arg(&bundle.dir).arg(id).run()
    }

    /// Runs the probe in the foreground: its JSON lines.
    #[track_caller]
    pub fn probe(&self, config: Config) -> Vec<Value> {
        self.run(config).expect_ok().lines()
    }

    /// Runs `probe report` in the foreground.
    #[track_caller]
    pub fn report(&self, config: Config) -> Value {
        self.report_with(config, &[])
    }

    /// Runs `probe report` with names of sysctls to read.
    #[track_caller]
    pub fn report_with(&self, config: Config, sysctls: &[&str]) -> Value {
        let args: Vec<&str> = ["/probe", "report"].into_iter().chain(sysctls.iter().copied()).collect();
        let lines = self.probe(config.args(&args));
        assert_eq!(lines.len(), 1, "one report: {lines:?}");
        lines.into_iter().next().unwrap_or_default()
    }

    /// `create`s a container; panics when that fails.
    #[track_caller]
    pub fn create(&self, config: Config) -> Container<'_> {
        let (id, bundle) = self.bundle(config);
        self.create_bundle(&id, &bundle)
    }

    /// `create`s from a bundle made before.
    #[track_caller]
    pub fn create_bundle(&self, id: &str, bundle: &Bundle) -> Container<'_> {
        let (c, out) = self.try_create(id, bundle);
        out.expect_ok();
        c
    }

    /// `create` that may fail.
    #[track_caller]
    pub fn try_create(&self, id: &str, bundle: &Bundle) -> (Container<'_>, Output) {
        let running = self.call(["create", "--bundle"]).arg(&bundle.dir).arg(id).start();
        let file = running.stdout_file().to_owned();
        let out = running.wait();
        (Container::new(self, id, bundle.clone(), file), out)
    }

    /// `run --detach`; waits until the probe says it is ready.
    #[track_caller]
    pub fn start(&self, config: Config) -> Container<'_> {
        let (id, bundle) = self.bundle(config);
        self.start_bundle(&id, &bundle)
    }

    /// A container that sleeps, and has said that it does.
    #[track_caller]
    pub fn sleeping(&self) -> Container<'_> {
        let container = self.start(Config::sleeper());
        container.wait_ready();
        container
    }

    /// `run --detach` of a bundle made before.
    #[track_caller]
    pub fn start_bundle(&self, id: &str, bundle: &Bundle) -> Container<'_> {
        let pid_file = self.path(&format!("{id}.pid"));
        let running = self
            .call(["run", "--detach", "--pid-file", &pid_file, "--bundle"])
            .arg(&bundle.dir)
            .arg(id)
            .start();
        let file = running.stdout_file().to_owned();
        running.wait().expect_ok();
        // The state of one that has ended already no longer tells the pid.
        let pid = fs::read_to_string(&pid_file).unwrap_or_default();
        Container::with_pid(self, id, bundle.clone(), file, pid.parse().unwrap_or(0))
    }
}

fn with_cgroup(config: Config, id: &str) -> Config {
    if config.value().pointer("/linux/cgroupsPath").is_some() {
        return config;
    }
    config.set("/linux/cgroupsPath", format!("/{id}"))
}

impl Drop for Sandbox {
    /// Leaves nothing behind, whatever state the runtime under test left.
    fn drop(&mut self) {
        for id in &self.ids() {
            let group = Path::new(host::CGROUPS).join(id);
            if self.state_root().join(id).exists() {
                let _ = std::process::Command::new(&self.runtime.path)
                    .arg("--root")
                    .arg(self.state_root())
                    .args(["delete", "--force", id])
                    .output();
            }
            if group.exists() {
                let _ = fs::write(group.join("cgroup.freeze"), "0");
                let _ = fs::write(group.join("cgroup.kill"), "1");
                remove_cgroup(&group);
            }
        }
        // What the test mounted below its directory, the last one first.
        let dir = self.dir.display().to_string();
        for line in host::mount_table().iter().rev() {
            if let Some(target) = line.split(' ').nth(4).filter(|t| t.starts_with(&dir)) {
                let _ = crate::raw::umount(target, libc::MNT_DETACH);
            }
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes a cgroup and those below once they are empty.
pub fn remove_cgroup(group: &Path) {
    for _ in 0..50 {
        if let Ok(entries) = fs::read_dir(group) {
            entries.flatten().filter(|e| e.path().is_dir()).for_each(|e| remove_cgroup(&e.path()));
        }
        if fs::remove_dir(group).is_ok() || !group.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
