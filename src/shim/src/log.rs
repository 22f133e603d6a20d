//! The shim's own messages: lines on its stderr, which containerd copies to
//! its log.

use std::fmt::Display;
use std::io::Write;

/// Writes a line; a full or closed log loses it.
pub fn line(message: &dyn Display) {
    let text = format!("level=error msg={:?} runtime=io.containerd.krun.v2\n", message.to_string());
    let _ = std::io::stderr().write_all(text.as_bytes());
}
