//! `NOTIFY_SOCKET` (sd_notify(3)): the container gets a socket of its own, and what it says there is said to the
//! host's, with krun's word for the main process.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use oci_spec::runtime::{MountBuilder, Spec};

use super::LaunchError;

/// Where the container finds the socket.
const INSIDE: &str = "/run/notify";
const SOCKET: &str = "notify.sock";
/// Longest message that is forwarded, in bytes.
const LONGEST: usize = 4096;
/// How long the host may take to confirm a barrier, in milliseconds (sd_notify_barrier(3)).
const BARRIER_TIMEOUT: u16 = 30_000;

/// A container's notify socket, not yet bound.
#[derive(Debug)]
pub struct Notify {
    host: PathBuf,
    dir: PathBuf,
}

/// The bound socket and the way to the host's.
#[derive(Debug)]
pub struct Proxy {
    socket: UnixDatagram,
    host: UnixDatagram,
}

impl Notify {
    /// What the environment asks for, for the container whose state lies in `state`.
    #[must_use]
    pub fn from_env(state: &Path) -> Option<Notify> {
        let host = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())?;
        Some(Notify { host: host.into(), dir: state.join("notify") })
    }

    /// Makes the directory that is bound into the container; the socket may come later.
    ///
    /// # Errors
    /// mkdir(2).
    pub fn make_dir(&self) -> Result<(), LaunchError> {
        std::fs::DirBuilder::new()
            .mode(0o755)
            .create(&self.dir)
            .and_then(|()| std::fs::set_permissions(&self.dir, PermissionsExt::from_mode(0o755)))
            .map_err(LaunchError::file("make", &self.dir))
    }

    /// Whether the container was created with a notify socket.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.dir.is_dir()
    }

    /// Adds the directory's mount and the variable.
    ///
    /// # Errors
    /// [`LaunchError::Usage`], should the mount's members not fit together.
    pub fn add_to(&self, spec: &mut Spec) -> Result<(), LaunchError> {
        let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned);
        let mount = MountBuilder::default()
            .destination(INSIDE)
            .source(&self.dir)
            .typ("bind")
            .options(options)
            .build()
            .map_err(|_| LaunchError::Usage("the notify socket's mount"))?;
        let mut mounts = spec.mounts().clone().unwrap_or_default();
        mounts.push(mount);
        spec.set_mounts(Some(mounts));
        if let Some(process) = spec.process_mut() {
            let mut env = process.env().clone().unwrap_or_default();
            env.push(format!("NOTIFY_SOCKET={INSIDE}/{SOCKET}"));
            process.set_env(Some(env));
        }
        Ok(())
    }

    /// Binds the container's socket and connects to the host's.
    ///
    /// # Errors
    /// bind(2), connect(2).
    pub fn bind(&self) -> Result<Proxy, LaunchError> {
        let path = self.dir.join(SOCKET);
        let failed = || LaunchError::file("make the notify socket", &path);
        // By the directory's descriptor: a socket's path has at most 107 bytes (unix(7)).
        let dir = std::fs::File::open(&self.dir).map_err(failed())?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd());
        let socket = UnixDatagram::bind(&short).map_err(failed())?;
        // Whoever is in the container may say something.
        std::fs::set_permissions(&short, PermissionsExt::from_mode(0o777)).map_err(failed())?;
        socket.set_nonblocking(true).map_err(failed())?;
        let host = self.connect().map_err(LaunchError::file("connect to NOTIFY_SOCKET", &self.host))?;
        Ok(Proxy { socket, host })
    }

    fn connect(&self) -> std::io::Result<UnixDatagram> {
        let host = UnixDatagram::unbound()?;
        let bytes = self.host.as_os_str().as_encoded_bytes();
        match bytes.strip_prefix(b"@") {
            Some(name) => host.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            None => host.connect(&self.host)?,
        }
        Ok(host)
    }
}

impl Proxy {
    /// Forwards until the container is ready or its process is gone.
    ///
    /// # Errors
    /// The host's socket.
    pub fn wait(&self, process: BorrowedFd<'_>, main_pid: i32) -> Result<(), LaunchError> {
        loop {
            let mut fds = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(process, PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                done => done
                    .map_err(|errno| LaunchError::call("wait for the notify socket", "poll", errno as i32))?,
            };
            let [_, process] = fds;
            let ended = process.revents().is_some_and(|events| !events.is_empty());
            // The last words of a process that has ended count too.
            let ready = self.forward(main_pid)?;
            if ready || ended {
                return Ok(());
            }
        }
    }

    /// Forwards what is there; `true` once the container has said that it is ready.
    ///
    /// # Errors
    /// The host's socket.
    pub fn forward(&self, main_pid: i32) -> Result<bool, LaunchError> {
        let mut buf = [0u8; LONGEST];
        let mut ready = false;
        // Descriptors that come along (BARRIER, FDSTORE) are closed by the kernel, as no room is made for them:
        // that is the answer a barrier waits for.
        while let Ok(n) = self.socket.recv(&mut buf) {
            ready |= self.say(&for_the_host(buf.get(..n).unwrap_or_default()), main_pid)?;
        }
        Ok(ready)
    }

    /// Tells the host; after READY also what the main process is. `true` if it was READY.
    fn say(&self, said: &[u8], main_pid: i32) -> Result<bool, LaunchError> {
        let failed = |error: std::io::Error| LaunchError::Call {
            what: "forward to NOTIFY_SOCKET".to_owned(),
            call: "send",
            source: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        };
        if said.is_empty() {
            return Ok(false);
        }
        self.host.send(said).map_err(failed)?;
        if !said.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"READY=")) {
            return Ok(false);
        }
        self.host.send(format!("MAINPID={main_pid}\n").as_bytes()).map_err(failed)?;
        self.barrier()?;
        Ok(true)
    }

    /// Waits until the host has read all that was sent before krun goes away:
    /// it closes the descriptor (sd_notify_barrier(3), systemd 246).
    fn barrier(&self) -> Result<(), LaunchError> {
        let failed = |call| {
            move |errno: Errno| LaunchError::call("wait for NOTIFY_SOCKET's barrier", call, errno as i32)
        };
        let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(failed("pipe2"))?;
        send_barrier(&self.host, theirs).map_err(failed("sendmsg"))?;
        let mut fds = [PollFd::new(ours.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, BARRIER_TIMEOUT).map_err(failed("poll"))? == 0 {
            crate::log::warning("Timeout after waiting 30s for barrier. Ignored.");
        }
        Ok(())
    }
}

impl AsFd for Proxy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn send_barrier(host: &UnixDatagram, end: OwnedFd) -> nix::Result<()> {
    let fds = [end.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let text = [IoSlice::new(b"BARRIER=1")];
    sendmsg::<()>(host.as_raw_fd(), &text, &rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// What the host is told: not what means something only with a descriptor, and
/// not a pid of the container's own numbering.
fn for_the_host(said: &[u8]) -> Vec<u8> {
    const KEPT_BACK: [&[u8]; 5] = [b"MAINPID=", b"MAINPIDFDID=", b"BARRIER=", b"FDSTORE", b"FDNAME="];
    let lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .filter(|line| !KEPT_BACK.iter().any(|name| line.starts_with(name)))
        .flat_map(|line| line.iter().copied().chain([b'\n']))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::for_the_host;

    #[test]
    fn pids_and_descriptors_stay_inside() {
        let said = b"READY=1\nMAINPID=7\nSTATUS=warm\nFDSTORE=1\nFDNAME=x\nBARRIER=1";
        assert_eq!(for_the_host(said), b"READY=1\nSTATUS=warm\n");
        assert_eq!(for_the_host(b"BARRIER=1"), b"");
    }
}
