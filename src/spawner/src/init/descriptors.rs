//! The descriptors that a process takes along to its program.

use super::channel::{At, Birth, Fail};
use crate::step::Step;

/// Closes everything but the standard streams, the preserved descriptors, the socket to the parent and the gate.
///
/// This comes before anything is looked up by a path that the container has a say in (working directory, program):
/// a descriptor of the host would be a way to the host's files (`/proc/self/fd/N/…`), as in CVE-2024-21626. To mark
/// them close-on-exec is not enough, since the kernel looks the program up before it closes them.
pub fn close_all(birth: &mut Birth<'_>) -> Result<(), Fail> {
    let first = birth.view.plan.fds.preserve.saturating_add(3);
    birth.handed.close_all(first, birth.channel.fds(), birth.root.take()).at(Step::CloseAll)
}
