//! The seccomp agent: gets the listener and a description of the process
//! (runtime-spec, "The Container Process State").

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::{Deserialize, Serialize};

use super::LaunchError;
use crate::state::State;

/// Where the agent listens; kept in state.json for exec.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Agent {
    /// `linux.seccomp.listenerPath`.
    pub path: PathBuf,
    /// `linux.seccomp.listenerMetadata`.
    pub metadata: String,
}

impl Agent {
    /// Sends the listener with the container process state.
    ///
    /// # Errors
    /// [`LaunchError::Agent`].
    pub fn send(&self, listener: &OwnedFd, pid: i32, state: &State, status: &str) -> Result<(), LaunchError> {
        let state: serde_json::Value =
            serde_json::from_slice(&super::hooks::state_json(state, status)).unwrap_or_default();
        let json = serde_json::json!({
            "ociVersion": state["ociVersion"],
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": self.metadata,
            "state": state,
        })
        .to_string();
        let failed = |source| LaunchError::Agent { path: self.path.clone(), source };
        let socket = UnixStream::connect(&self.path).map_err(failed)?;
        send_fd(&socket, json.as_bytes(), listener.as_raw_fd())
            .map_err(|errno| failed(std::io::Error::from_raw_os_error(errno as i32)))
    }
}

/// One message with one descriptor (SCM_RIGHTS, unix(7)).
///
/// # Errors
/// sendmsg(2).
pub fn send_fd(socket: &UnixStream, bytes: &[u8], fd: RawFd) -> nix::Result<()> {
    let fds = [fd];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], &rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}
