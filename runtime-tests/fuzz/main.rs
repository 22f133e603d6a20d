//! `fuzz-config SECONDS [SEED]`: mutated config.json texts through krun's parsing
//! and seccomp compiler. A panic writes the text to `fuzz-crash.json` in the
//! current folder and fails; refusals are what is hoped for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use krun::plan::seccomp;
use oci_spec::runtime::Spec;

/// A container with something of everything that is compiled or converted.
const SEED_CONFIG: &str = r#"{"ociVersion":"1.3.0","process":{"terminal":false,"user":{"uid":0,"gid":0},
"args":["sh"],"env":["PATH=/bin"],"cwd":"/","capabilities":{"bounding":["CAP_KILL"]},
"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}]},"root":{"path":"rootfs","readonly":true},
"hostname":"fuzz","mounts":[{"destination":"/proc","type":"proc","source":"proc","options":["nosuid"]}],
"linux":{"namespaces":[{"type":"pid"},{"type":"mount"}],"resources":{"memory":{"limit":1048576},
"cpu":{"shares":512,"quota":-1,"period":100000},"pids":{"limit":32}},"maskedPaths":["/proc/kcore"],
"seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"flags":["SECCOMP_FILTER_FLAG_LOG"],
"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32","SCMP_ARCH_AARCH64"],
"syscalls":[{"names":["read","write","socket","clone3"],"action":"SCMP_ACT_ALLOW"},
{"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,"valueTwo":0,
"op":"SCMP_CMP_MASKED_EQ"},{"index":1,"value":4294967296,"op":"SCMP_CMP_GE"}]},
{"names":["mkdir"],"action":"SCMP_ACT_TRACE","errnoRet":7}]}}}"#;

/// What replaces parts of the text: the edges of JSON, of numbers and of names.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "0",
    "-1",
    "6",
    "4095",
    "4096",
    "65535",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "0.5",
    "\\u0000",
    "\\ud800",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_KILL",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_ARCH_ARM",
    "cacheflush",
    "socketcall",
    "ipc",
    "..",
    "/",
    "\"",
    ",",
    "[[[[[[",
];

static CURRENT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut state: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1) | 1;
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if let Ok(text) = CURRENT.try_lock() {
            let _ = std::fs::write("fuzz-crash.json", &*text);
        }
        default(info);
    }));
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut texts, mut parsed, mut compiled) = (0u64, 0u64, 0u64);
    while Instant::now() < end {
        let text = mutate(&mut state);
        if let Ok(mut current) = CURRENT.lock() {
            current.clone_from(&text);
        }
        texts += 1;
        let Ok(spec) = serde_json::from_slice::<Spec>(&text) else { continue };
        parsed += 1;
        let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
        let Some(profile) = profile else { continue };
        let _ = seccomp::warnings(profile);
        if let Ok(program) = seccomp::compile(profile) {
            compiled += 1;
            let lines = seccomp::dump(&program).count();
            assert!((1..=4096).contains(&lines), "{lines} instructions");
        }
    }
    println!("{texts} texts, {parsed} parsed, {compiled} compiled, no panic");
}

/// The seed with one to four changes.
fn mutate(state: &mut u64) -> Vec<u8> {
    let mut text = SEED_CONFIG.as_bytes().to_vec();
    for _ in 0..=below(state, 4) {
        let at = below(state, text.len());
        let length = below(state, 24).min(text.len() - at);
        match below(state, 6) {
            0 => text[at] ^= 1 << below(state, 8),
            1 => drop(text.drain(at..at + length)),
            2 => {
                let copy = text[at..at + length].to_vec();
                text.splice(at..at, copy);
            }
            _ => replace_token(&mut text, at, state),
        }
    }
    text
}

/// Replaces the word or number that starts at or after `at`, so that the text
/// often stays valid JSON.
fn replace_token(text: &mut Vec<u8>, at: usize, state: &mut u64) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let Some(start) = text[at..].iter().position(is_word).map(|skip| at + skip) else { return };
    let length = text[start..].iter().take_while(|byte| is_word(byte)).count();
    let token = TOKENS[below(state, TOKENS.len())];
    text.splice(start..start + length, token.bytes());
}

/// xorshift64*; 0 for an empty range.
fn below(state: &mut u64, limit: usize) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    let value = usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32).unwrap_or(0);
    value.checked_rem(limit).unwrap_or(0)
}
