//! The heap of a program that is linked with musl, whose own allocator maps and
//! unmaps single pages: 5 % of what a `krun run` costs.

extern crate std;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;

/// Small blocks come in steps of this many bytes, which is also how dlmalloc aligns.
const STEP: usize = 16;
/// How many sizes of small blocks there are: up to 256 bytes.
const SIZES: usize = 16;
/// How many free blocks of a size a thread keeps: 16 KiB of the largest, 136 KiB of all.
const KEPT: usize = 64;

/// Free blocks of one size, each with the address of the next one in it.
struct Kept {
    first: Cell<*mut u8>,
    count: Cell<usize>,
}

std::thread_local! {
    /// What this thread has freed. A thread that ends leaves it behind: krun's few end with the process.
    static FREE: [Kept; SIZES] =
        const { [const { Kept { first: Cell::new(null_mut()), count: Cell::new(0) } }; SIZES] };
}

/// dlmalloc for all threads, behind Rust's own lock (the C library's takes three times the instructions). Small blocks
/// that a thread has freed it takes again without it: two threads of `list` would spend a tenth of their time waiting.
pub struct Heap(Mutex<Dlmalloc>);

impl Heap {
    /// Empty; the first allocation maps memory.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "for statics")]
    pub const fn new() -> Heap {
        Heap(Mutex::new(Dlmalloc::new()))
    }

    fn lock(&self) -> MutexGuard<'_, Dlmalloc> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl core::fmt::Debug for Heap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Heap")
    }
}

/// Which of the small sizes a block has, if it is small. A layout gives the same answer when it is freed.
fn small(size: usize, align: usize) -> Option<usize> {
    (align <= STEP && size <= STEP * SIZES).then(|| size.saturating_sub(1) / STEP)
}

/// The bytes of a block of that size.
fn bytes(index: usize) -> usize {
    (index + 1) * STEP
}

fn take(index: usize) -> Option<*mut u8> {
    FREE.with(|free| {
        let kept = free.get(index)?;
        let block = kept.first.get();
        if block.is_null() {
            return None;
        }
        // SAFETY: keep() wrote the next one's address at the start of this free block.
        kept.first.set(unsafe { block.cast::<*mut u8>().read() });
        kept.count.set(kept.count.get() - 1);
        Some(block)
    })
}

/// Keeps a free block; `false` if there are enough.
///
/// # Safety
/// The block is of that size, and nobody's any more.
unsafe fn keep(index: usize, block: *mut u8) -> bool {
    FREE.with(|free| {
        let Some(kept) = free.get(index).filter(|kept| kept.count.get() < KEPT) else { return false };
        // SAFETY: a block has room for an address and is aligned for it.
        unsafe { block.cast::<*mut u8>().write(kept.first.get()) };
        kept.first.set(block);
        kept.count.set(kept.count.get() + 1);
        true
    })
}

// SAFETY: dlmalloc keeps the promises of an allocator to whoever holds the lock, and a kept block is handed out once
// before it is kept again. Neither the lock nor the list allocates.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (mut size, mut align) = (layout.size(), layout.align());
        if let Some(index) = small(size, align) {
            if let Some(block) = take(index) {
                return block;
            }
            (size, align) = (bytes(index), STEP);
        }
        // SAFETY: the caller's promise is passed on; a small block's size is rounded up.
        unsafe { self.lock().malloc(size, align) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if small(layout.size(), layout.align()).is_none() {
            // SAFETY: the caller's promise is passed on.
            return unsafe { self.lock().calloc(layout.size(), layout.align()) };
        }
        // SAFETY: the caller's promise is passed on.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block has that size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (mut size, mut align) = (layout.size(), layout.align());
        if let Some(index) = small(size, align) {
            // SAFETY: the caller gives the block up, which alloc() made of this size.
            if unsafe { keep(index, block) } {
                return;
            }
            (size, align) = (bytes(index), STEP);
        }
        // SAFETY: the block was allocated with this size and alignment.
        unsafe { self.lock().free(block, size, align) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (old, new) = (small(layout.size(), layout.align()), small(size, layout.align()));
        match (old, new) {
            // SAFETY: neither is a small block; the caller's promise is passed on.
            (None, None) => unsafe { self.lock().realloc(block, layout.size(), layout.align(), size) },
            (Some(old), Some(new)) if old == new => block,
            _ => {
                // SAFETY: the caller's promise: with this alignment the size is no overflow.
                let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
                if !moved.is_null() {
                    // SAFETY: both blocks have so many bytes, and the old one is given up.
                    unsafe {
                        core::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Blocks of many sizes, written whole, live at the same time and keep what was written.
    #[test]
    fn blocks_do_not_overlap() {
        static HEAP: Heap = Heap::new();
        let work = |seed: usize| {
            let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
            for n in 0..if cfg!(miri) { 150 } else { 20_000_usize } {
                let mix = (n * 7919 + seed * 104_729) % 1009;
                let layout = Layout::from_size_align(1 + mix % 600, 1 << (mix % 6)).unwrap();
                let tag = (n % 251) as u8;
                // SAFETY: sizes are not zero; each block is written within its size and freed once, with its layout.
                unsafe {
                    let block =
                        if mix.is_multiple_of(3) { HEAP.alloc_zeroed(layout) } else { HEAP.alloc(layout) };
                    assert!(!block.is_null() && block.addr() % layout.align() == 0);
                    assert!(!mix.is_multiple_of(3) || (0..layout.size()).all(|i| *block.add(i) == 0));
                    block.write_bytes(tag, layout.size());
                    live.push((block, layout, tag));
                    if live.len() > 100 {
                        let (block, layout, tag) = live.swap_remove(mix % live.len());
                        assert!((0..layout.size()).all(|i| *block.add(i) == tag));
                        let size = 1 + (mix * 3) % 700;
                        let block = HEAP.realloc(block, layout, size);
                        assert!((0..layout.size().min(size)).all(|i| *block.add(i) == tag));
                        HEAP.dealloc(block, Layout::from_size_align(size, layout.align()).unwrap());
                    }
                }
            }
            for (block, layout, tag) in live {
                // SAFETY: as above.
                unsafe {
                    assert!((0..layout.size()).all(|i| *block.add(i) == tag));
                    HEAP.dealloc(block, layout);
                }
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|seed| drop(scope.spawn(move || work(seed)))));
    }
}
