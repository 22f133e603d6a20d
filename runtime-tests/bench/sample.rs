//! One measurement, and what many of them say.

use std::process::{Command, Stdio};

use runtime_tests::{Value, json};

use super::contender::beside;

/// What one run of a scenario cost.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Wall-clock time in nanoseconds.
    pub wall: f64,
    /// User and system time of all processes, in nanoseconds.
    pub cpu: f64,
    /// Peak resident memory of the largest process in KiB.
    pub peak: f64,
}

/// Runs steps through the launcher; `None` if a command failed.
pub fn take(steps: &[String]) -> Option<Sample> {
    let out = Command::new(beside("floor"))
        .arg("measure")
        .args(steps)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let numbers: Vec<f64> = text.lines().last()?.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    match numbers[..] {
        [wall, cpu, peak, 0.0] => Some(Sample { wall, cpu, peak }),
        _ => None,
    }
}

/// Median and quartiles.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// A quarter of the values lies below.
    pub low: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters of them.
    pub high: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values.get((values.len() * quarter / 4).min(values.len() - 1)).copied();
        if values.is_empty() {
            return None;
        }
        Some(Spread { low: at(1)?, median: at(2)?, high: at(3)? })
    }

    /// As JSON, divided by `unit`.
    pub fn json(self, unit: f64) -> Value {
        json!({"median": self.median / unit, "low": self.low / unit, "high": self.high / unit})
    }
}
