//! Text that a terminal may get. A container, its image or a bundle chooses part of many messages: the `#!` line of a script,
//! a hook's output, a name. What a terminal would obey instead of showing is escaped, in every message and every table.
use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with control characters as `\x1b` and such, and those that turn the direction of writing as `\u{202e}`. Line feeds
/// and tabs stay: messages of several lines have them.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, |to, character| match u32::from(character) {
        code @ 0..0x100 => write!(to, "\\x{code:02x}"),
        code => write!(to, "\\u{{{code:x}}}"),
    })
}

/// The same for a JSON text, whose meaning stays as it is: only its strings can have such characters (RFC 8259, section 7),
/// and those below U+0020 are escaped already.
#[must_use]
pub fn shown_json(text: &str) -> Cow<'_, str> {
    escaped(text, |to, character| write!(to, "\\u{:04x}", u32::from(character)))
}

fn escaped(text: &str, escape: impl Fn(&mut String, char) -> std::fmt::Result) -> Cow<'_, str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(is_plain) || !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut to = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_obeyed(character) {
            // A string takes whatever is written to it.
            let _ = escape(&mut to, character);
        } else {
            to.push(character);
        }
    }
    Cow::Owned(to)
}

/// C0 but line feed and tab, DEL, C1, and what Unicode calls Bidi_Control (UAX #9) with its line and paragraph separators.
#[must_use]
pub fn is_obeyed(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        let text = "a\x1b]0;t\x07\r\x7f\u{9b}2J\u{202e}b\n\tc é";
        assert_eq!(shown(text), "a\\x1b]0;t\\x07\\x0d\\x7f\\x9b2J\\u{202e}b\n\tc é");
        assert!(matches!(shown("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({"a": "\x1b\x7f\u{9b}\u{202e}é"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = shown_json(&text);
        assert_eq!(shown, "{\n  \"a\": \"\\u001b\\u007f\\u009b\\u202eé\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
