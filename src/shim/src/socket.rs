//! The shim's socket: its name, and who may have it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use sha2::{Digest, Sha256};

/// Where sockets are unless containerd says otherwise.
pub const DIRECTORY: &str = "/run/containerd/s";

/// What came of asking for the socket of a group.
#[derive(Debug)]
pub enum Claim {
    /// It is ours to serve.
    Ours(UnixListener),
    /// A shim of the group serves it already.
    Taken,
}

/// The socket of a group: unique for a containerd, a namespace and a group.
pub fn path(directory: &str, address: &str, namespace: &str, group: &str) -> PathBuf {
    let name = Path::new(address).join(namespace).join(group);
    let digest = Sha256::digest(name.as_os_str().as_encoded_bytes());
    let mut hex = String::with_capacity(64);
    for byte in digest {
        hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    Path::new(directory).join(hex)
}

/// Binds the socket, unless a live shim has it. One that nobody answers on was
/// left by a shim that was killed. One at a time: a socket that is bound but not
/// listened on yet looks dead as well. The lock is on the directory, which leaves
/// no file behind.
pub fn claim(path: &Path) -> io::Result<Claim> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let _lock = Flock::lock(File::open(directory)?, FlockArg::LockExclusive)
        .map_err(|(_, errno)| io::Error::from(errno))?;
    match bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            if is_served(path)? {
                return Ok(Claim::Taken);
            }
            match fs::remove_file(path) {
                // A shim that ends removes its own.
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                _ => bind(path).map(Claim::Ours),
            }
        }
        bound => bound.map(Claim::Ours),
    }
}

/// Whether somebody listens. A queue that is full is somebody's, too; waiting
/// for room would hold up every other start.
fn is_served(path: &Path) -> io::Result<bool> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), &UnixAddr::new(path)?) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(true),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The name that containerd's own shim gives, which its tools look for.
    #[test]
    fn the_name_is_the_digest_of_the_three() {
        let path = path(DIRECTORY, "/run/containerd/containerd.sock", "default", "c1");
        let digest = Sha256::digest(b"/run/containerd/containerd.sock/default/c1");
        assert_eq!(path.file_name().unwrap().len(), 64);
        assert!(path.to_str().unwrap().ends_with(&format!("{:02x}", digest[31])));
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let dir = std::env::temp_dir().join(format!("krun-shim-socket-{}", std::process::id()));
        let path = dir.join("s");
        let Claim::Ours(listener) = claim(&path).unwrap() else { panic!("taken") };
        assert!(matches!(claim(&path).unwrap(), Claim::Taken));
        drop(listener);
        assert!(matches!(claim(&path).unwrap(), Claim::Ours(_)));
        fs::remove_dir_all(dir).unwrap();
    }
}
