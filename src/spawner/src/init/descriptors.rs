//! The descriptors that a process takes along to its program.

use krun_sys::fs::close_range;

use super::channel::{At, Birth, Fail};
use crate::step::Step;

/// Closes everything but the standard streams, the preserved descriptors, the socket to the parent and the gate.
///
/// This comes before anything is looked up by a path that the container has a say in (working directory, program):
/// a descriptor of the host would be a way to the host's files (`/proc/self/fd/N/…`), as in CVE-2024-21626. To mark
/// them close-on-exec is not enough, since the kernel looks the program up before it closes them.
pub fn close_all(birth: &Birth<'_>) -> Result<(), Fail> {
    let fds = birth.view.plan.fds;
    let mut from = fds.preserve.saturating_add(3);
    let mut kept = [fds.socket, fds.gate];
    kept.sort_unstable();
    for fd in kept.into_iter().filter_map(|fd| u32::try_from(fd).ok()) {
        if fd > from {
            close_range(from, fd.saturating_sub(1), 0).at(Step::CloseAll)?;
        }
        from = from.max(fd.saturating_add(1));
    }
    close_range(from, u32::MAX, 0).at(Step::CloseAll)
}
