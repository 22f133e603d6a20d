//! Does binfmt_misc have an interpreter for a file? (Documentation/admin-guide/binfmt-misc.rst)
use std::path::Path;

/// Whether an enabled entry matches a file by its first bytes or its name.
pub fn handles(directory: &Path, head: &[u8], name: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries
        .flatten()
        .filter(|entry| entry.file_name() != "register" && entry.file_name() != "status")
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .any(|text| matches(&text, head, name))
}

/// The text of an entry: `enabled`, `interpreter …`, `flags: …`, then `offset`, `magic`, `mask` or `extension`.
pub(super) fn matches(text: &str, head: &[u8], name: &str) -> bool {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    if !text.lines().any(|line| line == "enabled") {
        return false;
    }
    if let Some(extension) = value("extension .") {
        return name.rsplit_once('.').is_some_and(|(_, last)| last == extension);
    }
    let offset: usize = value("offset ").and_then(|offset| offset.parse().ok()).unwrap_or(0);
    let Some(magic) = value("magic ").and_then(hex) else { return false };
    let mask = value("mask ").and_then(hex).unwrap_or_else(|| vec![0xff; magic.len()]);
    let bytes = head.get(offset..).and_then(|rest| rest.get(..magic.len()));
    let Some(bytes) = bytes else { return false };
    bytes.iter().zip(&magic).zip(&mask).all(|((byte, magic), mask)| byte & mask == magic & mask)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_match_by_magic_and_mask() {
        let text = "enabled\ninterpreter /usr/bin/qemu\nflags: F\noffset 2\nmagic 0a0b\nmask fff0\n";
        assert!(matches(text, &[0, 0, 0x0a, 0x0f, 1], "x"));
        assert!(!matches(text, &[0, 0, 0x0b, 0x0f, 1], "x"));
        assert!(!matches(text, &[0, 0, 0x0a], "x"));
        assert!(!matches(
            &text.replace("offset 2", &format!("offset {}", usize::MAX)),
            &[0, 0, 0x0a, 0x0b],
            "x"
        ));
        assert!(!matches(&text.replace("enabled", "disabled"), &[0, 0, 0x0a, 0x0b], "x"));
        assert!(matches("enabled\ninterpreter /x\nextension .exe\n", &[], "a.exe"));
    }
}
