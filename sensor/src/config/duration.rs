//! Durations as text in the configuration file: `500ms`, `30s`, `5m`, `2h`.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::Duration;

/// Writes the largest unit that is exact.
pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let ms = value.as_millis();
    let text = match ms {
        _ if ms != 0 && ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms != 0 && ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    };
    serializer.serialize_str(&text)
}

/// Reads a whole number and its unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[split..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => {
            return Err(Error::custom(format!(
                "{text:?} is not a duration: write 500ms, 30s, 5m or 2h"
            )));
        }
    };
    let number: u64 = text[..split].parse().map_err(Error::custom)?;
    Ok(Duration::from_millis(number.saturating_mul(unit)))
}
