//! Options of the runtime: runc's message, or TOML inside the generic one.

use super::Any;
use super::wire::{Malformed, Message, Value, Writer};

/// The options that krun knows of `containerd.runc.v1.Options`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Options {
    /// Use MS_MOVE instead of pivot_root.
    pub no_pivot_root: bool,
    /// Don't give the container a session keyring of its own.
    pub no_new_keyring: bool,
    /// cgroup of the shim itself.
    pub shim_cgroup: String,
    /// Owner of the stdio pipes.
    pub io_uid: u32,
    /// Group of the stdio pipes.
    pub io_gid: u32,
    /// Directory of the containers' state, without the namespace.
    pub root: String,
    /// Manage cgroups through systemd.
    pub systemd_cgroup: bool,
}

impl Options {
    /// Reads either form; another type is an error, as an option that is
    /// ignored is worse than one that is refused.
    pub fn from_any(any: &Any) -> Result<Self, Malformed> {
        match any.type_name() {
            "containerd.runc.v1.Options" | "containerd.runc.options.Options" => Self::decode(&any.value),
            "runtimeoptions.v1.Options" => Ok(Generic::decode(&any.value)?.options()),
            "" if any.value.is_empty() => Ok(Self::default()),
            _ => Err(Malformed),
        }
    }

    /// Whether an Any holds options at all: a shim is also given annotations
    /// and other extensions.
    pub fn is_options(any: &Any) -> bool {
        any.type_name().ends_with(".Options")
    }

    /// Encodes runc's form, which the `delete` command reads back.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.uint(1, u64::from(self.no_pivot_root));
        w.uint(2, u64::from(self.no_new_keyring));
        w.text(3, &self.shim_cgroup);
        w.uint(4, u64::from(self.io_uid));
        w.uint(5, u64::from(self.io_gid));
        w.text(7, &self.root);
        w.uint(9, u64::from(self.systemd_cgroup));
        w.finish()
    }

    /// Reads the flat `Key = value` lines that containerd's CRI plugin makes
    /// of a runtime's `options` table. Keys are runc's, in any case.
    fn from_toml(text: &str) -> Self {
        let mut options = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim().trim_matches(['"', '\'']);
            let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
            match key.to_ascii_lowercase().as_str() {
                "nopivotroot" => options.no_pivot_root = value == "true",
                "nonewkeyring" => options.no_new_keyring = value == "true",
                "shimcgroup" => options.shim_cgroup = value.to_owned(),
                "iouid" => options.io_uid = value.parse().unwrap_or_default(),
                "iogid" => options.io_gid = value.parse().unwrap_or_default(),
                "root" => options.root = value.to_owned(),
                "systemdcgroup" => options.systemd_cgroup = value == "true",
                _ => {}
            }
        }
        options
    }
}

impl Message for Options {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.no_pivot_root = value.boolean()?,
            2 => self.no_new_keyring = value.boolean()?,
            3 => self.shim_cgroup = value.text()?,
            4 => self.io_uid = value.uint32()?,
            5 => self.io_gid = value.uint32()?,
            7 => self.root = value.text()?,
            9 => self.systemd_cgroup = value.boolean()?,
            _ => {}
        }
        Ok(())
    }
}

/// `runtimeoptions.v1.Options`.
#[derive(Default)]
struct Generic {
    config_path: String,
    config_body: Vec<u8>,
}

impl Generic {
    fn options(&self) -> Options {
        if !self.config_body.is_empty() {
            return Options::from_toml(&String::from_utf8_lossy(&self.config_body));
        }
        let text = std::fs::read_to_string(&self.config_path).unwrap_or_default();
        Options::from_toml(&text)
    }
}

impl Message for Generic {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            2 => self.config_path = value.text()?,
            3 => self.config_body = value.bytes()?.to_vec(),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let wanted = Options { root: "/x".into(), systemd_cgroup: true, io_uid: 7, ..Options::default() };
        let runc = Any::new("containerd.runc.v1.Options", wanted.encode());
        assert_eq!(Options::from_any(&runc).unwrap(), wanted);
        let mut generic = Writer::new();
        generic.text(3, "BinaryName = \"\"\nRoot = \"/x\"\nSystemdCgroup = true\nIoUid = 7\n");
        let generic = Any::new("types.containerd.io/runtimeoptions.v1.Options", generic.finish());
        assert_eq!(Options::from_any(&generic).unwrap(), wanted);
    }

    #[test]
    fn an_unknown_type_is_refused() {
        assert!(Options::from_any(&Any::new("kata.Options", vec![8, 1])).is_err());
    }
}
