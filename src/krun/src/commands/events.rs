//! `krun events [--stats] [--interval TIME] ID`
use std::time::{Duration, Instant};

use krun::cgroup::{Cgroup, CgroupError};
use krun::container::{Container, ContainerError};
use krun::launch::Host;
use krun::state::Status;
use serde::Serialize;

use super::{Outcome, id, print_json};
use crate::cli::args::{ArgsError, Parsed};

/// One line of output; the names are runc's.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<serde_json::Value>,
}

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    let interval = interval(parsed)?;
    let container = Container::open(&host.root, &id(parsed)?)?;
    let id = &container.head().id;
    if container.status()? == Status::Stopped {
        return Err(ContainerError::NotRunning { id: id.clone() }.into());
    }
    let cgroup = container.cgroup()?;
    if parsed.switch("stats")? {
        stats(&cgroup, id)?;
        return Ok(0);
    }
    follow(&container, &cgroup, interval)
}

fn emit(kind: &str, id: &str, data: Option<serde_json::Value>) -> Result<(), super::Failure> {
    print_json(&format!("{}\n", serde_json::to_string(&Event { kind, id, data })?))?;
    Ok(())
}

fn stats(cgroup: &Cgroup, id: &str) -> Result<(), super::Failure> {
    emit("stats", id, Some(serde_json::to_value(cgroup.stats()?)?))
}

/// Until the container is gone: an event for each OOM kill, and statistics at every interval. An OOM kill ends a process
/// in the cgroup, so that the kernel's counter is looked at a few times per second rather than waited for.
fn follow(container: &Container, cgroup: &Cgroup, interval: Duration) -> Outcome {
    let id = &container.head().id;
    let mut kills = cgroup.oom_kills()?;
    let mut next = Instant::now() + interval;
    loop {
        let deadline = next.min(Instant::now() + Duration::from_millis(200));
        let patience = deadline.saturating_duration_since(Instant::now());
        let empty = match cgroup.wait_empty(patience) {
            Ok(()) => true,
            Err(CgroupError::Timeout { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let now = cgroup.oom_kills()?;
        for _ in kills..now {
            emit("oom", id, None)?;
        }
        kills = kills.max(now);
        if empty {
            return Ok(0);
        }
        if Instant::now() >= next {
            stats(cgroup, id)?;
            next += interval;
        }
    }
}

/// How often; greater than 0.
fn interval(parsed: &Parsed) -> Result<Duration, ArgsError> {
    let text = parsed.value("interval").unwrap_or("5s");
    let time = seconds(text).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| ArgsError::Value {
        flag: "interval".into(),
        value: text.into(),
        expected: "a time greater than 0, for example 5s or 1m30s,",
    })
}

/// Go's durations (`1m30s`, `100ms`); a bare number is seconds.
fn seconds(text: &str) -> Option<f64> {
    let digit = |letter: char| letter.is_ascii_digit() || letter == '.';
    let (mut sum, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c| !digit(c)).unwrap_or(rest.len()));
        let (unit, tail) = tail.split_at(tail.find(digit).unwrap_or(tail.len()));
        let scale = match unit {
            "" | "s" => 1.0,
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_go_s() {
        assert_eq!(seconds("5"), Some(5.0));
        assert_eq!(seconds("1m30s"), Some(90.0));
        assert_eq!(seconds("1h1.5s"), Some(3601.5));
        assert_eq!(seconds("250ms"), Some(0.25));
        for wrong in ["s", "5x", "-1s", "1..s", "m5"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
