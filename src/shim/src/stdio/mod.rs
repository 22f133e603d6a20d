//! Stdio of a container's processes.
//!
//! A process whose client gave fifos gets those fifos themselves: nothing is
//! copied and an idle shim has nothing to do. The shim only holds the other end
//! of each, so that a restart of containerd neither kills a writer with SIGPIPE
//! nor ends a reader's input. Copies remain for terminals, for files (which a
//! container must not be able to truncate), and for processes with an LSM
//! label, whose policy may forbid the client's fifo but never a pipe.

pub mod copy;
pub mod logger;
pub mod uri;

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::proto::task::Stdio;
use copy::Copy;
use logger::Logger;
use uri::Place;

/// Longest wait for a client to open what it asked to read.
const CLIENT: Duration = Duration::from_secs(10);

/// Why a process's stdio couldn't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A fifo, file or device can't be opened.
    #[error("stdio {}: {source}", path.display())]
    Open {
        /// What was to be opened.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The URI's scheme is none of fifo, file and binary.
    #[error("stdio {uri}: unknown scheme")]
    Scheme {
        /// The whole URI.
        uri: String,
    },
    /// A pipe or its owner.
    #[error("stdio pipe: {0}")]
    Pipe(#[from] nix::Error),
    /// The logging program failed to start or to become ready.
    #[error("logging program {}: {reason}", program.display())]
    Logger {
        /// The program.
        program: PathBuf,
        /// What happened.
        reason: String,
    },
}

/// How a process is to be wired.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The container, for the logging program.
    pub id: &'a str,
    /// containerd's namespace, for the logging program.
    pub namespace: &'a str,
    /// Whether an LSM label forbids handing the client's fifos over.
    pub labelled: bool,
    /// Owner and group of the pipes, if not root.
    pub owner: (u32, u32),
}

/// A process's stdio, open.
#[derive(Debug, Default)]
pub struct Wiring {
    /// Descriptors 0, 1 and 2 of the process; closed here once it exists.
    pub child: [Option<OwnedFd>; 3],
    /// Ends that are held as long as the process is known.
    pub held: Vec<OwnedFd>,
    /// The write end of stdin's fifo: closing it is CloseIO.
    pub stdin: Option<OwnedFd>,
    /// What the event loop has to copy.
    pub copies: Vec<Copy>,
    /// The logging program.
    pub logger: Option<Logger>,
}

impl Wiring {
    /// Opens the stdio of a process without a terminal.
    pub fn plain(stdio: &Stdio, context: Context<'_>) -> Result<Self, Error> {
        let mut wiring = Self::default();
        wiring.plain_stdin(&stdio.stdin, context)?;
        let stdout = Place::parse(&stdio.stdout)?;
        if let Place::Logger { program, args, strict } = &stdout {
            let (logger, ends) = Logger::spawn(program, args, *strict, context)?;
            let [out, err] = ends;
            wiring.child[1] = Some(out);
            wiring.child[2] = Some(err);
            wiring.logger = Some(logger);
            return Ok(wiring);
        }
        // A file takes both streams.
        let stderr =
            if matches!(stdout, Place::File(_)) { stdout.clone() } else { Place::parse(&stdio.stderr)? };
        wiring.child[1] = Some(wiring.output(&stdout, context)?);
        wiring.child[2] = Some(wiring.output(&stderr, context)?);
        Ok(wiring)
    }

    /// Opens what a terminal's master is copied to and from.
    pub fn console(stdio: &Stdio, context: Context<'_>, master: &OwnedFd) -> Result<Self, Error> {
        let mut wiring = Self::default();
        set_nonblocking(master, true)?;
        if let Place::Fifo(path) = Place::parse(&stdio.stdin)? {
            let reader = open(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
            wiring.stdin = Some(open(&path, OFlag::O_WRONLY | OFlag::O_NONBLOCK)?);
            wiring.copies.push(Copy::input(reader, duplicate(master)?));
        }
        let sink = match Place::parse(&stdio.stdout)? {
            Place::Null => open(Path::new("/dev/null"), OFlag::O_WRONLY)?,
            Place::Fifo(path) => wiring.fifo_writer(&path, OFlag::O_NONBLOCK)?,
            Place::File(path) => append(&path)?,
            Place::Logger { program, args, strict } => {
                let (logger, [out, _err]) = Logger::spawn(&program, &args, strict, context)?;
                set_nonblocking(&out, true)?;
                wiring.logger = Some(logger);
                out
            }
        };
        wiring.copies.push(Copy::output(duplicate(master)?, sink));
        Ok(wiring)
    }

    fn plain_stdin(&mut self, uri: &str, context: Context<'_>) -> Result<(), Error> {
        let Place::Fifo(path) = Place::parse(uri)? else {
            self.child[0] = Some(open(Path::new("/dev/null"), OFlag::O_RDONLY)?);
            return Ok(());
        };
        // Non-blocking opens, reader first: neither waits for the client.
        let reader = open(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        self.stdin = Some(open(&path, OFlag::O_WRONLY | OFlag::O_NONBLOCK)?);
        if context.labelled {
            let (end, sink) = pipe(context.owner)?;
            set_nonblocking(&sink, true)?;
            self.copies.push(Copy::input(reader, sink));
            self.child[0] = Some(end);
        } else {
            set_nonblocking(&reader, false)?;
            give(&reader, context.owner)?;
            self.child[0] = Some(reader);
        }
        Ok(())
    }

    fn output(&mut self, place: &Place, context: Context<'_>) -> Result<OwnedFd, Error> {
        let sink = match place {
            Place::Fifo(path) if is_fifo(path) && !context.labelled => {
                let writer = self.fifo_writer(path, OFlag::empty())?;
                give(&writer, context.owner)?;
                return Ok(writer);
            }
            Place::Fifo(path) if is_fifo(path) => self.fifo_writer(path, OFlag::O_NONBLOCK)?,
            Place::File(path) | Place::Fifo(path) => append(path)?,
            Place::Null | Place::Logger { .. } => return open(Path::new("/dev/null"), OFlag::O_WRONLY),
        };
        let (source, end) = pipe(context.owner)?;
        set_nonblocking(&source, true)?;
        self.copies.push(Copy::output(source, sink));
        Ok(end)
    }

    /// Opens a fifo for writing, once the client has come to read: a writer
    /// that has come and gone before that would leave it waiting for ever. The
    /// held reader keeps a write from SIGPIPE when the client goes away.
    fn fifo_writer(&mut self, path: &Path, flags: OFlag) -> Result<OwnedFd, Error> {
        let early = await_reader(path)?;
        self.held.push(open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?);
        let writer = match early {
            Some(writer) => writer,
            None => open(path, OFlag::O_WRONLY)?,
        };
        set_nonblocking(&writer, flags.contains(OFlag::O_NONBLOCK))?;
        Ok(writer)
    }
}

/// A fifo's writing end, as soon as somebody has it open for reading, or is
/// about to; `None` after [`CLIENT`].
fn await_reader(path: &Path) -> Result<Option<OwnedFd>, Error> {
    let end = Instant::now() + CLIENT;
    let mut pause = Duration::from_micros(100);
    loop {
        match open(path, OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
            // fifo(7): no reader yet.
            Err(Error::Open { source, .. }) if source.raw_os_error() == Some(nix::libc::ENXIO) => {}
            other => return other.map(Some),
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn open(path: &Path, flags: OFlag) -> Result<OwnedFd, Error> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty())
        .map_err(|e| Error::Open { path: path.to_owned(), source: e.into() })
}

fn append(path: &Path) -> Result<OwnedFd, Error> {
    let error = |source| Error::Open { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(error)?;
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o644).open(path).map_err(error)?;
    Ok(file.into())
}

fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.file_type().is_fifo())
}

/// A close-on-exec pipe whose two ends belong to `owner`.
pub(crate) fn pipe(owner: (u32, u32)) -> Result<(OwnedFd, OwnedFd), Error> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    give(&reader, owner)?;
    Ok((reader, writer))
}

/// Lets the mapped root of a user namespace reopen its stdio by name.
fn give(fd: &OwnedFd, (uid, gid): (u32, u32)) -> Result<(), Error> {
    if (uid, gid) == (0, 0) {
        return Ok(());
    }
    nix::unistd::fchown(fd, Some(uid.into()), Some(gid.into()))?;
    Ok(())
}

fn set_nonblocking(fd: impl AsFd, on: bool) -> Result<(), Error> {
    let mut flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, on);
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags))?;
    Ok(())
}

fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, Error> {
    fd.try_clone().map_err(|source| Error::Open { path: "pty".into(), source })
}

/// An owned descriptor as a file, for reading and writing.
pub(crate) fn as_file(fd: OwnedFd) -> File {
    File::from(fd)
}
