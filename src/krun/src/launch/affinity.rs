//! `process.execCPUAffinity.initial`: the processors on which exec's process is made, before it is in the container's
//! cgroup (runtime-spec, "Linux Process").

use krun_sys::sched::{sched_getaffinity, sched_setaffinity};

use super::LaunchError;

/// Most processors that a kernel can have (CONFIG_NR_CPUS), in words.
const WORDS: usize = 128;

/// This thread's affinity, changed until it is dropped: children inherit it.
#[derive(Debug)]
pub struct Borrowed(Option<Vec<u64>>);

impl Borrowed {
    /// Takes the affinity `initial`; an empty one changes nothing.
    ///
    /// # Errors
    /// sched_setaffinity(2), with the member.
    pub fn take(initial: &[u64]) -> Result<Borrowed, LaunchError> {
        if initial.is_empty() {
            return Ok(Borrowed(None));
        }
        let failed = |call| {
            move |e: krun_sys::Errno| {
                LaunchError::call(
                    "process.execCPUAffinity.initial: error setting initial CPU affinity",
                    call,
                    e.0,
                )
            }
        };
        let mut own = vec![0u64; WORDS];
        sched_getaffinity(0, &mut own).map_err(failed("sched_getaffinity"))?;
        sched_setaffinity(0, initial).map_err(failed("sched_setaffinity"))?;
        if let [low, ..] = initial {
            crate::log::debug(format_args!("nsexec[{}]: affinity: {low:#x}", std::process::id()));
        }
        Ok(Borrowed(Some(own)))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            let _ = sched_setaffinity(0, own);
        }
    }
}
