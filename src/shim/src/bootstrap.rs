//! `start`: gives containerd the address of a shim, and starts one if the
//! container's group has none.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::Cli;
use crate::daemon;
use crate::proto::Any;
use crate::proto::bootstrap::{BootstrapParams, bootstrap_result};
use crate::proto::options::Options;
use crate::proto::wire::{Malformed, Message};
use crate::socket::{self, Claim};
use crate::spec::Brief;

/// Longest input that is read, in bytes.
const LONGEST: u64 = 10 << 20;

/// Why no shim could be started.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// A file of the bundle.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The socket.
    #[error("shim socket {}: {source}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The runtime's options.
    #[error("options of type {type_url:?}: {source}")]
    Options {
        /// Their type.
        type_url: String,
        /// What went wrong.
        source: Malformed,
    },
    /// The process that becomes the shim.
    #[error("shim process: {0}")]
    Daemon(#[from] daemon::DaemonError),
}

/// How containerd wants to be answered: it changed three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    /// Up to 1.7.0: the address alone.
    Address,
    /// Up to 2.2: JSON with the version of the task API.
    Json(u32),
    /// From 2.3: BootstrapResult.
    Protobuf,
}

/// What `start` was given, whatever the version.
#[derive(Debug)]
struct Request {
    reply: Reply,
    options: Option<Any>,
    events: String,
    address: String,
    socket_dir: String,
}

impl Request {
    fn read(cli: &Cli, input: &[u8]) -> Self {
        let or = |value: String, other: &str| if value.is_empty() { other.to_owned() } else { value };
        let events = env::var("TTRPC_ADDRESS").unwrap_or_default();
        // Options of an older containerd may decode as parameters: ask whose they are.
        if let Ok(params) = BootstrapParams::decode(input)
            && params.instance_id == cli.id
            && params.namespace == cli.namespace
        {
            return Self {
                reply: Reply::Protobuf,
                options: params.extensions.into_iter().find(Options::is_options),
                events: or(params.ttrpc_address, &events),
                address: or(params.grpc_address, &cli.address),
                socket_dir: or(params.socket_dir, socket::DIRECTORY),
            };
        }
        let version = env::var("MAX_SHIM_VERSION").ok().and_then(|v| v.parse::<u32>().ok());
        Self {
            reply: version.map_or(Reply::Address, |v| Reply::Json(v.clamp(2, 3))),
            options: Any::decode(input).ok().filter(|any| !any.type_url.is_empty()),
            events,
            address: cli.address.clone(),
            socket_dir: socket::DIRECTORY.to_owned(),
        }
    }
}

/// Runs `start` in the bundle. In the process that becomes the shim it returns
/// only when the shim ends.
pub fn start(cli: &Cli) -> Result<(), BootstrapError> {
    let mut input = Vec::new();
    let file = |path: &str| {
        let path = PathBuf::from(path);
        move |source| BootstrapError::File { path, source }
    };
    io::stdin().take(LONGEST).read_to_end(&mut input).map_err(file("stdin"))?;
    let request = Request::read(cli, &input);
    let brief = Brief::read(Path::new(".")).map_err(file("config.json"))?;
    let options = match &request.options {
        Some(any) => Options::from_any(any)
            .map_err(|source| BootstrapError::Options { type_url: any.type_url.clone(), source })?,
        None => Options::default(),
    };
    let group = brief.group.as_deref().unwrap_or(&cli.id);
    let path = socket::path(&request.socket_dir, &request.address, &cli.namespace, group);
    let claim =
        socket::claim(&path).map_err(|source| BootstrapError::Socket { path: path.clone(), source })?;
    if let Claim::Ours(listener) = claim {
        let wish = daemon::Wish {
            namespace: cli.namespace.clone(),
            events: request.events.clone(),
            socket: path.display().to_string(),
            cgroup: options.shim_cgroup,
        };
        if daemon::spawn(wish, listener)? == daemon::Side::Shim {
            return Ok(());
        }
    }
    let address = format!("unix://{}", path.display());
    fs::write("address", &address).map_err(file("address"))?;
    let stdout = reply(request.reply, &address);
    io::stdout().write_all(&stdout).map_err(file("stdout"))
}

fn reply(form: Reply, address: &str) -> Vec<u8> {
    match form {
        Reply::Address => address.as_bytes().to_vec(),
        Reply::Json(version) => {
            format!(r#"{{"version":{version},"address":"{address}","protocol":"ttrpc"}}"#).into_bytes()
        }
        Reply::Protobuf => bootstrap_result(address),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::proto::wire::Writer;

    fn cli() -> Cli {
        Cli { namespace: "ns".into(), id: "c1".into(), address: "/a.sock".into(), ..Cli::default() }
    }

    #[test]
    fn parameters_are_told_from_options() {
        let mut w = Writer::new();
        w.text(1, "c1");
        w.text(2, "ns");
        w.text(5, "/e.sock");
        w.text(9, "/dir");
        let request = Request::read(&cli(), &w.finish());
        assert_eq!((request.reply, request.events.as_str()), (Reply::Protobuf, "/e.sock"));
        assert_eq!((request.socket_dir.as_str(), request.address.as_str()), ("/dir", "/a.sock"));

        let options = Any::new("containerd.runc.v1.Options", vec![0x10, 1]);
        let request = Request::read(&cli(), &options.encode());
        assert_ne!(request.reply, Reply::Protobuf);
        assert_eq!(request.options.unwrap().type_url, "containerd.runc.v1.Options");
        assert!(Request::read(&cli(), &[]).options.is_none());
    }
}
