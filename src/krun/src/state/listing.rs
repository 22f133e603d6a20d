//! All containers below a state root, each read by one open file; nothing stays open, since a node has a thousand.
use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use krun_sys::spent::Spent;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fstat, fstatat};

use super::dir::read_whole;
use super::{ContainerId, GATE, Head, STATE, StateError};

/// An open state root.
#[derive(Debug)]
pub struct Listing {
    fd: OwnedFd,
    path: PathBuf,
    euid: u32,
    /// Nobody else can make anything in it: what is there is ours.
    private: bool,
}

impl Listing {
    /// Opens a state root.
    ///
    /// # Errors
    /// The kernel's, of open(2).
    pub fn open(root: &Path) -> std::io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = open(root, flags, Mode::empty())?;
        let euid = nix::unistd::geteuid().as_raw();
        let st = fstat(&fd)?;
        let private = st.st_uid == euid && st.st_mode & 0o022 == 0;
        Ok(Self { fd, path: root.to_owned(), euid, private })
    }

    /// The ids of its directories, sorted.
    ///
    /// # Errors
    /// The kernel's, of getdents64(2).
    pub fn ids(&self) -> std::io::Result<Vec<ContainerId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().and_then(|name| ContainerId::new(name).ok());
            if let Some(id) = name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// The state of one container, as [`super::StateDir::head`] reads it, by way of a buffer that may be used again.
    /// The file joins those that are `spent`.
    ///
    /// # Errors
    /// [`StateError::NotExist`], [`StateError::Foreign`], [`StateError::Call`], [`StateError::Syntax`].
    pub fn head(&self, id: &ContainerId, bytes: &mut Vec<u8>, spent: &mut Spent) -> Result<Head, StateError> {
        // Not openat2(2) with RESOLVE_BENEATH, which takes a lock of the whole machine for each path.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let path = || self.path.join(id).join("state.json");
        let wrong = |call| move |source| StateError::Call { call, path: path(), source };
        let file = match openat(&self.fd, &*below(id, STATE), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(StateError::NotExist { id: id.to_string() }),
            Err(errno) => return Err(wrong("openat")(errno)),
        };
        // Whoever could write it could name any process.
        if !self.private {
            let owner = fstat(&file).map_err(wrong("fstat"))?.st_uid;
            if owner != self.euid {
                return Err(StateError::Foreign { path: self.path.join(id), owner, euid: self.euid });
            }
        }
        read_whole(&file, bytes).map_err(wrong("read"))?;
        spent.add(file);
        if bytes.is_empty() {
            return Err(StateError::NotExist { id: id.to_string() });
        }
        Head::from_json(bytes).map_err(|source| StateError::Syntax { path: path(), source })
    }

    /// Whether a container still has its start gate.
    #[must_use]
    pub fn has_gate(&self, id: &ContainerId) -> bool {
        fstatat(&self.fd, &*below(id, GATE), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }
}

/// `ID/NAME`
fn below(id: &ContainerId, name: &std::ffi::CStr) -> CString {
    let path = [id.as_str().as_bytes(), b"/", name.to_bytes()].concat();
    // An id has no NUL.
    CString::new(path).unwrap_or_default()
}
