//! Numbers of the spec, made for cgroup v1, as cgroup v2 wants them. The
//! formulas are runc's, so that a container gets the same share from either.

/// `cpu.shares` (2 to 262144, 1024 by default) as cpu.weight (1 to 10000, 100
/// by default): a curve through all three points. 0 means unset.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the result is within 1 to 10000"
)]
pub fn cpu_weight(shares: u64) -> Option<u64> {
    match shares {
        0 => None,
        1 | 2 => Some(1),
        262_144.. => Some(10_000),
        shares => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            Some(10_f64.powf(exponent).ceil() as u64)
        }
    }
}

/// `blockIO.weight` (10 to 1000) as io.weight (1 to 10000), linearly. 0 means
/// unset.
#[must_use]
pub fn io_weight(weight: u16) -> Option<u64> {
    (weight != 0).then(|| 1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990)
}

/// `memory.swap`, which counts memory and swap together, as memory.swap.max,
/// which counts swap alone. -1 is unlimited, `None` leaves the file alone.
///
/// # Errors
/// Text: swap without or below the memory limit.
pub fn swap_max(swap: i64, memory: i64) -> Result<Option<i64>, String> {
    match (swap, memory) {
        // Unlimited memory and nothing said about swap: both unlimited.
        (0, -1) => Ok(Some(-1)),
        (0, _) => Ok(None),
        (-1, _) => Ok(Some(-1)),
        (swap, -1) => Ok(Some(swap)),
        (_, 0) => Err("unable to set swap limit without memory limit".to_owned()),
        (_, memory) if memory < 0 => Err(format!("invalid memory value: {memory}")),
        (swap, memory) if swap < memory => Err("memory+swap limit should be >= memory limit".to_owned()),
        (swap, memory) => Ok(Some(swap - memory)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_weight_of_shares() {
        for (shares, weight) in [
            (0, None),
            (1, Some(1)),
            (2, Some(1)),
            (3, Some(2)),
            (100, Some(17)),
            (512, Some(59)),
            (1024, Some(100)),
            (2048, Some(174)),
            (262_143, Some(10_000)),
            (262_144, Some(10_000)),
            (u64::MAX, Some(10_000)),
        ] {
            assert_eq!(cpu_weight(shares), weight, "{shares}");
        }
    }

    #[test]
    fn cpu_weight_never_falls() {
        let mut last = 0;
        for shares in 1..=262_200 {
            let weight = cpu_weight(shares).unwrap_or(0);
            assert!(weight >= last && (1..=10_000).contains(&weight), "{shares}");
            last = weight;
        }
    }

    #[test]
    fn io_weight_of_blkio_weight() {
        for (v1, v2) in [(0, None), (10, Some(1)), (500, Some(4950)), (1000, Some(10_000)), (1, Some(1))] {
            assert_eq!(io_weight(v1), v2, "{v1}");
        }
    }

    #[test]
    fn swap_is_what_exceeds_memory() {
        for (swap, memory, wanted) in [
            (0, 0, Ok(None)),
            (0, 100, Ok(None)),
            (0, -1, Ok(Some(-1))),
            (-1, 100, Ok(Some(-1))),
            (-1, 0, Ok(Some(-1))),
            (300, -1, Ok(Some(300))),
            (300, 100, Ok(Some(200))),
            (100, 100, Ok(Some(0))),
        ] {
            assert_eq!(swap_max(swap, memory), wanted, "{swap} {memory}");
        }
        for (swap, memory, text) in [
            (300, 0, "unable to set swap limit without memory limit"),
            (300, -2, "invalid memory value: -2"),
            (99, 100, "memory+swap limit should be >= memory limit"),
        ] {
            assert_eq!(swap_max(swap, memory), Err(text.to_owned()));
        }
    }
}
