//! An input that overflows the stack is to be reported as any other: libFuzzer's handler needs a stack of its own.

use krun_sys::libc;

const LEN: usize = 256 << 10;

/// Has SIGSEGV handled on a stack of its own; libFuzzer keeps that flag of what it replaces.
pub fn handle_overflow() {
    let memory: &'static mut [u8] = vec![0; LEN].leak();
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: LEN };
    // SAFETY: all bits zero are a valid action: the default one, no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: both structures live for the calls, the memory for ever, and nothing else uses it.
    let done = unsafe {
        libc::sigaltstack(&raw const stack, std::ptr::null_mut()) == 0
            && libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) == 0
    };
    assert!(done, "no stack for signals");
}
