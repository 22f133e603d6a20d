//! Points in time as RFC 3339 text, in UTC: the machine's time zone is of no use to a log that others read.
use std::time::{SystemTime, UNIX_EPOCH};

/// How many digits follow the seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// None.
    Seconds,
    /// Nine.
    Nanoseconds,
}

/// The present time.
#[must_use]
pub fn now(precision: Precision) -> String {
    rfc3339(SystemTime::now(), precision)
}

/// `time` as RFC 3339, UTC; times before 1970 become 1970.
#[must_use]
pub fn rfc3339(time: SystemTime, precision: Precision) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let date = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    match precision {
        Precision::Seconds => format!("{date}Z"),
        Precision::Nanoseconds => format!("{date}.{:09}Z", since.subsec_nanos()),
    }
}

/// Year, month and day of a number of days after 1970-01-01, in the proleptic Gregorian calendar. Years are counted
/// from March, so that the leap day is the last one, in eras of 400 years that all have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_agree_with_date_1() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds), Precision::Seconds), text);
        }
        let time = UNIX_EPOCH + Duration::new(1, 5);
        assert_eq!(rfc3339(time, Precision::Nanoseconds), "1970-01-01T00:00:01.000000005Z");
    }
}
