//! `--timing`: microseconds per phase.

use std::io::Write as _;
use std::time::Instant;

/// Most phases that are told apart.
const PHASES: usize = 16;

/// A clock that notes when each phase ended. Noting allocates nothing.
#[derive(Debug)]
pub struct Timing {
    begun: Instant,
    marks: [(&'static str, Instant); PHASES],
    count: usize,
}

impl Timing {
    /// Starts the clock.
    #[must_use]
    pub fn begin() -> Timing {
        let begun = Instant::now();
        Timing { begun, marks: [("", begun); PHASES], count: 0 }
    }

    /// The phase that ends here. One too many is not noted.
    pub fn mark(&mut self, phase: &'static str) {
        if let Some(slot) = self.marks.get_mut(self.count) {
            *slot = (phase, Instant::now());
            self.count += 1;
        }
    }

    /// One line per phase, and the sum.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut before = self.begun;
        for (phase, at) in self.marks.iter().take(self.count) {
            text.push_str(&line(phase, at.duration_since(before)));
            before = *at;
        }
        text.push_str(&line("total", before.duration_since(self.begun)));
        text
    }

    /// Prints to standard error. That it is gone is no reason to fail.
    pub fn print(&self) {
        let _ = std::io::stderr().write_all(self.text().as_bytes());
    }
}

fn line(phase: &str, took: std::time::Duration) -> String {
    format!("timing: {phase:<12} {:>8} us\n", took.as_micros())
}

#[cfg(test)]
mod tests {
    use super::Timing;

    #[test]
    fn phases_in_order_and_their_sum() {
        let mut timing = Timing::begin();
        timing.mark("load");
        timing.mark("spawn");
        let text = timing.text();
        let names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(names, ["load", "spawn", "total"]);
        assert!(text.lines().all(|line| line.ends_with(" us")));
    }
}
