//! What a program without a C library needs: an entry point and the memory
//! functions that the compiler calls. Only krun-init turns this on.

use core::ffi::{CStr, c_char};

/// Defines `_start`, which calls a `fn(Option<&'static CStr>, Start) -> !` with the
/// program's first argument, and what it was started with ([`Start`](crate::handed::Start)).
#[macro_export]
macro_rules! program {
    ($main:path) => {
        extern "C" fn _krun_main(stack: *const usize) -> ! {
            // SAFETY: `_start` passes the stack pointer that the kernel started the program with.
            let argument = unsafe { $crate::program::first_argument(stack) };
            // SAFETY: this is the first code of the program, which nothing else calls.
            $main(argument, unsafe { $crate::handed::Start::new() })
        }
        #[cfg(target_arch = "x86_64")]
        ::core::arch::global_asm!(
            ".globl _start", "_start:", "xor %ebp, %ebp", "mov %rsp, %rdi", "and $-16, %rsp", "call {main}", "ud2",
            main = sym _krun_main, options(att_syntax)
        );
        #[cfg(target_arch = "aarch64")]
        ::core::arch::global_asm!(
            ".globl _start", "_start:", "mov x29, #0", "mov x30, #0", "mov x0, sp", "bl {main}", "brk #1",
            main = sym _krun_main
        );
    };
}

/// The first argument of a program.
///
/// # Safety
/// `stack` is the stack pointer that the kernel started the program with.
#[doc(hidden)]
#[must_use]
pub unsafe fn first_argument(stack: *const usize) -> Option<&'static CStr> {
    // SAFETY: the caller's promise; the kernel puts argc at the stack pointer and argv after it, for
    // the life of the program (execve(2), System V ABI).
    unsafe {
        if *stack < 2 {
            return None;
        }
        Some(CStr::from_ptr((*stack.add(2)) as *const c_char))
    }
}

macro_rules! memory_functions {
    ($copy:expr, $copy_back:expr, $fill:expr) => {
        /// memcpy(3)
        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn memcpy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
            // SAFETY: the caller's promise.
            unsafe { $copy(dst, src, n) };
            dst
        }
        /// memmove(3)
        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn memmove(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
            if (dst as usize).wrapping_sub(src as usize) >= n {
                // SAFETY: the caller's promise; copying forwards is right here.
                unsafe { $copy(dst, src, n) };
            } else {
                // SAFETY: the caller's promise; dst lies behind src.
                unsafe { $copy_back(dst, src, n) };
            }
            dst
        }
        /// memset(3)
        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn memset(dst: *mut u8, byte: i32, n: usize) -> *mut u8 {
            // SAFETY: the caller's promise.
            unsafe { $fill(dst, byte as u8, n) };
            dst
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod bytes {
    use core::arch::asm;

    pub unsafe fn copy(dst: *mut u8, src: *const u8, n: usize) {
        // SAFETY: the caller vouches for both ranges.
        unsafe {
            asm!("rep movsb", inout("rcx") n => _, inout("rdi") dst => _, inout("rsi") src => _, options(nostack, preserves_flags));
        }
    }
    pub unsafe fn copy_back(dst: *mut u8, src: *const u8, n: usize) {
        // SAFETY: the caller vouches for both ranges; the direction flag is restored.
        unsafe {
            asm!("std", "rep movsb", "cld", inout("rcx") n => _, inout("rdi") dst.wrapping_add(n).wrapping_sub(1) => _,
                inout("rsi") src.wrapping_add(n).wrapping_sub(1) => _, options(nostack));
        }
    }
    pub unsafe fn fill(dst: *mut u8, byte: u8, n: usize) {
        // SAFETY: the caller vouches for the range.
        unsafe {
            asm!("rep stosb", inout("rcx") n => _, inout("rdi") dst => _, in("al") byte, options(nostack, preserves_flags));
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod bytes {
    use core::arch::asm;

    pub unsafe fn copy(dst: *mut u8, src: *const u8, n: usize) {
        // SAFETY: the caller vouches for both ranges.
        unsafe {
            asm!("2:", "cbz {n}, 3f", "ldrb {b:w}, [{s}], #1", "strb {b:w}, [{d}], #1", "sub {n}, {n}, #1", "b 2b", "3:",
                n = inout(reg) n => _, s = inout(reg) src => _, d = inout(reg) dst => _, b = out(reg) _, options(nostack));
        }
    }
    pub unsafe fn copy_back(dst: *mut u8, src: *const u8, n: usize) {
        // SAFETY: the caller vouches for both ranges.
        unsafe {
            asm!("2:", "cbz {n}, 3f", "sub {n}, {n}, #1", "ldrb {b:w}, [{s}, {n}]", "strb {b:w}, [{d}, {n}]", "b 2b", "3:",
                n = inout(reg) n => _, s = in(reg) src, d = in(reg) dst, b = out(reg) _, options(nostack));
        }
    }
    pub unsafe fn fill(dst: *mut u8, byte: u8, n: usize) {
        // SAFETY: the caller vouches for the range.
        unsafe {
            asm!("2:", "cbz {n}, 3f", "strb {b:w}, [{d}], #1", "sub {n}, {n}, #1", "b 2b", "3:",
                n = inout(reg) n => _, d = inout(reg) dst => _, b = in(reg) u32::from(byte), options(nostack));
        }
    }
}

memory_functions!(bytes::copy, bytes::copy_back, bytes::fill);

/// memcmp(3)
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: the caller's promise; volatile keeps the compiler from making
        // this loop a call of memcmp.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// bcmp(3)
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(a, b, n) }
}

/// strlen(3)
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strlen(s: *const c_char) -> usize {
    let mut n = 0;
    // SAFETY: the caller's promise; volatile keeps this from becoming strlen.
    while unsafe { s.add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}
