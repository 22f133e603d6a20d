//! The flat memory of a plan, as it grows.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use krun_spawner::plan::{ADDRESS, HEADER, HOME_LEN, MAGIC, Plan, View};
use krun_sys::plain::{Plain, Slice, Str, bytes_of, bytes_of_slice};

use super::seccomp::Program;

/// A plan that is being built: strings and slices are appended, the header is
/// written last.
#[derive(Debug)]
pub struct PlanBuf {
    bytes: Vec<u8>,
    home_slot: Option<usize>,
    /// Whether a mount is made by mount(2), which needs the host's procfs.
    pub has_classic_mount: bool,
    /// The header.
    pub plan: Plan,
}

impl Default for PlanBuf {
    fn default() -> Self {
        Self::new()
    }
}

/// A finished plan.
#[derive(Debug)]
pub struct Frozen {
    words: Vec<u64>,
}

impl PlanBuf {
    /// An empty plan.
    #[must_use]
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(16 * 1024);
        bytes.resize(HEADER as usize + size_of::<Plan>(), 0);
        let mut plan = Plan { magic: MAGIC, ..Plan::default() };
        plan.fds = no_fds();
        plan.root.namespace = -1;
        plan.root.directory = -1;
        PlanBuf { bytes, home_slot: None, has_classic_mount: false, plan }
    }

    fn offset(&self) -> u32 {
        // A plan stems from a bounded config.json: far below 4 GiB.
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Appends a string; what follows a NUL would never reach the kernel, and
    /// validation has refused it.
    pub fn str(&mut self, text: impl AsRef<[u8]>) -> Str {
        let text = text.as_ref();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let at = Str { off: self.offset(), len: u32::try_from(text.len()).unwrap_or(u32::MAX) };
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        at
    }

    /// Appends a path.
    pub fn path(&mut self, path: &Path) -> Str {
        self.str(path.as_os_str().as_bytes())
    }

    /// Appends a slice.
    pub fn slice<T: Plain>(&mut self, values: &[T]) -> Slice<T> {
        self.align();
        let at = Slice::new(self.offset(), u32::try_from(values.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(bytes_of_slice(values));
        at
    }

    /// Appends strings and an array of their addresses in the child, ending in
    /// 0. With `home`, one more entry points to where the child writes HOME.
    pub fn pointers(
        &mut self,
        strings: impl IntoIterator<Item = impl AsRef<[u8]>>,
        home: bool,
    ) -> Slice<u64> {
        let address = |at: Str| ADDRESS as u64 + u64::from(at.off);
        let mut words: Vec<u64> = strings.into_iter().map(|s| address(self.str(s))).collect();
        if home {
            words.push(0);
        }
        words.push(0);
        let slice = self.slice(&words);
        if home {
            self.home_slot = Some(slice.off as usize + (words.len() - 2) * size_of::<u64>());
        }
        slice
    }

    /// Adds a filter.
    pub fn seccomp(&mut self, program: &Program) {
        let words: Vec<u64> = program
            .instructions
            .iter()
            .map(|i| {
                let [c0, c1] = i.code.to_ne_bytes();
                let [k0, k1, k2, k3] = i.k.to_ne_bytes();
                u64::from_ne_bytes([c0, c1, i.jt, i.jf, k0, k1, k2, k3])
            })
            .collect();
        self.plan.seccomp.filter = self.slice(&words);
        self.plan.seccomp.flags = program.flags;
        self.plan.seccomp.listener = u32::from(program.notify);
    }

    fn align(&mut self) {
        let aligned = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(aligned, 0);
    }

    /// Writes the header and adds the room for HOME.
    #[must_use]
    pub fn freeze(mut self) -> Frozen {
        self.align();
        let end = self.bytes.len();
        if let Some(slot) = self.home_slot.and_then(|at| self.bytes.get_mut(at..at + size_of::<u64>())) {
            slot.copy_from_slice(&(ADDRESS as u64 + end as u64).to_ne_bytes());
        }
        self.bytes.resize(end + HOME_LEN, 0);
        let header = HEADER as usize;
        if let Some(room) = self.bytes.get_mut(header..header + size_of::<Plan>()) {
            room.copy_from_slice(bytes_of(&self.plan));
        }
        let words = self
            .bytes
            .chunks_exact(8)
            .map(|c| u64::from_ne_bytes(c.try_into().unwrap_or_default()))
            .collect();
        Frozen { words }
    }
}

/// No descriptor in any role.
#[must_use]
pub fn no_fds() -> krun_spawner::plan::Fds {
    krun_spawner::plan::Fds {
        socket: -1,
        gate: -1,
        hook_output: -1,
        stdio: [-1; 3],
        preserve: 0,
        reserved: 0,
    }
}

impl Frozen {
    /// Its bytes, aligned to 8, as they go into the memfd.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        bytes_of_slice(&self.words)
    }

    /// The plan in it.
    ///
    /// # Panics
    /// Never: a frozen plan has its magic number.
    #[must_use]
    #[allow(clippy::expect_used)] // the header was written by `freeze`
    pub fn view(&self) -> View<'_> {
        View::new(self.bytes()).expect("a frozen plan has its magic number")
    }
}

#[cfg(test)]
#[path = "buf_tests.rs"]
mod tests;
