//! `krun checkpoint` and `krun restore`: their flags are read, what they ask for is refused.
use std::path::PathBuf;

use crate::cli::UsageError;
use crate::cli::args::Parsed;

/// Why the command can't be carried out. A caller that tests its own flags hears of them first, as with runc.
pub fn refusal(command: &'static str, parsed: &Parsed) -> UsageError {
    let problem = parent_path(parsed).map(|problem| format!("{problem}; besides, ")).unwrap_or_default();
    UsageError::Criu { command, problem }
}

/// `--parent-path` names a directory relative to the one of `--image-path`.
fn parent_path(parsed: &Parsed) -> Option<String> {
    let parent = parsed.path("parent-path").filter(|path| !path.as_os_str().is_empty())?;
    if parent.is_absolute() {
        return Some("--parent-path must be relative".to_owned());
    }
    let images = parsed.path("image-path").unwrap_or_else(|| PathBuf::from("checkpoint"));
    let path = images.join(parent);
    let reason = match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => return None,
        Ok(_) => "not a directory".to_owned(),
        Err(error) => krun::chain(&error),
    };
    Some(format!("invalid --parent-path: {}: {reason}", path.display()))
}
