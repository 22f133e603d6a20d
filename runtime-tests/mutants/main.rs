//! `make test-mutants`: seeds faults into a copy of krun, one at a time, and
//! shows that the suite notices each. `mutants TOP SCRATCH TESTS [FILTER]`.
#![allow(clippy::print_stderr)]

mod faults;

use faults::Fault;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{fs, io};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [top, scratch, tests, filter @ ..] = args.as_slice() else {
        eprintln!("usage: mutants TOP SCRATCH TESTS [FILTER]");
        return ExitCode::FAILURE;
    };
    let work = Work { top: top.into(), tree: Path::new(scratch).join("tree"), tests: tests.into() };
    match work.run(filter.first().map_or("", String::as_str)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Work {
    top: PathBuf,
    tree: PathBuf,
    tests: PathBuf,
}

/// What became of a fault.
#[derive(PartialEq)]
enum Verdict {
    Caught,
    Survived,
    DoesNotBuild(String),
    TestFailsAnyway,
    NoSuchText(String),
}

impl Work {
    fn run(&self, filter: &str) -> io::Result<bool> {
        let text = fs::read_to_string(self.top.join("runtime-tests/mutants/faults.txt"))?;
        let faults: Vec<Fault> =
            faults::parse(&text).into_iter().filter(|f| f.name.contains(filter)).collect();
        self.copy_tree()?;
        self.build().map_err(|e| io::Error::other(format!("the unchanged tree: {e}")))?;
        fs::copy(self.krun(), self.unchanged())?;
        let mut bad = 0;
        for (n, fault) in faults.iter().enumerate() {
            let verdict = self.try_one(fault)?;
            let word = match &verdict {
                Verdict::Caught => "caught".to_owned(),
                Verdict::Survived => "SURVIVED".to_owned(),
                Verdict::DoesNotBuild(e) => format!("DOES NOT BUILD {e}"),
                Verdict::TestFailsAnyway => "TEST FAILS WITHOUT IT TOO".to_owned(),
                Verdict::NoSuchText(file) => format!("TEXT NOT FOUND ONCE in {file}"),
            };
            bad += usize::from(verdict != Verdict::Caught);
            println!("{:2}/{} {word:9} {:60} {}", n + 1, faults.len(), fault.name, fault.test);
        }
        println!("{} faults, {} caught", faults.len(), faults.len() - bad);
        Ok(bad == 0)
    }

    /// The sources as they are now, committed or not; newer than whatever an
    /// earlier run built from them.
    fn copy_tree(&self) -> io::Result<()> {
        fs::create_dir_all(&self.tree)?;
        let list = "git ls-files -z --cached --others --exclude-standard | cpio -0pdu --quiet \"$1\"";
        let list = ["-c", list, "sh", &self.tree.display().to_string()].map(str::to_owned);
        let status = Command::new("sh").args(list).current_dir(&self.top).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("copying the tree failed")) }
    }

    fn krun(&self) -> PathBuf {
        let target = format!("target/{}-unknown-linux-gnu/debug/krun", std::env::consts::ARCH);
        self.tree.join(target)
    }

    /// krun without any fault.
    fn unchanged(&self) -> PathBuf {
        self.tree.with_file_name("krun-unchanged")
    }

    fn build(&self) -> Result<(), String> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "-q", "-p", "krun"]).current_dir(&self.tree).env_remove("CARGO_TARGET_DIR");
        let out = cargo.output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        let error = || text.lines().find(|l| l.starts_with("error")).unwrap_or("error").to_owned();
        if out.status.success() { Ok(()) } else { Err(error()) }
    }

    /// Whether the test passes with this krun.
    fn passes(&self, test: &str, krun: &Path) -> io::Result<bool> {
        let mut run = Command::new(&self.tests);
        run.args(["--exact", test]).env("KRUN_UNDER_TEST", krun).env_remove("KRUN_TEST_SKIPS");
        let out = run.stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        // A test that is skipped, or isn't there, shows nothing.
        let ran = text.contains("1 passed") && !text.contains("SKIPPED");
        Ok(out.status.success() && ran)
    }

    fn try_one(&self, fault: &Fault) -> io::Result<Verdict> {
        if !self.passes(&fault.test, &self.unchanged())? {
            return Ok(Verdict::TestFailsAnyway);
        }
        let mut originals = Vec::new();
        for edit in &fault.edits {
            let path = self.tree.join(&edit.file);
            let text = fs::read_to_string(&path)?;
            if text.matches(&edit.old).count() != 1 {
                restore(&originals)?;
                return Ok(Verdict::NoSuchText(edit.file.clone()));
            }
            fs::write(&path, text.replacen(&edit.old, &edit.new, 1))?;
            originals.push((path, text));
        }
        let verdict = match self.build() {
            Err(e) => Verdict::DoesNotBuild(e),
            Ok(()) if self.passes(&fault.test, &self.krun())? => Verdict::Survived,
            Ok(()) => Verdict::Caught,
        };
        restore(&originals)?;
        Ok(verdict)
    }
}

/// Written anew, so that cargo sees newer files.
fn restore(originals: &[(PathBuf, String)]) -> io::Result<()> {
    originals.iter().try_for_each(|(path, text)| fs::write(path, text))
}
