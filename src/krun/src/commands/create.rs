//! `krun create`, `krun run` and `krun start`
use std::path::{Path, PathBuf};

use krun::launch::{self, CreateOptions, Host, Io, RunOptions};
use krun::state::ContainerId;

use super::{Outcome, failed, id};
use crate::cli::args::Parsed;
use crate::cli::{self, UsageError, absolute};

pub fn create(host: &Host, parsed: &Parsed) -> Outcome {
    let bundle = absolute(&parsed.path("bundle").unwrap_or_default())?;
    let options = options(host, parsed, id(parsed)?, bundle)?;
    launch::create(&options).map_err(|error| failed(cli::program() + " create failed", error))?;
    Ok(0)
}

pub fn start(host: &Host, parsed: &Parsed) -> Outcome {
    launch::start(&host.root, &id(parsed)?)?;
    Ok(0)
}

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    let (id, bundle) = id_and_bundle(host, parsed)?;
    let options = RunOptions {
        create: options(host, parsed, id, bundle)?,
        detach: parsed.switch("detach")?,
        keep: parsed.switch("keep")?,
        no_subreaper: parsed.switch("no-subreaper")?,
    };
    Ok(launch::run(&options).map_err(|error| failed(cli::program() + " run failed", error))?)
}

fn options(
    host: &Host,
    parsed: &Parsed,
    id: ContainerId,
    bundle: PathBuf,
) -> Result<CreateOptions, UsageError> {
    Ok(CreateOptions {
        host: host.clone(),
        id,
        bundle,
        config: parsed.path("config").map(|path| absolute(&path)).transpose()?,
        console_socket: parsed.path("console-socket").map(|path| absolute(&path)).transpose()?,
        pidfd_socket: parsed.path("pidfd-socket").map(|path| absolute(&path)).transpose()?,
        pid_file: parsed.path("pid-file").map(|path| absolute(&path)).transpose()?,
        no_pivot: parsed.switch("no-pivot")?,
        no_new_keyring: parsed.switch("no-new-keyring")?,
        preserve_fds: parsed.number("preserve-fds", "a number of descriptors")?.unwrap_or(0),
        io: Io::default(),
        timing: parsed.switch("timing")?,
    })
}

/// `run ID` runs the bundle of `-b` or of the current directory; `run BUNDLE/` runs that bundle under its folder's name.
fn id_and_bundle(host: &Host, parsed: &Parsed) -> Result<(ContainerId, PathBuf), UsageError> {
    let word = parsed.words.first().map(String::as_str);
    let bundle = parsed.path("bundle");
    match (word, parsed.value("id")) {
        (Some(word), id) if word.contains('/') && bundle.is_none() => {
            let bundle = absolute(Path::new(word))?;
            let id = match id {
                Some(id) => ContainerId::new(id)?,
                None => unused(host, &bundle)?,
            };
            Ok((id, bundle))
        }
        (Some(id), _) | (None, Some(id)) => {
            Ok((ContainerId::new(id)?, absolute(&bundle.unwrap_or_default())?))
        }
        (None, None) => Err(UsageError::Words {
            command: "run",
            expected: "exactly 1 argument".into(),
            given: 0,
            usage: "ID | BUNDLE/",
        }),
    }
}

/// The folder's name, or the first of name-2, name-3… that no container has.
fn unused(host: &Host, bundle: &Path) -> Result<ContainerId, UsageError> {
    let name = bundle.file_name().map(|name| name.to_string_lossy()).unwrap_or("bundle".into());
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
    let name: String = name.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect();
    let candidates = std::iter::once(name.clone()).chain((2_u32..).map(|number| format!("{name}-{number}")));
    let free = |id: &String| !host.root.join(id).exists();
    Ok(ContainerId::new(candidates.into_iter().find(free).unwrap_or(name))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use krun::launch::{CgroupDriver, Rootless};

    #[test]
    fn a_bundle_gives_its_name_to_the_container() {
        let root = std::env::temp_dir().join(format!("krun-names-{}", std::process::id()));
        std::fs::create_dir_all(root.join("web")).unwrap();
        std::fs::create_dir_all(root.join("web-2")).unwrap();
        let host =
            Host { root: root.clone(), cgroup_driver: CgroupDriver::Cgroupfs, rootless: Rootless::Auto };
        let name = |path: &str| unused(&host, Path::new(path)).unwrap().to_string();
        assert_eq!(name("/bundles/db"), "db");
        assert_eq!(name("/bundles/web"), "web-3");
        assert_eq!(name("/bundles/my web"), "my_web");
        std::fs::remove_dir_all(&root).unwrap();
    }
}
