//! Times for people and files, from nanoseconds since the Unix epoch.

/// RFC 3339 in UTC, with microseconds: `2026-01-01T00:00:00.000000Z`.
pub fn rfc3339(time: u64) -> String {
    let (year, month, day) = civil(time / 86_400_000_000_000);
    let second = time / 1_000_000_000 % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let micros = time / 1_000 % 1_000_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Seconds with microseconds: `1767225600.000000`. Not a float, which has no room for both.
pub fn seconds(time: u64) -> String {
    format!("{}.{:06}", time / 1_000_000_000, time / 1_000 % 1_000_000)
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here, so that the leap day is the last.
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (time, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_767_225_599_999_999_999, "2025-12-31T23:59:59.999999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551Z"),
        ] {
            assert_eq!(rfc3339(time), expected);
        }
        assert_eq!(seconds(1_767_225_600_000_001_999), "1767225600.000001");
    }
}
