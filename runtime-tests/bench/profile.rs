//! The seccomp profile that engines use unless told otherwise.
//!
//! It is read from the machine (Debian: golang-github-containers-common), and
//! turned into OCI form as an engine does for a container without extra
//! capabilities: entries that ask for a capability or another architecture go.

use runtime_tests::{Value, json};

const PATHS: [&str; 2] = ["/usr/share/containers/seccomp.json", "/etc/containers/seccomp.json"];

/// The profile in OCI form, from the file that KRUN_BENCH_PROFILE names or a usual place; `None`
/// if there is none.
pub fn engines_default() -> Option<Value> {
    let given = std::env::var("KRUN_BENCH_PROFILE").ok();
    let paths = given.as_deref().into_iter().chain(PATHS);
    let text = paths.into_iter().find_map(|path| std::fs::read_to_string(path).ok())?;
    let engine: Value = serde_json::from_str(&text).ok()?;
    let rules: Vec<Value> =
        engine["syscalls"].as_array()?.iter().filter(|rule| applies(rule)).map(oci).collect();
    let architectures = if cfg!(target_arch = "aarch64") {
        json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
    } else {
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    };
    Some(json!({
        "defaultAction": engine["defaultAction"],
        "defaultErrnoRet": engine["defaultErrnoRet"],
        "architectures": architectures,
        "syscalls": rules,
    }))
}

/// Whether an entry is for a container without extra capabilities here.
fn applies(rule: &Value) -> bool {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let names = |key: &str, list: &str| -> Vec<String> {
        let list = rule[key][list].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let included = names("includes", "arches");
    let here = included.is_empty() || included.iter().any(|a| a == arch);
    here && names("includes", "caps").is_empty() && !names("excludes", "arches").iter().any(|a| a == arch)
}

fn oci(rule: &Value) -> Value {
    let names = if rule["names"].is_array() { rule["names"].clone() } else { json!([rule["name"]]) };
    let mut out = json!({"names": names, "action": rule["action"]});
    if let Some(args) = rule["args"].as_array().filter(|args| !args.is_empty()) {
        out["args"] = json!(args);
    }
    if rule["errnoRet"].is_u64() {
        out["errnoRet"] = rule["errnoRet"].clone();
    }
    out
}
