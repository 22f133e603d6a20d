//! How much an input makes krun allocate: libFuzzer's own limit needs a sanitizer, which only nightly compilers have.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What any input may cost, in bytes.
const BASE: usize = 1 << 20;
/// What each of its bytes may cost besides: a JSON value of two bytes is one of 32, held three times while it grows.
const PER_BYTE: usize = 1024;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The system's allocator, which aborts above the limit. libFuzzer's own memory is C++'s and not counted.
pub struct Counting;

/// Runs `work` with a limit on what it holds at a time.
pub fn within(input: usize, work: impl FnOnce()) {
    LIMIT.store(LIVE.load(Relaxed) + BASE + PER_BYTE * input, Relaxed);
    work();
    LIMIT.store(usize::MAX, Relaxed);
}

fn count(more: usize) {
    let live = LIVE.fetch_add(more, Relaxed).wrapping_add(more);
    if live > LIMIT.load(Relaxed) {
        LIMIT.store(usize::MAX, Relaxed); // the message may allocate
        eprintln!("{live} bytes allocated: more than the input's length explains");
        std::process::abort();
    }
}

// SAFETY: all calls are passed on as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}
