//! Who is measured: krun, its peers, and the floor.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::place::Place;

/// Runtimes that are compared when they are on PATH.
const PEERS: [&str; 3] = ["crun", "runc", "youki"];
/// In a scenario's words: the container that exec, state and kill work on.
pub const SLEEPER: &str = "SLEEPER";

/// A program that is measured.
#[derive(Debug)]
pub struct Contender {
    /// Its name in tables: "krun", "crun 1.28", "floor".
    pub name: String,
    /// What `--version` says first.
    pub version: String,
    /// The program.
    pub path: PathBuf,
    /// Its state root.
    pub root: PathBuf,
    /// A state root with a thousand containers, if it could be made.
    pub crowd: Option<PathBuf>,
    /// The id of a running container; its cgroup is named after it.
    pub id: String,
    /// That container's process on the host.
    pub sleeper: Option<i32>,
    /// Whether it is the floor, which knows only `run` and `exec`.
    pub floor: bool,
}

/// A program beside this one.
pub fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

/// Everyone who can be measured, krun first, each with a running container.
pub fn find(krun: &Path, more: &[PathBuf], place: &Place) -> Result<Vec<Contender>, String> {
    let mut programs = vec![krun.to_owned()];
    programs.extend(more.iter().cloned());
    for name in PEERS {
        let given = more.iter().any(|path| path.file_name().is_some_and(|n| n == name));
        programs.extend((!given).then(|| on_path(name)).flatten());
    }
    let mut contenders = Vec::new();
    for path in programs {
        let contender = Contender::prepare(&path, place)?;
        contenders.push(contender);
    }
    let floor = Contender {
        name: "floor".to_owned(),
        version: "the bare system calls".to_owned(),
        path: beside("floor"),
        root: PathBuf::new(),
        crowd: None,
        id: String::new(),
        sleeper: contenders.iter().find_map(|contender| contender.sleeper),
        floor: true,
    };
    contenders.insert(1, floor);
    Ok(contenders)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin"]).map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}

impl Contender {
    fn prepare(path: &Path, place: &Place) -> Result<Contender, String> {
        let told = Command::new(path).arg("--version").output();
        let told = told.map_err(|e| format!("{}: {e}", path.display()))?.stdout;
        let version = String::from_utf8_lossy(&told).lines().next().unwrap_or("").to_owned();
        let program = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut contender = Contender {
            root: place.subdirectory(&format!("state-{program}"))?,
            id: format!("bench-sleeper-{program}"),
            name: program,
            version,
            path: path.to_owned(),
            crowd: None,
            sleeper: None,
            floor: false,
        };
        contender.start_sleeper(place);
        contender.crowd = contender.make_crowd(place);
        Ok(contender)
    }

    fn call(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("--root").arg(&self.root).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn start_sleeper(&mut self, place: &Place) {
        let bundle = place.sleeper.display().to_string();
        let pid_file = self.root.join("sleeper.pid");
        let pid_text = pid_file.display().to_string();
        let started = self.call(&["run", "-d", "--pid-file", &pid_text, "-b", &bundle, &self.id]).status();
        if started.is_ok_and(|status| status.success()) {
            self.sleeper = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
        }
        let _ = fs::remove_file(&pid_file);
    }

    /// A thousand containers: copies of the sleeper's state under other ids.
    fn make_crowd(&self, place: &Place) -> Option<PathBuf> {
        self.sleeper?;
        let crowd = place.subdirectory(&format!("crowd-{}", self.name)).ok()?;
        for i in 0..1000 {
            let id = format!("{}-{i:04}", self.id);
            copy_state(&self.root, &self.id, &crowd, &id).ok()?;
        }
        let mut list = Command::new(&self.path);
        let listed = list.arg("--root").arg(&crowd).arg("list").stderr(Stdio::null()).output().ok()?;
        let lines = String::from_utf8_lossy(&listed.stdout).lines().count();
        (lines >= 1000).then_some(crowd)
    }

    /// Kills the sleeper and removes it.
    pub fn clean_up(&self) {
        if self.sleeper.is_some() && !self.floor {
            let _ = self.call(&["delete", "--force", &self.id]).status();
        }
    }
}

/// Copies the files of a container's state, with the id in them changed.
fn copy_state(root: &Path, old: &str, crowd: &Path, id: &str) -> std::io::Result<()> {
    fs::create_dir_all(crowd.join(id))?;
    for entry in fs::read_dir(root.join(old))? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let text = fs::read(entry.path())?;
        let changed = String::from_utf8_lossy(&text).replace(old, id);
        fs::write(crowd.join(id).join(entry.file_name()), changed)?;
    }
    Ok(())
}
