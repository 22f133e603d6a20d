//! The program: where it may be, its arguments, environment and terminal.

use krun_spawner::plan::flag;
use oci_spec::runtime::Process;

use super::{PlanBuf, PlanError, set};

/// Where programs are looked for when the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Plans the program.
pub fn plan(buf: &mut PlanBuf, process: &Process) -> Result<(), PlanError> {
    let args = process.args().as_deref().unwrap_or_default();
    let program = args.first().ok_or(PlanError::Missing("process.args"))?;
    let env = merge_env(process.env().as_deref().unwrap_or_default())?;
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let candidates: Vec<_> = candidates(program, path).iter().map(|path| buf.str(path)).collect();
    let find_home = !env.iter().any(|entry| entry.starts_with("HOME="));
    let planned = &mut buf.plan.process;
    planned.find_home = u32::from(find_home);
    let terminal = process.terminal() == Some(true);
    if let Some(size) = process.console_size().filter(|_| terminal) {
        let side = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        (planned.rows, planned.columns) = (side(size.height()), side(size.width()));
    }
    buf.plan.process.candidates = buf.slice(&candidates);
    buf.plan.process.argv = buf.pointers(args, false);
    buf.plan.process.envp = buf.pointers(&env, find_home);
    buf.plan.process.cwd = buf.path(process.cwd());
    set(buf, flag::TERMINAL, terminal);
    if let Some(profile) = process.apparmor_profile().as_ref().filter(|profile| !profile.is_empty()) {
        buf.plan.apparmor = buf.str(format!("exec {profile}"));
    }
    if let Some(label) = process.selinux_label().as_ref().filter(|label| !label.is_empty()) {
        buf.plan.selinux = buf.str(label);
    }
    Ok(())
}

/// The environment: of two entries for a variable the last one wins, an empty
/// HOME counts as none.
///
/// # Errors
/// An entry that is not `NAME=value`.
pub fn merge_env(env: &[String]) -> Result<Vec<String>, PlanError> {
    let mut merged: Vec<String> = Vec::with_capacity(env.len());
    let mut at = std::collections::HashMap::with_capacity(env.len());
    for (index, entry) in env.iter().enumerate() {
        let Some((name, _)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(PlanError::invalid(format!("process.env[{index}]"), entry, "of the form NAME=value"));
        };
        match at.get(name) {
            Some(place) => {
                if let Some(slot) = merged.get_mut(*place) {
                    entry.clone_into(slot);
                }
            }
            None => {
                at.insert(name, merged.len());
                merged.push(entry.clone());
            }
        }
    }
    merged.retain(|entry| entry != "HOME=");
    Ok(merged)
}

/// Where the program may be: itself when it has a slash, else in every
/// directory of PATH (an empty one is the working directory).
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.contains('/') || program.is_empty() {
        return vec![program.to_owned()];
    }
    path.split(':')
        .map(|dir| if dir.is_empty() { format!("./{program}") } else { format!("{dir}/{program}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_variable_wins_and_an_empty_home_is_none() {
        let env = ["A=1", "B=2", "HOME=/x", "A=3", "HOME="].map(str::to_owned);
        assert_eq!(merge_env(&env).expect("valid"), ["A=3", "B=2"]);
        assert!(merge_env(&["nothing".to_owned()]).is_err());
    }

    #[test]
    fn a_name_without_a_slash_is_looked_up() {
        assert_eq!(candidates("sh", "/a::/b"), ["/a/sh", "./sh", "/b/sh"]);
        assert_eq!(candidates("./sh", "/a"), ["./sh"]);
    }
}
