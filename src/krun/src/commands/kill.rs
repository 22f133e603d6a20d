//! `krun kill ID [SIGNAL]`
use krun::container::{Container, ContainerError};
use krun::launch::Host;
use nix::sys::signal::Signal;

use super::{Outcome, id};
use crate::cli::args::Parsed;

/// Not a signal.
#[derive(Debug, thiserror::Error)]
#[error("unknown signal {name:?}")]
pub struct SignalError {
    name: String,
}

pub fn run(host: &Host, parsed: &Parsed) -> Outcome {
    let id = id(parsed)?;
    let signal = number(parsed.words.get(1).map_or("", String::as_str))?;
    let container = Container::open(&host.root, &id)?;
    match container.kill(signal) {
        // --all once meant every process; engines that still send it don't want an error for a stopped container.
        Err(ContainerError::NotRunning { .. }) if parsed.switch("all")? => Ok(0),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(0),
    }
}

/// A number, `NAME`, `SIGNAME` or `RTMIN+N`; TERM if empty.
fn number(text: &str) -> Result<i32, SignalError> {
    if text.is_empty() {
        return Ok(Signal::SIGTERM as i32);
    }
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let unknown = || SignalError { name: text.to_owned() };
    match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => Ok(34),
        (_, Some("")) => Ok(64),
        (Some(offset), _) => real_time(34, offset).ok_or_else(unknown),
        (_, Some(offset)) => real_time(64, offset).ok_or_else(unknown),
        _ => format!("SIG{name}").parse::<Signal>().map(|signal| signal as i32).map_err(|_| unknown()),
    }
}

/// signal(7): the C library keeps 32 and 33, so that RTMIN is 34 and RTMAX 64.
fn real_time(from: i32, offset: &str) -> Option<i32> {
    let offset: i32 = offset.strip_prefix('+').unwrap_or(offset).parse().ok()?;
    Some(from.checked_add(offset)?).filter(|number| (34..=64).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_names() {
        for (text, expected) in [
            ("", 15),
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigusr1", 10),
            ("0", 0),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
        ] {
            assert_eq!(number(text).ok(), Some(expected), "{text}");
        }
        for text in ["NOPE", "SIG", "RTMIN-1", "RTMAX+1", "9x"] {
            assert!(number(text).is_err(), "{text}");
        }
    }
}
