//! Reads config.json. The common case is one parse of bytes that are read once; only a file that fails it is looked at
//! again, to tolerate what the specification wants tolerated and to name the JSON path of what is wrong.
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use oci_spec::runtime::{Capability, LinuxResources, Process, Spec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Bundle, BundleError, shape};
use crate::log;

/// The largest config.json that is read, in bytes; engines write some tens of kilobytes.
const LARGEST: u64 = 16 << 20;

/// Loads the bundle in `dir`, an absolute path; its config.json, or the file `config`.
///
/// # Errors
/// [`BundleError`] with the file or the JSON path. Nothing is judged that [`super::validate`] judges.
pub fn load(dir: &Path, config: Option<&Path>) -> Result<Bundle, BundleError> {
    let path = match config {
        Some(config) => dir.join(config),
        None => dir.join("config.json"),
    };
    let spec = spec_from_json(&read(&path)?, &path)?;
    Ok(Bundle { dir: dir.to_owned(), spec })
}

/// The text of a config.json; `path` is only named in errors.
///
/// # Errors
/// [`BundleError`].
pub fn spec_from_json(bytes: &[u8], path: &Path) -> Result<Box<Spec>, BundleError> {
    let mut spec: Box<Spec> = parse(bytes, path, tolerate_spec)?;
    if spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()).is_some_and(has_zero_pids_limit) {
        forget_unset_pids_limit(&mut spec, bytes);
    }
    if let Some(process) = spec.process() {
        require_io_class(process, bytes, "/process/ioPriority")?;
    }
    Ok(spec)
}

/// The description that `exec --process` reads; `path` is only named in errors.
///
/// # Errors
/// [`BundleError`].
pub fn process_from_json(bytes: &[u8], path: &Path) -> Result<Process, BundleError> {
    let process: Box<Process> = parse(bytes, path, tolerate_process)?;
    require_io_class(&process, bytes, "/ioPriority")?;
    Ok(*process)
}

/// The limits that `update --resources` reads; `path` is only named in errors.
///
/// # Errors
/// [`BundleError`].
pub fn resources_from_json(bytes: &[u8], path: &Path) -> Result<LinuxResources, BundleError> {
    let mut resources: Box<LinuxResources> = parse(bytes, path, tolerate_resources)?;
    let limit = |value: &Value| value.pointer("/pids/limit").is_some_and(|limit| !limit.is_null());
    if has_zero_pids_limit(&resources)
        && !serde_json::from_slice::<Value>(bytes).is_ok_and(|value| limit(&value))
    {
        resources.set_pids(None);
    }
    Ok(*resources)
}

fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    let wrong = |source| BundleError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound if path.parent().is_some_and(Path::is_dir) => {
            BundleError::Missing { path: path.to_owned() }
        }
        _ => wrong(source),
    })?;
    let size = file.metadata().map_err(wrong)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(LARGEST)).unwrap_or_default() + 1);
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > LARGEST {
        return Err(BundleError::Large { path: path.to_owned(), limit: LARGEST });
    }
    Ok(bytes)
}

/// `tolerate` removes from the JSON what must not be an error. The result is boxed: a specification is some
/// kilobytes, and every copy of it on the stack would be a page fault or two.
fn parse<T: DeserializeOwned + Serialize>(
    bytes: &[u8],
    path: &Path,
    tolerate: impl FnOnce(&mut Value),
) -> Result<Box<T>, BundleError> {
    let parsed = match parse_once(bytes) {
        Ok(parsed) => parsed,
        Err(error) => parse_again(bytes, path, error, tolerate)?,
    };
    if shape::is_suspicious(bytes) {
        refuse_arrays(bytes, &*parsed)?;
    }
    // Only an escape can bring a NUL into a JSON string.
    if bytes.contains(&b'\\') && bytes.windows(6).any(|window| window == br"\u0000") {
        refuse_nul(bytes)?;
    }
    Ok(parsed)
}

#[inline(never)] // its copies are not for the caller's stack frame
fn parse_once<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<Box<T>> {
    // The text is looked at once: a parser of bytes would check every string for itself. What it has to say of bytes
    // that are no text, it says when it looks again.
    let text = std::str::from_utf8(bytes).map_err(serde::de::Error::custom)?;
    serde_json::from_str(text)
}

#[cold]
#[inline(never)]
fn parse_again<T: DeserializeOwned>(
    bytes: &[u8],
    path: &Path,
    error: serde_json::Error,
    tolerate: impl FnOnce(&mut Value),
) -> Result<Box<T>, BundleError> {
    let syntax = |at, error| BundleError::Syntax { path: path.to_owned(), at, error };
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| syntax(String::new(), error))?;
    tolerate(&mut value);
    // A repeated key is gone from `value`, where the last one wins; then the first error stands.
    // As text again, not as a `Value`: the parser of that would be a third copy of the whole specification's.
    let again = serde_json::to_vec(&value).map_err(|error| syntax(String::new(), error))?;
    let tolerated = with_path(&again);
    let Err(failed) = tolerated else {
        return if error.to_string().starts_with("duplicate field") {
            Err(syntax(String::new(), error))
        } else {
            tolerated.map_err(|error| syntax(String::new(), error.into_inner()))
        };
    };
    // Once more from the text, for the line and column; unless that stumbles over something that is tolerated.
    let located: Result<Box<T>, _> = with_path(bytes);
    let path_of = |error: &serde_path_to_error::Error<serde_json::Error>| match error.path().to_string() {
        top if top == "." => String::new(),
        path => format!("{path}: {}", runc_words(&path)),
    };
    match located {
        Err(located) if located.path().to_string() == failed.path().to_string() => {
            Err(syntax(path_of(&located), worded(located.into_inner())))
        }
        _ => Err(syntax(path_of(&failed), worded(failed.into_inner()))),
    }
}

/// What is JSON has no error of syntax: the parser means that another type than a string stands for a name.
fn worded(error: serde_json::Error) -> serde_json::Error {
    if !error.is_syntax() {
        return error;
    }
    let (line, column) = (error.line(), error.column());
    serde::de::Error::custom(format!("one of its names expected, a string, at line {line} column {column}"))
}

/// Parses and, on failure, says where in the document.
fn with_path<T: DeserializeOwned>(
    bytes: &[u8],
) -> Result<Box<T>, serde_path_to_error::Error<serde_json::Error>> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(bytes))
}

/// What runc says of an unknown value in these places, where callers look for it.
fn runc_words(path: &str) -> &'static str {
    match path {
        // The only member that must be there.
        "linux.memoryPolicy" | "linux.memoryPolicy.mode" => "invalid memory policy mode: ",
        "linux.personality.domain" => "invalid personality domain: ",
        flag if flag.starts_with("linux.memoryPolicy.flags[") => "invalid memory policy flag: ",
        _ => "",
    }
}

fn tolerate_spec(value: &mut Value) {
    if let Some(process) = value.get_mut("process") {
        tolerate_process(process);
    }
    if let Some(resources) = value.pointer_mut("/linux/resources") {
        tolerate_resources(resources);
    }
}

/// Unknown capabilities are left out with a warning (runtime-spec, "Linux Process"); `user` may be missing, as with runc.
fn tolerate_process(process: &mut Value) {
    if let Some(process) = process.as_object_mut() {
        process.entry("user").or_insert_with(|| Value::Object(serde_json::Map::default()));
    }
    for flag in process.pointer_mut("/scheduler/flags").and_then(Value::as_array_mut).into_iter().flatten() {
        // The kernel's names, which the parsed type spells otherwise.
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = "SCHED_RESET_ON_FORK".into(),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = "SCHED_FLAG_D_L_OVERRUN".into(),
            _ => {}
        }
    }
    for when in ["initial", "final"] {
        if let Some(list) = process.pointer_mut(&format!("/execCPUAffinity/{when}")) {
            tolerate_affinity(list);
        }
    }
    let Some(sets) = process.get_mut("capabilities").and_then(Value::as_object_mut) else { return };
    for (set, names) in sets.iter_mut() {
        let Some(names) = names.as_array_mut() else { continue };
        names.retain(|name| {
            let known = !name.is_string() || serde_json::from_value::<Capability>(name.clone()).is_ok();
            if !known {
                log::warning(format_args!("process.capabilities.{set}: ignoring unknown capability {name}"));
            }
            known
        });
    }
}

/// An empty list is as good as none (runtime-spec, "execCPUAffinity"), and spaces and a last comma do no harm,
/// as with runc; the parsed type knows neither.
fn tolerate_affinity(list: &mut Value) {
    let Some(text) = list.as_str() else { return };
    let parts: Vec<_> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    *list = if parts.is_empty() { Value::Null } else { parts.join(",").into() };
}

/// A limit of 2^63 bytes or more is none, and the kernel cuts it off as well; the parsed type has no room for it.
fn tolerate_resources(resources: &mut Value) {
    let limits = resources.get_mut("hugepageLimits").and_then(Value::as_array_mut);
    for limit in limits.into_iter().flatten().filter_map(|entry| entry.get_mut("limit")) {
        if limit.as_u64().is_some_and(|bytes| i64::try_from(bytes).is_err()) {
            *limit = i64::MAX.into();
        }
    }
}

/// The parsed type takes best-effort for a missing class, which nobody has asked for.
fn require_io_class(process: &Process, bytes: &[u8], at: &str) -> Result<(), BundleError> {
    if process.io_priority().is_none() {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if value.pointer(at).and_then(|priority| priority.get("class")).is_some() {
        return Ok(());
    }
    Err(BundleError::field("process.ioPriority.class", "invalid ioPriority.Class: \"\": it is missing"))
}

fn has_zero_pids_limit(resources: &LinuxResources) -> bool {
    resources.pids().as_ref().is_some_and(|pids| pids.limit() == 0)
}

/// `"pids": {}` sets no limit, `"pids": {"limit": 0}` does; the parsed type can't tell them apart.
fn forget_unset_pids_limit(spec: &mut Spec, bytes: &[u8]) {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if value.pointer("/linux/resources/pids/limit").is_some_and(|limit| !limit.is_null()) {
        return;
    }
    let resources = spec.linux_mut().as_mut().and_then(|linux| linux.resources_mut().as_mut());
    if let Some(resources) = resources {
        resources.set_pids(None);
    }
}

fn refuse_arrays<T: Serialize>(bytes: &[u8], parsed: &T) -> Result<(), BundleError> {
    let read: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let understood = serde_json::to_value(parsed).unwrap_or_default();
    match shape::array_for_object(&read, &understood, "") {
        Some(field) => Err(BundleError::field(field, "invalid type: array, expected an object")),
        None => Ok(()),
    }
}

/// A NUL would cut a string short on its way to the kernel: what is checked and what is done would differ.
fn refuse_nul(bytes: &[u8]) -> Result<(), BundleError> {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    match find_nul(&value, String::new()) {
        Some(field) => Err(BundleError::field(field, "contains a NUL byte")),
        None => Ok(()),
    }
}

fn find_nul(value: &Value, at: String) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then_some(at),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| find_nul(item, format!("{at}[{index}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, item)| {
            let dot = if at.is_empty() { "" } else { "." };
            let at = format!("{at}{dot}{}", name.escape_default());
            if name.contains('\0') { Some(at) } else { find_nul(item, at) }
        }),
        _ => None,
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
