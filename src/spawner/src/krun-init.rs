//! krun-init: the first thing that runs in a container's process.
//!
//! Its only argument is the number of the descriptor that holds the plan.
#![no_std]
#![no_main]

krun_sys::program!(krun_spawner::init::main);

/// A bug in krun: nothing can be said from here, so the parent sees the socket
/// close and the exit code 70 (EX_SOFTWARE).
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    krun_sys::process::exit(70)
}
