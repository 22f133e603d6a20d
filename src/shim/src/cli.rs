//! The command line that containerd calls a shim with.

/// Flags and action. Go's flag package takes one dash or two, and values after
/// `=` or as the next argument.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cli {
    /// containerd's namespace.
    pub namespace: String,
    /// The task.
    pub id: String,
    /// containerd's own address; part of the socket's name.
    pub address: String,
    /// The bundle, for `delete`; else the working directory.
    pub bundle: String,
    /// Log more.
    pub debug: bool,
    /// Print the version.
    pub version: bool,
    /// Print what this runtime is and can do.
    pub info: bool,
    /// `start` or `delete`.
    pub action: String,
    /// Values of flags that mean nothing here.
    pub ignored: String,
}

/// The command line makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// No such flag.
    #[error("unknown flag {0}")]
    Unknown(String),
    /// The flag's value is missing.
    #[error("flag {0} needs a value")]
    Value(String),
}

impl Cli {
    /// Reads the arguments after the program's name.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, CliError> {
        let mut cli = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
                cli.action = arg;
                break;
            };
            let (name, inline) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (flag.to_owned(), None),
            };
            if cli.switch(&name, inline.as_deref() != Some("false")) {
                continue;
            }
            let Some(place) = cli.value(&name) else { return Err(CliError::Unknown(arg)) };
            *place = inline.or_else(|| args.next()).ok_or(CliError::Value(arg))?;
        }
        Ok(cli)
    }

    fn switch(&mut self, name: &str, on: bool) -> bool {
        match name {
            "debug" => self.debug = on,
            "v" | "version" => self.version = on,
            "info" => self.info = on,
            _ => return false,
        }
        true
    }

    /// Where a flag's value goes. Flags of other shims are taken and ignored.
    fn value(&mut self, name: &str) -> Option<&mut String> {
        match name {
            "namespace" => Some(&mut self.namespace),
            "id" => Some(&mut self.id),
            "address" => Some(&mut self.address),
            "bundle" => Some(&mut self.bundle),
            "publish-binary" | "socket" | "debug-socket" => Some(&mut self.ignored),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, CliError> {
        Cli::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_line_that_containerd_sends() {
        let cli = parse("-namespace k8s -address /a.sock -publish-binary /c -id x -bundle=/b --debug start")
            .unwrap();
        let wanted = Cli {
            namespace: "k8s".into(),
            id: "x".into(),
            address: "/a.sock".into(),
            bundle: "/b".into(),
            debug: true,
            action: "start".into(),
            ignored: "/c".into(),
            ..Cli::default()
        };
        assert_eq!(cli, wanted);
    }

    #[test]
    fn what_it_never_sends() {
        assert_eq!(parse("-nope 1"), Err(CliError::Unknown("-nope".into())));
        assert_eq!(parse("-id"), Err(CliError::Value("-id".into())));
    }
}
