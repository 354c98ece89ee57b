//! Durations as text, `100ms`, `30s`, `5m`, `2h`, `7d`: for `#[serde(with = "crate::config::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Units, in milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Nothing here is meant to last longer, and sums of two stay far from overflow.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads `100ms`, `30s`, `5m`, `2h` or `7d`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a duration: write a number and a unit, as in 100ms, 30s, 5m, 2h or 7d");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_not_a_number| wrong())?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
    let duration = Duration::from_millis(number.saturating_mul(*millis));
    if duration > LONGEST {
        return Err(format!("`{text}` is too long: at most 3650d"));
    }
    Ok(duration)
}

/// Writes a duration in the largest unit that holds it exactly; below a millisecond is cut.
pub fn format(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (name, size) =
        UNITS.iter().find(|(_, size)| millis != 0 && millis.is_multiple_of(*size)).unwrap_or(&("ms", 1));
    format!("{}{name}", millis / size)
}

/// For serde.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For serde.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, millis) in [
            ("100ms", 100),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("0ms", 0),
        ] {
            let duration = parse(text).expect(text);
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(format(duration), text);
        }
        assert_eq!(format(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn refuses_what_is_not_one() {
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5 parsecs",
            "99999999999999999999s",
            "18446744073709551615d",
            "４s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
