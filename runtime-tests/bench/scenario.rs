//! What is measured.

use std::path::Path;

use super::contender::{Contender, SLEEPER};
use super::place::Place;

/// An operation that is measured for every contender that has it.
pub struct Scenario {
    /// Its name in the table and in JSON.
    pub name: &'static str,
    /// What was compared.
    pub what: &'static str,
    /// Whether the host has 1,000 mounts.
    pub mounts: bool,
    kind: Kind,
}

enum Kind {
    Run { at_once: usize, filtered: bool },
    Life,
    Exec,
    Words(&'static [&'static str]),
    List,
}

/// All scenarios; those with many host mounts come last, since the mounts stay.
pub fn all() -> Vec<Scenario> {
    let one = Kind::Run { at_once: 1, filtered: false };
    let line = |name, what, mounts, kind| Scenario { name, what, mounts, kind };
    vec![
        line("run", "default bundle, /bin/true, foreground", false, one),
        line("run x2", "two at once", false, Kind::Run { at_once: 2, filtered: false }),
        line("run x8", "eight at once", false, Kind::Run { at_once: 8, filtered: false }),
        line(
            "run seccomp",
            "with an engine's default profile",
            false,
            Kind::Run { at_once: 1, filtered: true },
        ),
        line("create+start+delete", "and the wait for its end", false, Kind::Life),
        line("exec", "/bin/true in a running container", false, Kind::Exec),
        line("state", "of a running container", false, Kind::Words(&["state", SLEEPER])),
        line("kill", "with a signal that is ignored", false, Kind::Words(&["kill", SLEEPER, "WINCH"])),
        line("list", "of 1,000 containers", false, Kind::List),
        line(
            "run, 1000 mounts",
            "the host has 1,000 more mounts",
            true,
            Kind::Run { at_once: 1, filtered: false },
        ),
        line("life, 1000 mounts", "create+start+delete", true, Kind::Life),
        line("exec, 1000 mounts", "/bin/true in a running container", true, Kind::Exec),
    ]
}

impl Scenario {
    /// The launcher's steps for a contender; `None` if it has no such operation.
    pub fn steps(&self, contender: &Contender, place: &Place) -> Option<Vec<String>> {
        if contender.floor {
            return self.floor_steps(contender, place);
        }
        let call = |words: &[&str]| step("seq", &contender.path, &contender.root, words);
        match self.kind {
            Kind::Run { at_once, filtered } => {
                let bundle = if filtered { place.filtered.as_ref()? } else { &place.plain };
                let bundle = bundle.display().to_string();
                let mut words =
                    step("seq", &contender.path, &contender.root, &["run", "-b", &bundle, "bench{}"]);
                words.splice(0..1, ["par".to_owned(), at_once.to_string()]);
                Some(words)
            }
            Kind::Life => {
                let bundle = place.plain.display().to_string();
                let steps = [
                    call(&["create", "-b", &bundle, "bench-life"]),
                    call(&["start", "bench-life"]),
                    vec!["reap".to_owned(), ";".to_owned()],
                    call(&["delete", "bench-life"]),
                ];
                Some(steps.concat())
            }
            Kind::Exec => contender.sleeper.map(|_| call(&["exec", &contender.id, "/bin/true"])),
            Kind::Words(words) => {
                let fill = |word: &&'static str| if *word == SLEEPER { &contender.id } else { *word };
                let words: Vec<&str> = words.iter().map(fill).collect();
                contender.sleeper.map(|_| call(&words))
            }
            Kind::List => {
                contender.crowd.as_ref().map(|crowd| step("seq", &contender.path, crowd, &["list"]))
            }
        }
    }

    fn floor_steps(&self, floor: &Contender, place: &Place) -> Option<Vec<String>> {
        let program = floor.path.display().to_string();
        match self.kind {
            Kind::Run { at_once, filtered: false } => {
                let rootfs = place.plain.join("rootfs").display().to_string();
                let count = at_once.to_string();
                let cgroup = "/sys/fs/cgroup/krun-bench-floor{}";
                let words = ["par", &count, &program, "run", &rootfs, cgroup, "/bin/true", ";"];
                Some(words.map(str::to_owned).to_vec())
            }
            Kind::Exec => {
                let pid = floor.sleeper?;
                let within = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
                let path = within.lines().find_map(|line| line.strip_prefix("0::"))?;
                let cgroup = format!("/sys/fs/cgroup{path}");
                let words = ["seq", &program, "exec", &pid.to_string(), &cgroup, "/bin/true", ";"];
                Some(words.map(str::to_owned).to_vec())
            }
            _ => None,
        }
    }
}

fn step(verb: &str, program: &Path, root: &Path, words: &[&str]) -> Vec<String> {
    let (program, root) = (program.display().to_string(), root.display().to_string());
    let head = [verb, &program, "--root", &root];
    head.iter().chain(words).chain(&[";"]).map(|word| (*word).to_owned()).collect()
}
