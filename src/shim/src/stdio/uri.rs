//! Where a stream goes, as containerd names it: a path or a URI.

use std::path::PathBuf;

use super::Error;

/// One end of a process's stdio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: `/dev/null`.
    Null,
    /// A fifo that the client reads or writes.
    Fifo(PathBuf),
    /// A file that is appended to.
    File(PathBuf),
    /// A logging program with its arguments (`binary://`). With `strict`
    /// (`binary-v2://`) it must say that it is ready, not just close the pipe.
    Logger {
        /// The program.
        program: PathBuf,
        /// Keys and values of the URI's query.
        args: Vec<String>,
        /// Whether end-of-file alone counts as a failure.
        strict: bool,
    },
}

impl Place {
    /// Reads a path or URI; a path without a scheme is a fifo.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        if uri.is_empty() {
            return Ok(Self::Null);
        }
        let (scheme, rest) = uri.split_once("://").unwrap_or(("fifo", uri));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = PathBuf::from(unescape(path));
        match scheme {
            "fifo" => Ok(Self::Fifo(PathBuf::from(rest))),
            "file" => Ok(Self::File(path)),
            "binary" | "binary-v2" => {
                Ok(Self::Logger { program: path, args: arguments(query), strict: scheme == "binary-v2" })
            }
            _ => Err(Error::Scheme { uri: uri.to_owned() }),
        }
    }
}

/// `k=v&k2` becomes `k v k2 ""`: the form that containerd's logging programs
/// are given.
fn arguments(query: &str) -> Vec<String> {
    let mut args = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        args.push(unescape(&key.replace('+', " ")));
        args.push(unescape(&value.replace('+', " ")));
    }
    args
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        assert_eq!(Place::parse("").unwrap(), Place::Null);
        assert_eq!(Place::parse("/run/f%20o").unwrap(), Place::Fifo("/run/f%20o".into()));
        assert_eq!(Place::parse("fifo:///run/f").unwrap(), Place::Fifo("/run/f".into()));
        assert_eq!(Place::parse("file:///a%20b").unwrap(), Place::File("/a b".into()));
        assert_eq!(
            Place::parse("binary:///bin/log?id=a%2Fb&debug").unwrap(),
            Place::Logger {
                program: "/bin/log".into(),
                args: vec!["id".into(), "a/b".into(), "debug".into(), String::new()],
                strict: false
            }
        );
        assert!(Place::parse("npipe://x").is_err());
    }
}
