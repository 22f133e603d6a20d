//! `state.json` rendered before the container's process exists. Between clone3 and the release of the child nothing
//! may be allocated, so the two numbers that are only known then have fields of fixed width, filled with spaces.
use std::io::Write as _;
use std::ops::Range;

use super::State;

/// Width of the pid: at most 2^22 on Linux, but the type is an i32.
const PID_WIDTH: usize = 10;
/// Width of a start time in clock ticks (u64).
const TIME_WIDTH: usize = 20;
/// How serde_json begins a state whose two numbers are 0.
const HEAD: &[u8] = br#"{"pid":0,"startTime":0,"#;

/// The bytes of a `state.json`, and where its pid and start time go.
#[derive(Clone, Debug)]
pub struct Template {
    /// The file's content: valid JSON, before and after patching.
    pub bytes: Vec<u8>,
    /// The pid's field.
    pub pid_at: Range<usize>,
    /// The start time's field.
    pub start_time_at: Range<usize>,
}

impl Template {
    pub(super) fn render(state: &State) -> Self {
        let mut state = state.clone();
        (state.pid, state.start_time) = (0, 0);
        // A State holds only strings, numbers and maps with string keys, which always serialize.
        let json = serde_json::to_vec(&state).unwrap_or_default();
        let rest = json.strip_prefix(HEAD).unwrap_or_default();
        let mut bytes = Vec::with_capacity(json.len() + PID_WIDTH + TIME_WIDTH);
        bytes.extend_from_slice(b"{\"pid\":");
        let pid_at = bytes.len()..bytes.len() + PID_WIDTH;
        bytes.extend_from_slice(&[b' '; PID_WIDTH - 1]);
        bytes.extend_from_slice(b"0,\"startTime\":");
        let start_time_at = bytes.len()..bytes.len() + TIME_WIDTH;
        bytes.extend_from_slice(&[b' '; TIME_WIDTH - 1]);
        bytes.extend_from_slice(b"0,");
        bytes.extend_from_slice(rest);
        Self { bytes, pid_at, start_time_at }
    }

    /// Fills in the two numbers. Allocates nothing.
    pub fn patch(&mut self, pid: i32, start_time: u64) {
        // The widths hold every value of the types, so that the writes can't fail.
        if let Some(mut field) = self.bytes.get_mut(self.pid_at.clone()) {
            let _ = write!(field, "{pid:>PID_WIDTH$}");
        }
        if let Some(mut field) = self.bytes.get_mut(self.start_time_at.clone()) {
            let _ = write!(field, "{start_time:>TIME_WIDTH$}");
        }
    }
}
