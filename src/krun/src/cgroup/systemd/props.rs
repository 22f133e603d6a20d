//! `linux.resources` as properties of a systemd unit, so that systemd knows
//! the limits and doesn't put its own in their place. The interface files are
//! written as well: they take what no property expresses.

use std::collections::HashMap;

use oci_spec::runtime::LinuxResources;

use super::super::CgroupError;
use super::super::convert::{cpu_weight, io_weight, swap_max};
use super::super::devices::{Rule, RuleSet, rules};
use super::wire::Value;

const DEFAULT_PERIOD: u64 = 100_000;

/// Properties in the order they are sent.
#[derive(Debug, Default, PartialEq)]
pub struct Properties(Vec<(String, Value)>);

impl Properties {
    /// Adds one.
    pub fn push(&mut self, name: &str, value: Value) {
        self.0.push((name.to_owned(), value));
    }

    /// The `a(sv)` of StartTransientUnit and SetUnitProperties.
    pub fn into_value(self) -> Value {
        let pair = |(name, value)| Value::Struct(vec![Value::Str(name), Value::Variant(Box::new(value))]);
        Value::Array("(sv)".to_owned(), self.0.into_iter().map(pair).collect())
    }
}

fn bad(field: &str, reason: impl Into<String>) -> CgroupError {
    CgroupError::Value { field: format!("linux.resources.{field}"), reason: reason.into() }
}

/// -1 is systemd's infinity, all ones.
fn unsigned(value: i64) -> Value {
    Value::U64(value.cast_unsigned())
}

/// Adds the properties for `resources`, as far as systemd `version` knows
/// them. With `devices` the device rules too.
///
/// # Errors
/// A value that can't be converted.
pub fn of(
    resources: &LinuxResources,
    version: u32,
    devices: bool,
    props: &mut Properties,
) -> Result<(), CgroupError> {
    if devices {
        device_properties(&rules(resources)?, props);
    }
    if let Some(memory) = resources.memory() {
        let max = memory.limit().unwrap_or(0);
        for (name, value) in [("MemoryMax", max), ("MemoryLow", memory.reservation().unwrap_or(0))] {
            if value != 0 {
                props.push(name, unsigned(value));
            }
        }
        let swap = swap_max(memory.swap().unwrap_or(0), max).map_err(|e| bad("memory.swap", e))?;
        if let Some(swap) = swap {
            props.push("MemorySwapMax", unsigned(swap));
        }
    }
    if let Some(cpu) = resources.cpu() {
        if cpu.idle() == Some(1) && version >= 252 {
            // Weight 0 is systemd's way to say idle.
            props.push("CPUWeight", Value::U64(0));
        } else if let Some(weight) = cpu.shares().and_then(cpu_weight) {
            props.push("CPUWeight", Value::U64(weight));
        }
        quota(cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0), version, props);
        for (name, field, list) in
            [("AllowedCPUs", "cpu.cpus", cpu.cpus()), ("AllowedMemoryNodes", "cpu.mems", cpu.mems())]
        {
            if let Some(list) = list.as_deref().filter(|list| !list.is_empty() && version >= 244) {
                let bits = bits(list).ok_or_else(|| bad(field, format!("{list:?} is no list of numbers")))?;
                props.push(name, Value::bytes(&bits));
            }
        }
    }
    if let Some(weight) = resources.block_io().as_ref().and_then(|io| io_weight(io.weight()?)) {
        props.push("IOWeight", Value::U64(weight));
    }
    if let Some(pids) = resources.pids() {
        let max = if pids.limit() == 0 { 1 } else { pids.limit().max(-1) };
        props.push("TasksMax", unsigned(max));
    }
    let unified_entries = resources.unified().as_ref();
    unified_entries.map_or(Ok(()), |entries| unified(entries, version, props))
}

/// `CPUQuotaPerSecUSec` and its period.
fn quota(quota: i64, period: u64, version: u32, props: &mut Properties) {
    if period != 0 && version >= 242 {
        props.push("CPUQuotaPeriodUSec", Value::U64(period));
    }
    if quota != 0 || period != 0 {
        let per_second = match u64::try_from(quota) {
            Ok(quota) if quota > 0 => per_second(quota, period),
            _ => u64::MAX,
        };
        props.push("CPUQuotaPerSecUSec", Value::U64(per_second));
    }
}

/// systemd keeps the quota in whole percents of a second: rounded up.
fn per_second(quota: u64, period: u64) -> u64 {
    let period = if period == 0 { DEFAULT_PERIOD } else { period };
    let exact = u128::from(quota) * 1_000_000 / u128::from(period);
    u64::try_from(exact).unwrap_or(u64::MAX).div_ceil(10_000).saturating_mul(10_000)
}

/// The quota that systemd will set for this one, so that the interface file
/// gets the same value from both.
pub fn rounded_quota(quota: i64, period: Option<u64>) -> i64 {
    let period = period.filter(|&p| p != 0).unwrap_or(DEFAULT_PERIOD);
    match u64::try_from(quota) {
        Ok(wanted) if wanted > 0 => {
            let value = u128::from(per_second(wanted, period)) * u128::from(period) / 1_000_000;
            i64::try_from(value).unwrap_or(quota)
        }
        _ => quota,
    }
}

/// A list like "0-3,7" as systemd's bit mask, lowest byte first.
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut mask = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // The kernel knows at most 8192 processors and 1024 nodes.
        if first > last || last >= 1 << 16 {
            return None;
        }
        for bit in first..=last {
            if mask.len() <= bit / 8 {
                mask.resize(bit / 8 + 1, 0);
            }
            *mask.get_mut(bit / 8)? |= 1 << (bit % 8);
        }
    }
    (!mask.is_empty()).then_some(mask)
}

/// Keys of `unified` that have a property.
fn unified(
    entries: &HashMap<String, String>,
    version: u32,
    props: &mut Properties,
) -> Result<(), CgroupError> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort();
    for (key, text) in entries {
        let error = || bad(&format!("unified[{key:?}]"), format!("value invalid: {text:?}"));
        let text = text.trim();
        let number = || match text {
            "max" => Ok(u64::MAX),
            text => text.parse::<u64>().map_err(|_| error()),
        };
        let name = match key.as_str() {
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.max" => "MemoryMax",
            "memory.swap.max" => "MemorySwapMax",
            "cpu.weight" => "CPUWeight",
            "pids.max" => {
                props.push("TasksMax", Value::U64(number()?.max(1)));
                continue;
            }
            "cpu.idle" => {
                if text == "1" && version >= 252 {
                    props.push("CPUWeight", Value::U64(0));
                }
                continue;
            }
            "cpuset.cpus" | "cpuset.mems" => {
                let bits = bits(text).ok_or_else(error)?;
                let name = if key == "cpuset.cpus" { "AllowedCPUs" } else { "AllowedMemoryNodes" };
                if version >= 244 {
                    props.push(name, Value::bytes(&bits));
                }
                continue;
            }
            "cpu.max" => {
                let mut words = text.split_ascii_whitespace();
                let max = match words.next().ok_or_else(error)? {
                    "max" => -1,
                    max => max.parse().map_err(|_| error())?,
                };
                let period = words.next().map_or(Ok(DEFAULT_PERIOD), str::parse);
                quota(max, period.map_err(|_| error())?, version, props);
                continue;
            }
            _ => continue,
        };
        props.push(name, Value::U64(number()?));
    }
    Ok(())
}

/// Device rules as systemd's allow list. Our own program decides in the end;
/// where systemd can't say as much (denies within allowed ranges, any major
/// with one minor) its list is wider.
fn device_properties(rules: &RuleSet, props: &mut Properties) {
    let list = |entries| Value::Array("(ss)".to_owned(), entries);
    // An empty list clears what the unit had before.
    props.push("DeviceAllow", list(Vec::new()));
    if rules.allows_all() {
        props.push("DevicePolicy", Value::Str("auto".to_owned()));
        return;
    }
    props.push("DevicePolicy", Value::Str("strict".to_owned()));
    let entry = |kind: &str, rule: &Rule| {
        let node = match rule.numbers {
            (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
            (Some(major), None) => format!("{kind}-{major}"),
            (None, _) => format!("{kind}-*"),
        };
        let letters = [(2, 'r'), (4, 'w'), (1, 'm')];
        let access = letters.iter().filter(|(bit, _)| rule.access & bit != 0).map(|(_, c)| *c);
        Value::Struct(vec![Value::Str(node), Value::Str(access.collect())])
    };
    let chars = rules.char.iter().map(|rule| ("char", rule));
    let blocks = rules.block.iter().map(|rule| ("block", rule));
    let allowed = chars.chain(blocks).filter(|(_, rule)| rule.allow);
    props.push("DeviceAllow", list(allowed.map(|(kind, rule)| entry(kind, rule)).collect()));
}

#[cfg(test)]
#[path = "props_tests.rs"]
mod tests;
