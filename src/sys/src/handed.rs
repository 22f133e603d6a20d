//! The descriptors that a program is started with: the one place where numbers become descriptors.
//!
//! Only the program's entry makes a [`Start`], before the program opens anything. Its instructions, a file that it
//! was handed, say which other numbers were handed down, so that a number of the program's own making is no way to
//! anything.

use crate::{Errno, Fd, OwnedFd, Result, fs};

/// A program that has just been started.
#[derive(Debug)]
pub struct Start(());

impl Start {
    /// # Safety
    /// The process has just begun to run this program, and no descriptor has an owner in it. It is made once.
    #[doc(hidden)]
    #[cfg(feature = "program")]
    #[must_use]
    pub unsafe fn new() -> Start {
        Start(())
    }

    /// Takes the descriptor of the instructions over. None for a number that no descriptor has.
    pub fn instructions(self, number: i32) -> Option<(OwnedFd, Unlisted)> {
        let fd = usize::try_from(number).ok().map(OwnedFd::new)?;
        Some((fd, Unlisted(number)))
    }
}

/// A program that has its instructions but does not know yet what they name.
#[derive(Debug)]
pub struct Unlisted(i32);

impl Unlisted {
    /// `numbers`, in ascending order, were handed down open: whoever started the program says so.
    pub fn list(self, numbers: &'static [i32]) -> Handed {
        let numbers = if numbers.binary_search(&self.0).is_ok() { &[] } else { numbers };
        Handed { numbers, taken: [0; WORDS] }
    }
}

const WORDS: usize = 16;

/// Descriptors that were handed down and that nothing in the program owns yet.
#[derive(Debug)]
pub struct Handed {
    numbers: &'static [i32],
    /// A bit for each of `numbers`, as far as they go.
    taken: [u64; WORDS],
}

impl Handed {
    /// Where a number's bit is.
    fn place(&self, number: i32) -> Option<(usize, u64)> {
        let at = self.numbers.binary_search(&number).ok()?;
        Some((at / 64, 1 << (at % 64)))
    }

    /// One that was handed down and has not been taken.
    pub fn fd(&self, number: i32) -> Option<Fd<'_>> {
        let (word, bit) = self.place(number)?;
        let taken = self.taken.get(word).is_some_and(|bits| bits & bit != 0);
        (!taken).then_some(Fd::new(number))
    }

    /// As [`fd`](Self::fd).
    ///
    /// # Errors
    /// EBADF for any other number.
    pub fn get(&self, number: i32) -> Result<Fd<'_>> {
        self.fd(number).ok_or(Errno::EBADF)
    }

    /// Takes one over, each at most once. Only the first 1024 can be taken: the others stay as they are.
    pub fn take(&mut self, number: i32) -> Option<OwnedFd> {
        let (word, bit) = self.place(number)?;
        let bits = self.taken.get_mut(word).filter(|bits| **bits & bit == 0)?;
        *bits |= bit;
        usize::try_from(number).ok().map(OwnedFd::new)
    }

    /// close_range(2): closes all from number `first` on but `kept`, whatever was handed down or has been left open.
    /// Nobody borrows what was handed down any more. What the program itself has opened since and still owns has
    /// to be among `kept`, or `spent`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn close_all(
        &mut self,
        first: u32,
        mut kept: [Option<Fd<'_>>; 2],
        spent: Option<OwnedFd>,
    ) -> Result<()> {
        self.numbers = &[];
        // It goes with the others.
        let _ = spent.map(OwnedFd::leak);
        kept.sort_unstable_by_key(|fd| fd.map(Fd::number));
        let mut from = first;
        for fd in kept.into_iter().flatten().filter_map(|fd| u32::try_from(fd.number()).ok()) {
            if fd > from {
                fs::close_range(from, fd.saturating_sub(1))?;
            }
            from = from.max(fd.saturating_add(1));
        }
        fs::close_range(from, u32::MAX)
    }
}
