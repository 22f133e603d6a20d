//! `linux.intelRdt`: a class of service for cache and memory bandwidth, in resctrl
//! (Documentation/filesystems/resctrl.rst).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, statfs};
use oci_spec::runtime::{LinuxIntelRdt, Spec};

use super::LaunchError;
use crate::state::IntelRdtRecord;

/// Where resctrl is usually mounted.
const USUAL: &str = "/sys/fs/resctrl";
/// RDTGROUP_SUPER_MAGIC
const MAGIC: FsType = FsType(0x0765_5821);

/// The groups of a container.
#[derive(Debug)]
pub struct Groups {
    root: PathBuf,
    /// The class of service, below the mount.
    class: PathBuf,
    made: bool,
    /// The monitoring group, below the mount.
    monitor: Option<PathBuf>,
}

/// The mount point of resctrl, if the kernel has one mounted.
#[must_use]
pub fn mountpoint() -> Option<PathBuf> {
    let usual = statfs(USUAL);
    if usual.is_ok_and(|st| st.filesystem_type() == MAGIC) {
        return Some(USUAL.into());
    }
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut mounts = table.lines().map(|line| line.split(' ').skip(1));
    mounts
        .find_map(|mut fields| Some((fields.next()?, fields.next()?)).filter(|found| found.1 == "resctrl"))
        .map(|found| found.0.into())
}

impl Groups {
    /// Makes what a specification asks for and writes its schemata; `None` if it asks for nothing.
    ///
    /// # Errors
    /// [`LaunchError::IntelRdt`]; then nothing is left.
    pub fn make(spec: &Spec, id: &str) -> Result<Option<Groups>, LaunchError> {
        let Some(rdt) = spec.linux().as_ref().and_then(|linux| linux.intel_rdt().as_ref()) else {
            return Ok(None);
        };
        let root = mountpoint().ok_or(LaunchError::Usage(
            "linux.intelRdt: intelRdt is specified in config, but Intel RDT is not enabled",
        ))?;
        make_in(root, rdt, id).map(Some)
    }

    /// The groups that a record names, for exec.
    #[must_use]
    pub fn open(record: &IntelRdtRecord, id: &str) -> Option<Groups> {
        let monitor = record.monitor.then(|| monitor(&record.group, id));
        Some(Groups { root: mountpoint()?, class: record.group.clone(), made: record.remove, monitor })
    }

    /// Puts a process into them. New processes of its own follow.
    ///
    /// # Errors
    /// [`LaunchError::IntelRdt`].
    pub fn add(&self, pid: i32) -> Result<(), LaunchError> {
        for group in std::iter::once(&self.class).chain(&self.monitor) {
            self.write(&group.join("tasks"), &pid.to_string())?;
        }
        Ok(())
    }

    /// What `delete` needs to know.
    #[must_use]
    pub fn record(&self) -> IntelRdtRecord {
        IntelRdtRecord { group: self.class.clone(), remove: self.made, monitor: self.monitor.is_some() }
    }

    /// Removes what was made for the container. A class of service that has a name of its own stays: others may use it.
    pub fn remove(&self) {
        for path in self.monitor.iter().chain(self.made.then_some(&self.class)) {
            let _ = std::fs::remove_dir(self.root.join(path));
        }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), LaunchError> {
        let path = self.root.join(path);
        std::fs::write(&path, text).map_err(|source| self.failed(format!("write {text:?} to"), path, source))
    }

    /// The kernel says more in a file of its own.
    fn failed(&self, what: String, path: PathBuf, source: std::io::Error) -> LaunchError {
        let status = std::fs::read_to_string(self.root.join("info/last_cmd_status")).unwrap_or_default();
        LaunchError::IntelRdt { what, path, status: status.trim().to_owned(), source }
    }
}

fn monitor(class: &Path, id: &str) -> PathBuf {
    class.join("mon_groups").join(id)
}

fn make_in(root: PathBuf, rdt: &LinuxIntelRdt, id: &str) -> Result<Groups, LaunchError> {
    let own = rdt.clos_id().as_deref().filter(|class| !class.is_empty());
    // "/" is the default class (runtime-spec, "IntelRdt").
    let class = PathBuf::from(own.unwrap_or(id).trim_start_matches('/'));
    let schemata = schemata(rdt);
    let mut groups = Groups { root, class, made: false, monitor: None };
    let path = groups.root.join(&groups.class);
    if own.is_some() && schemata.is_empty() {
        std::fs::metadata(&path).map_err(|source| {
            let what = "clos dir not accessible (must be pre-created when schemata, l3CacheSchema and memBwSchema are empty):";
            groups.failed(what.to_owned(), path.clone(), source)
        })?;
    }
    let made = make_dir(&groups, &path)?;
    groups.made = made && own.is_none();
    let finish = |groups: &mut Groups| {
        if !schemata.is_empty() {
            groups.write(&groups.class.join("schemata"), &schemata)?;
        }
        if *rdt.enable_monitoring() == Some(true) {
            let monitor = monitor(&groups.class, id);
            make_dir(groups, &groups.root.join(&monitor))?;
            groups.monitor = Some(monitor);
        }
        Ok(())
    };
    if let Err(error) = finish(&mut groups) {
        groups.made = made;
        groups.remove();
        return Err(error);
    }
    Ok(groups)
}

/// Whether it is new.
fn make_dir(groups: &Groups, path: &Path) -> Result<bool, LaunchError> {
    match std::fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(groups.failed("make".to_owned(), path.to_owned(), error)),
    }
}

/// One schema per line; what `schemata` says comes last and wins.
fn schemata(rdt: &LinuxIntelRdt) -> String {
    let single = [rdt.l3_cache_schema(), rdt.mem_bw_schema()].into_iter().flatten();
    let lines = single.chain(rdt.schemata().iter().flatten()).filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rdt(json: &str) -> LinuxIntelRdt {
        serde_json::from_str(json).expect("an intelRdt")
    }

    #[test]
    fn schemata_are_lines() {
        let text =
            schemata(&rdt(r#"{"l3CacheSchema":"L3:0=f","memBwSchema":"MB:0=20","schemata":["L2:0=1"]}"#));
        assert_eq!(text, "L3:0=f\nMB:0=20\nL2:0=1\n");
        assert_eq!(schemata(&rdt("{}")), "");
    }

    /// Only the paths: a directory takes the place of resctrl, which few machines have.
    #[test]
    fn which_groups_are_made_and_removed() {
        let root = std::env::temp_dir().join(format!("krun-resctrl-{}", std::process::id()));
        std::fs::create_dir_all(root.join("shared")).expect("a directory");
        let make = |json: &str| make_in(root.clone(), &rdt(json), "c1");

        let groups = make(r#"{"schemata":["MB:0=10"]}"#).expect("a group of its own");
        groups.add(42).expect("a task");
        let read = |name: &str| std::fs::read_to_string(root.join(name)).expect(name);
        assert_eq!((read("c1/schemata"), read("c1/tasks")), ("MB:0=10\n".to_owned(), "42".to_owned()));
        let record = groups.record();
        assert_eq!((record.group.as_path(), record.remove), (Path::new("c1"), true));

        let groups = make(r#"{"closID":"shared","schemata":["MB:0=10"]}"#).expect("a shared group");
        assert!(!groups.record().remove);
        let error = make(r#"{"closID":"missing"}"#).expect_err("it has to exist").to_string();
        assert!(error.contains("clos dir not accessible (must be pre-created"), "{error}");

        std::fs::create_dir(root.join("shared/mon_groups")).expect("a directory");
        let groups = make(r#"{"closID":"shared","enableMonitoring":true}"#).expect("monitored");
        assert!(root.join("shared/mon_groups/c1").is_dir());
        groups.remove();
        assert!(!root.join("shared/mon_groups/c1").exists() && root.join("shared").exists());
        std::fs::remove_dir_all(root).expect("removed");
    }
}
