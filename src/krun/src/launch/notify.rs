//! `NOTIFY_SOCKET` (sd_notify(3)): the container gets a socket of its own. That it is ready is said to the host's manager,
//! with krun's word for the main process; nothing else is, since the manager would obey it: stop a service, extend its
//! timeouts, call it failed.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use oci_spec::runtime::{MountBuilder, Spec};

use super::LaunchError;

/// Where the container finds the socket.
const INSIDE: &str = "/run/notify";
const SOCKET: &str = "notify.sock";
/// Longest message that is looked at, in bytes.
const LONGEST: usize = 4096;
/// What says that the service is up.
const READY: &[u8] = b"READY=1";
/// So many messages are read within [`WINDOW`]. Whoever says more waits, at no cost to krun.
const BATCH: u32 = 32;
const WINDOW: Duration = Duration::from_millis(100);
/// More than a socket's queue holds (net.unix.max_dgram_qlen): what a process had said before it ended.
const LAST_WORDS: u32 = 1024;
/// How long the host may take to confirm a barrier, in milliseconds (sd_notify_barrier(3)).
const BARRIER_TIMEOUT: u16 = 30_000;

/// A container's notify socket, not yet bound.
#[derive(Debug)]
pub struct Notify {
    host: PathBuf,
    dir: PathBuf,
}

/// The bound socket and the way to the host's. Once the container has said that it is ready the proxy is dropped: its
/// socket then answers at once that nobody listens.
#[derive(Debug)]
pub struct Proxy {
    socket: UnixDatagram,
    host: UnixDatagram,
    /// When the window began in which `taken` messages were read.
    begun: Instant,
    taken: u32,
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
        Ok(Proxy { socket, host, begun: Instant::now(), taken: 0 })
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
    /// Waits until the container is ready or its process is gone.
    ///
    /// # Errors
    /// The host's socket.
    pub fn wait(mut self, process: BorrowedFd<'_>, main_pid: i32) -> Result<(), LaunchError> {
        loop {
            let mut fds = [PollFd::new(self.as_fd(), self.events()), PollFd::new(process, PollFlags::POLLIN)];
            match poll(&mut fds, self.rest()) {
                Err(Errno::EINTR) => continue,
                done => done
                    .map_err(|errno| LaunchError::call("wait for the notify socket", "poll", errno as i32))?,
            };
            let [_, process] = fds;
            let ended = process.revents().is_some_and(|events| !events.is_empty());
            // The last words of a process that has ended count too.
            let heard = if ended { self.hear_last(main_pid)? } else { self.hear(main_pid)? };
            if heard || ended {
                return Ok(());
            }
        }
    }

    /// What to poll the socket for: nothing while its sender has to wait.
    pub fn events(&self) -> PollFlags {
        if self.taken < BATCH { PollFlags::POLLIN } else { PollFlags::empty() }
    }

    /// How long to poll at most.
    pub fn rest(&self) -> PollTimeout {
        if self.taken < BATCH {
            return PollTimeout::NONE;
        }
        let left = WINDOW.saturating_sub(self.begun.elapsed()).as_millis();
        // Rounded up: a poll that ends too early would spin.
        PollTimeout::try_from(left + 1).unwrap_or(PollTimeout::ZERO)
    }

    /// Reads what is there, at most a batch within the window; `true` once the container is ready and the host knows.
    ///
    /// # Errors
    /// The host's socket.
    pub fn hear(&mut self, main_pid: i32) -> Result<bool, LaunchError> {
        if self.begun.elapsed() >= WINDOW {
            (self.begun, self.taken) = (Instant::now(), 0);
        }
        while self.taken < BATCH {
            self.taken += 1;
            match self.next() {
                Some(true) => return self.tell(main_pid).map(|()| true),
                Some(false) => {}
                None => {
                    self.taken -= 1;
                    break;
                }
            }
        }
        Ok(false)
    }

    /// The same for a process that has ended: all that its queue can have held, since no other window comes.
    ///
    /// # Errors
    /// The host's socket.
    pub fn hear_last(&mut self, main_pid: i32) -> Result<bool, LaunchError> {
        let ready = (0..LAST_WORDS).map_while(|_| self.next()).any(|ready| ready);
        if ready {
            self.tell(main_pid)?;
        }
        Ok(ready)
    }

    /// Whether the next message has a line that says READY; none if there is no message. Descriptors that come along
    /// (BARRIER, FDSTORE) are closed by the kernel, as no room is made for them: that is the answer a barrier waits for.
    fn next(&self) -> Option<bool> {
        let mut buf = [0u8; LONGEST];
        let length = self.socket.recv(&mut buf).ok()?;
        let said = buf.get(..length).unwrap_or_default();
        Some(said.split(|byte| *byte == b'\n').any(|line| line == READY))
    }

    /// Tells the host that the service is ready and what its main process is.
    fn tell(&self, main_pid: i32) -> Result<(), LaunchError> {
        let failed = |error: std::io::Error| LaunchError::Call {
            what: "forward to NOTIFY_SOCKET".to_owned(),
            call: "send",
            source: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        };
        self.host.send(&[READY, b"\n"].concat()).map_err(failed)?;
        self.host.send(format!("MAINPID={main_pid}\n").as_bytes()).map_err(failed)?;
        self.barrier()
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
