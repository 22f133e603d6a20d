//! Lists of processors and nodes ("0-3,7"), as cpuset(7) writes them.

use super::PlanError;

/// The list as a bit mask in words of 64.
///
/// # Errors
/// The list is malformed or names a number above 65,535.
pub fn mask(list: &str, path: &str) -> Result<Vec<u64>, PlanError> {
    let invalid = || PlanError::invalid(path, list, "a list like 0-3,7");
    let mut words: Vec<u64> = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u16>().map(usize::from).map_err(|_| invalid());
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(invalid());
        }
        if words.len() <= last / 64 {
            words.resize(last / 64 + 1, 0);
        }
        for n in first..=last {
            if let Some(word) = words.get_mut(n / 64) {
                *word |= 1 << (n % 64);
            }
        }
    }
    if words.is_empty() { Err(invalid()) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn lists_become_masks() {
        assert_eq!(mask("0-1,3", "x").expect("valid"), [0b1011]);
        assert_eq!(mask("64", "x").expect("valid"), [0, 1]);
        for bad in ["", "3-1", "a", "1-", "-1", "70000"] {
            assert!(mask(bad, "x").is_err(), "{bad}");
        }
    }
}
