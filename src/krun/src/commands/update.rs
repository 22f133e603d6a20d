//! `krun update [--resources FILE|-] [FLAGS] ID`
use std::io::Read as _;
use std::path::Path;

use krun::bundle::{BundleError, resources_from_json};
use krun::container::update;
use krun::launch::Host;
use krun::log;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPidsBuilder, LinuxResources};

use super::{Outcome, id};
use crate::cli::args::{ArgsError, Parsed};

/// The new limits can't be read or can't be set.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The file of `--resources`.
    #[error("open {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its content.
    #[error(transparent)]
    Resources(#[from] BundleError),
    /// A flag.
    #[error(transparent)]
    Flag(#[from] ArgsError),
    /// A feature that isn't there.
    #[error("updating a non-existent Intel RDT configuration is not supported")]
    IntelRdt,
}

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    let id = id(parsed)?;
    if parsed.value("l3-cache-schema").or(parsed.value("mem-bw-schema")).is_some_and(|text| !text.is_empty())
    {
        return Err(UpdateError::IntelRdt.into());
    }
    let new = match parsed.value("resources").filter(|path| !path.is_empty()) {
        Some(path) => from_file(path)?,
        None => from_flags(parsed).map_err(UpdateError::from)?,
    };
    update(&host.root, &id, &new)?;
    Ok(0)
}

fn from_file(path: &str) -> Result<LinuxResources, UpdateError> {
    let wrong = |source| UpdateError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    if path == "-" {
        std::io::stdin().read_to_end(&mut bytes).map_err(wrong)?;
        return Ok(resources_from_json(&bytes, Path::new("standard input"))?);
    }
    std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(wrong)?;
    Ok(resources_from_json(&bytes, Path::new(path))?)
}

fn from_flags(parsed: &Parsed) -> Result<LinuxResources, ArgsError> {
    let mut resources = LinuxResources::default();
    let mut io = LinuxBlockIo::default();
    io.set_weight(number::<u16>(parsed, "blkio-weight")?.filter(|weight| *weight != 0));
    let mut pids = None;
    if let Some(limit) = number::<i64>(parsed, "pids-limit")? {
        pids = LinuxPidsBuilder::default().limit(limit).build().ok();
    }
    resources
        .set_block_io(Some(io))
        .set_cpu(Some(cpu(parsed)?))
        .set_memory(Some(memory(parsed)?))
        .set_pids(pids)
        .set_devices(None);
    Ok(resources)
}

fn cpu(parsed: &Parsed) -> Result<LinuxCpu, ArgsError> {
    let list = |flag| parsed.value(flag).filter(|list| !list.is_empty()).map(str::to_owned);
    let mut cpu = LinuxCpu::default();
    cpu.set_period(number(parsed, "cpu-period")?)
        .set_quota(number(parsed, "cpu-quota")?)
        .set_burst(number(parsed, "cpu-burst")?)
        .set_shares(number(parsed, "cpu-share")?)
        .set_idle(number(parsed, "cpu-idle")?)
        .set_realtime_period(number(parsed, "cpu-rt-period")?)
        .set_realtime_runtime(number(parsed, "cpu-rt-runtime")?)
        .set_cpus(list("cpuset-cpus"))
        .set_mems(list("cpuset-mems"));
    Ok(cpu)
}

fn memory(parsed: &Parsed) -> Result<LinuxMemory, ArgsError> {
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(size(parsed, "memory")?)
        .set_reservation(size(parsed, "memory-reservation")?)
        .set_swap(size(parsed, "memory-swap")?);
    if size(parsed, "kernel-memory")?.or(size(parsed, "kernel-memory-tcp")?).is_some() {
        log::warning("Kernel memory settings are ignored and will be removed");
    }
    Ok(memory)
}

/// An empty value means: not given.
fn number<N: std::str::FromStr>(parsed: &Parsed, flag: &str) -> Result<Option<N>, ArgsError> {
    if parsed.value(flag) == Some("") { Ok(None) } else { parsed.number(flag, "a whole number") }
}

fn size(parsed: &Parsed, flag: &str) -> Result<Option<i64>, ArgsError> {
    let Some(text) = parsed.value(flag).filter(|text| !text.is_empty()) else { return Ok(None) };
    bytes(text).map(Some).ok_or_else(|| ArgsError::Value {
        flag: flag.into(),
        value: text.into(),
        expected: "a number of bytes such as 67108864, 64m or 1.5GiB, or -1,",
    })
}

/// `-1`, or a number with a binary unit: `64k`, `1.5g`, `2MB`, `1GiB`.
fn bytes(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start().to_ascii_lowercase();
    let power = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let factor = 1_i64 << (10 * power);
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(factor);
    }
    let fraction: f64 = number.parse().ok()?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "checked against the range"
    )]
    let bytes = fraction * factor as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "checked against the range"
    )]
    (bytes < i64::MAX as f64).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, expected) in [
            ("-1", Some(-1)),
            ("0", Some(0)),
            ("67108864", Some(67_108_864)),
            ("64m", Some(67_108_864)),
            ("64MB", Some(67_108_864)),
            ("64MiB", Some(67_108_864)),
            ("1.5g", Some(1_610_612_736)),
            ("9999999999p", None),
            ("64x", None),
            ("-2", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
