//! The window between clone3 and the container's program, in which the thread
//! that spawns allocates nothing.
//!
//! [`enter`] and [`leave`] cost nothing unless the feature `window` is on; then
//! an allocation inside the window aborts, which is what the tests run with.

#[cfg(feature = "window")]
mod guard {
    extern crate std;

    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::Cell;
    use std::alloc::System;

    std::thread_local! {
        static CLOSED: Cell<bool> = const { Cell::new(false) };
    }

    /// An allocator that aborts when the calling thread is in the window.
    #[derive(Debug)]
    pub struct Guard;

    fn check() {
        if CLOSED.try_with(Cell::get).unwrap_or(false) {
            let text = b"krun: allocation between clone3 and exec\n";
            let _ = crate::fs::write(crate::Fd::STDERR, text);
            std::process::abort();
        }
    }

    // SAFETY: all calls go to the system allocator unchanged.
    unsafe impl GlobalAlloc for Guard {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            check();
            // SAFETY: the caller's promise is passed on.
            unsafe { System.alloc(layout) }
        }
        unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
            check();
            // SAFETY: the caller's promise is passed on.
            unsafe { System.dealloc(ptr, layout) }
        }
        unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            check();
            // SAFETY: the caller's promise is passed on.
            unsafe { System.realloc(ptr, layout, size) }
        }
    }

    #[global_allocator]
    static GUARD: Guard = Guard;

    pub(super) fn set(closed: bool) {
        let _ = CLOSED.try_with(|flag| flag.set(closed));
    }
}

/// The calling thread allocates nothing from here on.
#[inline]
pub fn enter() {
    #[cfg(feature = "window")]
    guard::set(true);
}

/// The calling thread may allocate again.
#[inline]
pub fn leave() {
    #[cfg(feature = "window")]
    guard::set(false);
}
