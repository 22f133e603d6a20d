//! Annotations `org.systemd.property.NAME`: values in GVariant text form, as
//! runc reads them, to unit properties.

use std::iter::Peekable;
use std::str::Chars;

use super::wire::Value;

/// The prefix of annotations that are unit properties.
pub const PREFIX: &str = "org.systemd.property.";

/// The property of an annotation with the [`PREFIX`] taken off. A name in
/// `Sec` becomes `USec`, its value microseconds, as systemd's own tools do.
///
/// # Errors
/// Text, for after the annotation's name.
pub fn property(name: &str, text: &str) -> Result<(String, Value), String> {
    if name.len() < 3 {
        return Err("name incorrect: too short".to_owned());
    }
    if !name.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err("name incorrect: contains non-alphabetic character".to_owned());
    }
    let value = parse(text).map_err(|reason| format!("value parse error: {reason}"))?;
    match name.strip_suffix("Sec") {
        Some(stem) if stem.ends_with(|c: char| c.is_ascii_lowercase()) => {
            let value = microseconds(&value).ok_or("value parse error: not a number")?;
            Ok((format!("{stem}USec"), Value::U64(value)))
        }
        _ => Ok((name.to_owned(), value)),
    }
}

/// Seconds of any number type, as microseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates; negative seconds are refused"
)]
fn microseconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Byte(v) => u64::from(*v),
        Value::I16(v) => u64::try_from(*v).ok()?,
        Value::U16(v) => u64::from(*v),
        Value::I32(v) => u64::try_from(*v).ok()?,
        Value::U32(v) => u64::from(*v),
        Value::I64(v) => u64::try_from(*v).ok()?,
        Value::U64(v) => *v,
        Value::F64(v) if *v >= 0.0 => return Some((v * 1e6) as u64),
        _ => return None,
    };
    seconds.checked_mul(1_000_000)
}

/// Parses GVariant text: booleans, numbers, strings, arrays and tuples of
/// them, with type keywords (`uint64 5`) and signatures (`@as []`).
///
/// # Errors
/// What is wrong, as text.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { chars: text.chars().peekable(), depth: 0 };
    let value = parser.value(None)?;
    parser.blanks();
    match parser.chars.next() {
        None => Ok(value),
        Some(c) => Err(format!("unexpected {c:?} after the value")),
    }
}

/// How deeply values lie in each other, prefixes included: beyond every property, within every stack.
const DEEPEST: usize = 32;

struct Parser<'a> {
    chars: Peekable<Chars<'a>>,
    depth: usize,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.chars.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        let part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        while let Some(c) = self.chars.next_if(part) {
            word.push(c);
        }
        word
    }

    /// A value; `wanted` is the signature it must have, if known.
    fn value(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("nested too deeply".to_owned());
        }
        let value = self.one_value(wanted);
        self.depth -= 1;
        value
    }

    fn one_value(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        self.blanks();
        match self.chars.peek() {
            Some('\'' | '"') => string(self.quoted()?, wanted),
            Some('[') => self.array(wanted),
            Some('(') => self.tuple(),
            Some('@') => {
                self.chars.next();
                let mut signature = String::new();
                while let Some(c) = self.chars.next_if(|c| !c.is_whitespace()) {
                    signature.push(c);
                }
                if !is_one_type(&signature) {
                    return Err(format!("{signature:?} is no type"));
                }
                self.value(Some(&signature))
            }
            Some(_) => self.scalar(wanted),
            None => Err("empty value".to_owned()),
        }
    }

    fn scalar(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        let word = self.word();
        let keyword = match word.as_str() {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "objectpath" => "o",
            "signature" => "g",
            "" => {
                let found = self.chars.peek().copied().unwrap_or(' ');
                return Err(format!("unexpected {found:?}"));
            }
            number => return scalar(number, wanted),
        };
        self.value(Some(keyword))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let quote = self.chars.next();
        let mut text = String::new();
        loop {
            match self.chars.next() {
                None => return Err("string without an end".to_owned()),
                c if c == quote => return Ok(text),
                Some('\\') => match self.chars.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(c) if !c.is_ascii_alphanumeric() => text.push(c),
                    _ => return Err("unknown escape in a string".to_owned()),
                },
                Some('\0') => return Err("NUL in a string".to_owned()),
                Some(c) => text.push(c),
            }
        }
    }

    /// The items up to the closing character.
    fn items(&mut self, close: char, wanted: Option<&str>) -> Result<Vec<Value>, String> {
        self.chars.next();
        let mut items: Vec<Value> = Vec::new();
        loop {
            self.blanks();
            if self.chars.next_if_eq(&close).is_some() {
                return Ok(items);
            }
            if !items.is_empty() {
                self.chars.next_if_eq(&',').ok_or_else(|| format!("expected ',' or {close:?}"))?;
                self.blanks();
                if self.chars.peek() == Some(&close) {
                    continue;
                }
            }
            items.push(self.value(wanted)?);
        }
    }

    fn array(&mut self, wanted: Option<&str>) -> Result<Value, String> {
        let element = wanted.and_then(|signature| signature.strip_prefix('a')).map(str::to_owned);
        let items = self.items(']', element.as_deref())?;
        let element = element
            .or_else(|| items.first().map(Value::signature))
            .ok_or("the type of an empty array must be given")?;
        match items.iter().all(|item| item.signature() == element) {
            true => Ok(Value::Array(element, items)),
            false => Err("array of different types".to_owned()),
        }
    }

    fn tuple(&mut self) -> Result<Value, String> {
        match self.items(')', None)? {
            fields if fields.is_empty() => Err("empty tuple".to_owned()),
            fields => Ok(Value::Struct(fields)),
        }
    }
}

/// Whether a signature is of one type, of those that are read here, as long as a signature may be.
fn is_one_type(signature: &str) -> bool {
    signature.len() < 256 && after_type(signature.as_bytes(), DEEPEST).is_some_and(<[u8]>::is_empty)
}

/// What follows the first type.
fn after_type(signature: &[u8], deepest: usize) -> Option<&[u8]> {
    let deepest = deepest.checked_sub(1)?;
    match signature {
        [b'a', rest @ ..] => after_type(rest, deepest),
        [b'(', rest @ ..] => {
            let mut rest = after_type(rest, deepest)?;
            while !matches!(rest, [b')', ..]) {
                rest = after_type(rest, deepest)?;
            }
            rest.get(1..)
        }
        [
            b'b' | b'y' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v',
            rest @ ..,
        ] => Some(rest),
        _ => None,
    }
}

fn string(text: String, wanted: Option<&str>) -> Result<Value, String> {
    match wanted {
        None | Some("s") => Ok(Value::Str(text)),
        Some("o") => Ok(Value::Path(text)),
        Some("g") if text.len() < 256 => Ok(Value::Signature(text)),
        Some(other) => Err(format!("a string is not of type {other:?}")),
    }
}

fn scalar(word: &str, wanted: Option<&str>) -> Result<Value, String> {
    let error = || format!("invalid number {word:?}");
    let float = word.contains(['.', 'e', 'E']) && !word.starts_with("0x");
    let wanted = wanted.unwrap_or(if float { "d" } else { "i" });
    if wanted == "d" {
        return word.parse().map(Value::F64).map_err(|_| error());
    }
    let number: i128 = match word.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16),
        None => word.parse(),
    }
    .map_err(|_| error())?;
    let value = match wanted {
        "y" => number.try_into().map(Value::Byte),
        "n" => number.try_into().map(Value::I16),
        "q" => number.try_into().map(Value::U16),
        "i" => number.try_into().map(Value::I32),
        "u" => number.try_into().map(Value::U32),
        "x" => number.try_into().map(Value::I64),
        "t" => number.try_into().map(Value::U64),
        other => return Err(format!("a number is not of type {other:?}")),
    };
    value.map_err(|_| format!("number {word} out of range for type {wanted:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_to_values() {
        for (text, wanted) in [
            ("true", Value::Bool(true)),
            ("-5", Value::I32(-5)),
            ("uint64 5", Value::U64(5)),
            ("byte 0xff", Value::Byte(255)),
            ("1.5", Value::F64(1.5)),
            ("'a b'", Value::Str("a b".to_owned())),
            (r#""it's \"x\"""#, Value::Str("it's \"x\"".to_owned())),
            ("['a', 'b']", Value::strings(["a", "b"])),
            ("@as []", Value::strings([])),
            ("@at [1,2]", Value::Array("t".to_owned(), vec![Value::U64(1), Value::U64(2)])),
            (" ( 'x' , uint32 3 ) ", Value::Struct(vec![Value::Str("x".to_owned()), Value::U32(3)])),
        ] {
            assert_eq!(parse(text).unwrap(), wanted, "{text}");
        }
        let long = "[".repeat(5000);
        for bad in ["", "'a", "[1,'a']", "[]", "()", "5 6", "byte 256", "uint64 -1", "what", "@as 5", &long] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    /// Every prefix is a value of its own to the parser, which must not follow them down its stack.
    #[test]
    fn prefixes_without_end_are_refused() {
        for prefix in ["byte ", "@y ", "[", "(", "@ay [", "string @s "] {
            assert!(parse(&prefix.repeat(1 << 20)).is_err(), "{prefix}");
        }
        assert_eq!(parse("byte byte @y 5"), Ok(Value::Byte(5)));
    }

    /// It goes into a D-Bus message as it stands.
    #[test]
    fn an_empty_array_has_a_real_type() {
        for good in ["s", "as", "(sa(iu))", "a(yb)"] {
            assert_eq!(parse(&format!("@a{good} []")), Ok(Value::Array(good.to_owned(), vec![])));
        }
        let (long, deep) = (format!("({})", "s".repeat(300)), "a".repeat(100) + "s");
        for bad in ["", "ss", "z", "()", "(s", "s)", "a", &long, &deep] {
            assert!(parse(&format!("@a{bad} []")).is_err(), "{bad}");
        }
    }

    #[test]
    fn annotations_to_properties() {
        let ok = |name: &str, text: &str| property(name, text).unwrap();
        assert_eq!(
            ok("CollectMode", "'inactive'"),
            ("CollectMode".to_owned(), Value::Str("inactive".to_owned()))
        );
        assert_eq!(ok("TimeoutStopSec", "6"), ("TimeoutStopUSec".to_owned(), Value::U64(6_000_000)));
        assert_eq!(ok("TimeoutStopSec", "1.5").1, Value::U64(1_500_000));
        assert_eq!(ok("TimeoutStopUSec", "uint64 7").1, Value::U64(7));
        for (name, text) in [("ab", "1"), ("a.bc", "1"), ("TimeoutStopSec", "'x'"), ("Abc", "")] {
            assert!(property(name, text).is_err(), "{name}={text}");
        }
    }
}
