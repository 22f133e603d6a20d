//! What is read, tolerated and refused, and how the refusal is worded.
use super::*;

fn spec(text: &str) -> Result<Box<Spec>, String> {
    parse(text.as_bytes(), Path::new("config.json"), tolerate_spec)
        .map_err(|error: BundleError| error.to_string())
}

fn error(text: &str) -> String {
    spec(text).err().unwrap_or_default()
}

#[test]
fn an_error_names_its_json_path_and_what_was_expected() {
    let text = r#"{"ociVersion":"1.0.2","linux":{"resources":{"memory":{"limit":"5"}}}}"#;
    let message = error(text);
    assert!(
        message.starts_with("config.json: linux.resources.memory.limit: invalid type: string"),
        "{message}"
    );
    assert!(message.contains("expected i64 at line 1 column"), "{message}");
    let text = r#"{"process":{"cwd":"/","user":{"uid":-1}}}"#;
    assert!(error(text).contains("process.user.uid: invalid value: integer `-1`, expected u32"));
    let text = r#"{"linux":{"namespaces":[{"type":"pid"},{"type":"nope"}]}}"#;
    assert!(error(text).contains("linux.namespaces[1].type: unknown variant `nope`, expected one of"));
    let text = r#"{"linux":{"memoryPolicy":{"mode":"X"}}}"#;
    let message = error(text);
    assert!(message.contains("linux.memoryPolicy.mode: invalid memory policy mode: "), "{message}");
    let text = r#"{"process":{"cwd":"/","user":{},"capabilities":[]}}"#;
    assert_eq!(error(text), "process.capabilities: invalid type: array, expected an object");
    assert!(error("[]").contains("expected an object"));
    assert!(error("{").contains("config.json: EOF while parsing"));
}

#[test]
fn unknown_capabilities_and_a_missing_user_are_tolerated() {
    let text = r#"{"process":{"cwd":"/","capabilities":{"bounding":["CAP_NOPE","CAP_KILL"]}}}"#;
    let spec = spec(text).unwrap();
    let process = spec.process().as_ref().unwrap();
    let bounding = process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap();
    assert_eq!(bounding.iter().collect::<Vec<_>>(), [&Capability::Kill]);
    let text = r#"{"process":{"cwd":"/","capabilities":{"bounding":["CAP_NOPE"]},"rlimits":[{"type":"X"}]}}"#;
    assert!(error(text).contains("process.rlimits[0].type: unknown variant `X`"), "{}", error(text));
}

#[test]
fn another_type_in_the_place_of_a_name_has_its_json_path() {
    let message = error(r#"{"linux":{"namespaces":[{"type":5}]}}"#);
    assert_eq!(
        message,
        "config.json: linux.namespaces[0].type: one of its names expected, a string, at line 1 column 33"
    );
    assert!(error(r#"{"linux":{"namespaces":[{"type":}]}}"#).contains("config.json: expected value at line"));
}

#[test]
fn a_list_of_processors_may_be_empty_and_have_spaces() {
    let text = r#"{"process":{"cwd":"/","user":{},"execCPUAffinity":{"initial":"","final":" 0, 2-3,"}}}"#;
    let spec = spec(text).unwrap();
    let affinity = spec.process().as_ref().unwrap().exec_cpu_affinity().clone().unwrap();
    assert_eq!(affinity.initial(), &None);
    assert_eq!(affinity.cpu_affinity_final().as_deref(), Some("0,2-3"));
    let text = r#"{"process":{"cwd":"/","user":{},"execCPUAffinity":{"initial":"0-"}}}"#;
    assert!(error(text).contains("process.execCPUAffinity.initial: "), "{}", error(text));
}

#[test]
fn a_huge_page_limit_beyond_63_bits_is_the_largest() {
    let text = br#"{"hugepageLimits":[{"pageSize":"2MB","limit":18446744073709551615}]}"#;
    let resources = resources_from_json(text, Path::new("-")).unwrap();
    assert_eq!(resources.hugepage_limits().as_ref().unwrap()[0].limit(), i64::MAX);
}

#[test]
fn a_priority_without_a_class_is_not_best_effort() {
    let process = |text: &str| process_from_json(text.as_bytes(), Path::new("-")).map_err(|e| e.to_string());
    let refused = process(r#"{"cwd":"/","ioPriority":{"priority":3}}"#).unwrap_err();
    assert!(refused.starts_with("process.ioPriority.class: invalid ioPriority.Class"), "{refused}");
    process(r#"{"cwd":"/","ioPriority":{"class":"IOPRIO_CLASS_RT"}}"#).unwrap();
}

#[test]
fn duplicates_depth_and_nul_are_refused() {
    assert!(error(r#"{"hostname":"a","hostname":"b"}"#).contains("duplicate field `hostname`"));
    let text = r#"{"hostname":"a","hostname":"b","process":{"cwd":"/"}}"#;
    assert!(error(text).contains("duplicate field `hostname`"), "{}", error(text));
    let deep = format!(r#"{{"hostname":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    assert!(error(&deep).contains("recursion limit exceeded"));
    let nul = r#"{"process":{"cwd":"/","user":{},"args":["sh","a\u0000b"]}}"#;
    assert_eq!(error(nul), "process.args[1]: contains a NUL byte");
    assert!(spec(r#"{"hostname":"a\\u0000"}"#).is_ok());
}

#[test]
fn an_unset_pids_limit_is_not_a_limit_of_zero() {
    let path = Path::new("-");
    assert!(resources_from_json(br#"{"pids":{}}"#, path).unwrap().pids().is_none());
    assert_eq!(resources_from_json(br#"{"pids":{"limit":0}}"#, path).unwrap().pids().unwrap().limit(), 0);
    let mut spec = spec(r#"{"linux":{"resources":{"pids":{}}}}"#).unwrap();
    forget_unset_pids_limit(&mut spec, br#"{"linux":{"resources":{"pids":{}}}}"#);
    assert!(spec.linux().as_ref().unwrap().resources().as_ref().unwrap().pids().is_none());
}

#[test]
fn a_missing_or_huge_file_is_named() {
    let dir = std::env::temp_dir().join(format!("krun-load-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let missing = load(&dir, None).unwrap_err().to_string();
    assert!(missing.starts_with("JSON specification file") && missing.ends_with("no such file or directory"));
    File::create(dir.join("config.json")).unwrap().set_len(LARGEST + 1).unwrap();
    assert!(load(&dir, None).unwrap_err().to_string().contains("larger than 16777216 bytes"));
    std::fs::remove_dir_all(&dir).unwrap();
    let gone = crate::chain(&load(&dir, None).unwrap_err());
    assert!(gone.ends_with("no such file or directory"), "{gone}");
}
