//! `<root>/<id>/`: made by `create`, removed by `delete`. Files in it are written under a lock on the directory, and once the
//! container lives replaced whole.
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use super::{ContainerId, Head, State, StateError};

/// The state, as JSON.
pub const STATE: &CStr = c"state.json";
/// The FIFO at which a created container waits; it exists until `start`.
pub const GATE: &CStr = c"exec.fifo";
const TEMPORARY: &CStr = c".state.json.new";

/// An open state directory.
#[derive(Debug)]
pub struct StateDir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Holds the lock on a state directory until dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "the lock is released by dropping it")] Flock<OwnedFd>);

fn call(call: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> StateError {
    move |errno| StateError::Call { call, path: path.into(), source: errno }
}

impl StateDir {
    /// Makes the directory for a new container, and `root` where it is missing, both 0700.
    ///
    /// # Errors
    /// [`StateError::Exists`] for a taken id; [`StateError::Foreign`]; [`StateError::Call`].
    pub fn create(root: &Path, id: &ContainerId) -> Result<Self, StateError> {
        refuse_foreign_root(root)?;
        let path = root.join(id);
        let mode = Mode::from_bits_truncate(0o700);
        let made = match mkdirat(nix::fcntl::AT_FDCWD, &path, mode) {
            Err(Errno::ENOENT) => {
                make_root(root)?;
                mkdirat(nix::fcntl::AT_FDCWD, &path, mode)
            }
            other => other,
        };
        match made {
            Ok(()) => Self::open_at(path, id),
            Err(Errno::EEXIST) => Err(StateError::Exists { id: id.to_string() }),
            Err(errno) => Err(call("mkdir", path)(errno)),
        }
    }

    /// Opens the directory of an existing container.
    ///
    /// # Errors
    /// [`StateError::NotExist`]; [`StateError::Foreign`]; [`StateError::Call`].
    pub fn open(root: &Path, id: &ContainerId) -> Result<Self, StateError> {
        Self::open_at(root.join(id), id)
    }

    fn open_at(path: PathBuf, id: &ContainerId) -> Result<Self, StateError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = open(&path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => StateError::NotExist { id: id.to_string() },
            errno => call("open", &path)(errno),
        })?;
        let dir = Self { fd, path };
        dir.refuse_foreign()?;
        Ok(dir)
    }

    /// A state directory of another user could name any pid to kill and any hook to run.
    fn refuse_foreign(&self) -> Result<(), StateError> {
        let owner = fstat(&self.fd).map_err(call("fstat", &self.path))?.st_uid;
        let euid = geteuid().as_raw();
        if owner == euid {
            return Ok(());
        }
        Err(StateError::Foreign { path: self.path.clone(), owner, euid })
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the exclusive lock (flock(2) on the directory itself).
    ///
    /// # Errors
    /// [`StateError::NotExist`] when the container was deleted meanwhile; [`StateError::Call`].
    pub fn lock(&self) -> Result<Lock, StateError> {
        // A duplicate shares the lock, which is that of the open directory; dropping it unlocks.
        let fd = self.fd.try_clone().map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
            call("fcntl", &self.path)(errno)
        })?;
        let lock = Flock::lock(fd, FlockArg::LockExclusive)
            .map_err(|(_, errno)| call("flock", &self.path)(errno))?;
        if self.is_removed() {
            return Err(self.gone());
        }
        Ok(Lock(lock))
    }

    /// Whether the container was deleted since this was opened; another one may have its name.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        fstat(&self.fd).is_ok_and(|st| st.st_nlink == 0)
    }

    fn gone(&self) -> StateError {
        let id = self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        StateError::NotExist { id: id.unwrap_or_default() }
    }

    fn gone_or(&self, name: &'static str, errno: Errno) -> StateError {
        if errno == Errno::ENOENT { self.gone() } else { call(name, &self.path)(errno) }
    }

    /// Reads what `state`, `kill` and `list` need.
    ///
    /// # Errors
    /// [`StateError::NotExist`] when `create` never got as far as writing it; [`StateError::Syntax`]; [`StateError::Call`].
    pub fn head(&self) -> Result<Head, StateError> {
        self.parse(Head::from_json)
    }

    /// Reads the whole state.
    ///
    /// # Errors
    /// As [`StateDir::head`].
    pub fn load(&self) -> Result<State, StateError> {
        self.parse(State::from_json)
    }

    fn parse<T>(&self, parse: impl FnOnce(&[u8]) -> serde_json::Result<T>) -> Result<T, StateError> {
        let bytes = self.read(STATE).map_err(|errno| self.gone_or("open", errno))?;
        // `create` is about to write it.
        if bytes.is_empty() {
            return Err(self.gone());
        }
        parse(&bytes).map_err(|source| StateError::Syntax { path: self.path.join("state.json"), source })
    }

    /// Reads a file of the directory whole.
    ///
    /// # Errors
    /// The errno of openat(2) or read(2).
    pub fn read(&self, name: &CStr) -> Result<Vec<u8>, Errno> {
        let file =
            openat(&self.fd, name, OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut bytes = Vec::new();
        read_whole(&file, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes the state.
    ///
    /// # Errors
    /// [`StateError::Call`].
    pub fn write(&self, state: &State) -> Result<(), StateError> {
        self.write_bytes(&state.to_json()).map_err(call("write", self.path.join("state.json")))
    }

    /// Replaces `state.json` by `bytes`: a temporary file, then rename(2). Allocates nothing.
    ///
    /// # Errors
    /// The errno of openat(2), write(2) or renameat(2).
    pub fn write_bytes(&self, bytes: &[u8]) -> Result<(), Errno> {
        drop(self.write_file(TEMPORARY, bytes)?);
        renameat(&self.fd, TEMPORARY, &self.fd, STATE)
    }

    /// Writes a file of the directory, 0600, which comes back open. Allocates nothing. Not whole under a crash: only for
    /// files that are written before `state.json` names them.
    ///
    /// # Errors
    /// The errno of openat(2) or write(2).
    pub fn write_file(&self, name: &CStr, bytes: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.fd, name, flags, Mode::from_bits_truncate(0o600))?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match nix::unistd::write(&file, rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(file)
    }

    /// Whether a file is there.
    #[must_use]
    pub fn has(&self, name: &CStr) -> bool {
        // Not faccessat(2), which makes credentials of its own for the question.
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes a file; a missing one is fine.
    ///
    /// # Errors
    /// The errno of unlinkat(2).
    pub fn unlink(&self, name: &CStr) -> Result<(), Errno> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            other => other,
        }
    }

    /// Removes the directory and everything in it.
    ///
    /// # Errors
    /// [`StateError::Call`].
    pub fn remove(self) -> Result<(), StateError> {
        self.unlink(STATE).map_err(call("unlink", &self.path))?;
        match unlinkat(nix::fcntl::AT_FDCWD, &self.path, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => std::fs::remove_dir_all(&self.path).or_else(|error| {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                if errno == Errno::ENOENT { Ok(()) } else { Err(call("unlink", &self.path)(errno)) }
            }),
            Err(errno) => Err(call("rmdir", &self.path)(errno)),
        }
    }
}

impl AsFd for StateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Reads a file into a buffer that may have been used before.
pub(super) fn read_whole(file: &OwnedFd, bytes: &mut Vec<u8>) -> Result<(), Errno> {
    // One read(2) is enough for nearly every state: a short read of a regular file is its end.
    bytes.resize(bytes.len().max(4096), 0);
    let mut filled = 0;
    while filled < bytes.len() {
        let room = bytes.get_mut(filled..).unwrap_or_default();
        let wanted = room.len();
        match nix::unistd::read(file, room) {
            Ok(count) => {
                filled += count;
                if count < wanted {
                    break;
                }
                bytes.resize(filled * 2, 0);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    bytes.truncate(filled);
    Ok(())
}

/// Its owner could put a directory of his in the place of one of ours.
fn refuse_foreign_root(root: &Path) -> Result<(), StateError> {
    let euid = geteuid().as_raw();
    match nix::sys::stat::stat(root) {
        Ok(st) if st.st_uid != euid => {
            Err(StateError::Foreign { path: root.to_owned(), owner: st.st_uid, euid })
        }
        // A missing one is made; what else is wrong shows with the first use.
        _ => Ok(()),
    }
}

/// mkdir -p of the state root, 0700; the first use of krun after boot, or of another `--root`.
fn make_root(root: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(root).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
        call("mkdir", root)(errno)
    })
}
