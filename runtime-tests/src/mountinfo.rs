//! /proc/PID/mountinfo, see proc_pid_mountinfo(5).

use serde_json::{Value, json};

/// One line as JSON: id, parent, root, target, options, propagation, type,
/// source and the superblock's options.
pub fn parse(line: &str) -> Option<Value> {
    let (left, right) = line.split_once(" - ")?;
    let l: Vec<&str> = left.split(' ').collect();
    let r: Vec<&str> = right.split(' ').collect();
    let list = |s: &str| s.split(',').map(str::to_owned).collect::<Vec<_>>();
    Some(json!({
        "id": l.first()?.parse::<i64>().ok()?, "parent": l.get(1)?.parse::<i64>().ok()?,
        "dev": l.get(2)?, "root": l.get(3)?, "target": l.get(4)?, "options": list(l.get(5)?),
        "propagation": l.get(6..).unwrap_or_default(),
        "fstype": r.first()?, "source": r.get(1)?,
        "super": r.get(2).map(|s| list(s)).unwrap_or_default(),
    }))
}
