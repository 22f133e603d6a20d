//! `state.json` rendered before the container's process exists. Between clone3 and the release of the child nothing
//! may be allocated, so the numbers that are only known then have fields of fixed width, filled with spaces.
use std::io::Write as _;
use std::ops::Range;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::uio::pwrite;

use super::State;
use super::process::Identity;

/// The numbers, each with the text before it: how serde_json begins a state.
const FIELDS: [&str; 3] = ["{\"pid\":", ",\"startTime\":", ",\"pidfdInode\":"];
/// Width of a number: a u64.
const WIDTH: usize = 20;

/// The bytes of a `state.json`, and where its numbers go.
#[derive(Clone, Debug)]
pub struct Template {
    /// The file's content: valid JSON, before and after patching.
    pub bytes: Vec<u8>,
    fields: [Range<usize>; 3],
}

impl Template {
    pub(super) fn render(state: &State) -> Self {
        let json = state.to_json();
        let mut bytes = Vec::with_capacity(json.len() + FIELDS.len() * WIDTH);
        let mut rest = json.as_slice();
        let fields = FIELDS.map(|text| {
            bytes.extend_from_slice(text.as_bytes());
            let at = bytes.len()..bytes.len() + WIDTH;
            bytes.extend_from_slice(&[b' '; WIDTH - 1]);
            bytes.push(b'0');
            let number = rest.get(text.len()..).unwrap_or_default();
            let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = number.get(digits..).unwrap_or_default();
            at
        });
        bytes.extend_from_slice(rest);
        Self { bytes, fields }
    }

    /// Writes the numbers over those of a file with this content; the rest is the same. The pid comes last: with a torn
    /// one, or one without what names the process for good, somebody else's process could be taken for the container's.
    /// Allocates nothing.
    ///
    /// # Errors
    /// The kernel's, of pwrite(2).
    pub fn write_numbers(&self, file: &OwnedFd) -> Result<(), Errno> {
        let [pid, start_time, inode] = &self.fields;
        for range in [start_time.start..inode.end, pid.clone()] {
            let (at, numbers) = (range.start as i64, self.bytes.get(range).unwrap_or_default());
            // So little is written whole, and without waiting.
            if pwrite(file, numbers, at)? != numbers.len() {
                return Err(Errno::EIO);
            }
        }
        Ok(())
    }

    /// Fills in the numbers. Allocates nothing.
    pub fn patch(&mut self, process: Identity) {
        let numbers = [u64::from(process.pid.unsigned_abs()), process.start_time, process.inode];
        for (at, number) in self.fields.iter().zip(numbers) {
            // The width holds every value of the type, so that the write can't fail.
            if let Some(mut field) = self.bytes.get_mut(at.clone()) {
                let _ = write!(field, "{number:>WIDTH$}");
            }
        }
    }
}
