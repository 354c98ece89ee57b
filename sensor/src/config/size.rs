//! Sizes as text, `64MiB`: for `#[serde(with = "crate::config::size")]` on a `u64` of bytes.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Units, largest first. Binary ones only, so that nobody wonders which of the two was meant.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `4096B`, `512KiB`, `64MiB`, `2GiB`, `1TiB`.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size: write a number and a unit, as in 512KiB, 64MiB or 2GiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_not_a_number| wrong())?;
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
    number.checked_mul(*bytes).ok_or_else(|| format!("`{text}` is too large"))
}

/// Writes a size in the largest unit that holds it exactly.
pub fn format(bytes: u64) -> String {
    let (name, size) =
        UNITS.iter().find(|(_, size)| bytes != 0 && bytes.is_multiple_of(*size)).unwrap_or(&("B", 1));
    format!("{}{name}", bytes / size)
}

/// For serde.
pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*bytes))
}

/// For serde.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, bytes) in
            [("0B", 0), ("100B", 100), ("512KiB", 512 << 10), ("64MiB", 64 << 20), ("3GiB", 3 << 30)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            assert_eq!(format(bytes), text);
        }
    }

    #[test]
    fn refuses_what_is_not_one() {
        for text in ["", "64", "64MB", "64M", "-1KiB", "1.5GiB", "17000000TiB", "99999999999999999999B"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
