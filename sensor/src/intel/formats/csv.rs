//! A table: the first line that is no comment names its columns.

use super::super::item::{Item, Value, description};
use super::{FormatError, Parsed, mostly_a_list};

/// Usual names of the column of values.
const VALUES: [&str; 14] = [
    "indicator",
    "ioc",
    "ioc_value",
    "value",
    "ip",
    "ip_address",
    "dst_ip",
    "src_ip",
    "cidr",
    "network",
    "domain",
    "hostname",
    "ja4",
    "first_ip",
];
/// Usual names of the description.
const DESCRIPTIONS: [&str; 7] =
    ["description", "comment", "malware", "malware_printable", "threat", "threat_type", "tags"];

pub(super) fn read(bytes: &[u8], column: &str) -> Result<Parsed, FormatError> {
    let malformed =
        |error: csv::Error| FormatError::Malformed { expected: "a CSV table", reason: error.to_string() };
    // Some lists name their columns in the last comment.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).comment(Some(b'#')).from_reader(bytes);
    let names: Vec<String> = reader
        .byte_headers()
        .map_err(malformed)?
        .iter()
        .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
        .collect();
    let find = |wanted: &[&str]| wanted.iter().find_map(|name| names.iter().position(|n| n == name));
    let wanted = column.to_ascii_lowercase();
    let place = if column.is_empty() { find(&VALUES) } else { find(&[wanted.as_str()]) };
    let Some(place) = place else {
        let wanted = if column.is_empty() { VALUES.join(", ") } else { column.to_owned() };
        let there = crate::telemetry::printable(&names.join(", "), 200);
        return Err(FormatError::NoColumn { wanted, there });
    };
    let (said, sure) = (find(&DESCRIPTIONS), find(&["confidence", "confidence_level", "score"]));
    let mut parsed = Parsed::default();
    for record in reader.byte_records() {
        let record = record.map_err(malformed)?;
        let field = |at: usize| record.get(at).map(String::from_utf8_lossy).unwrap_or_default();
        match Value::guess(field(place).trim_matches('"')) {
            Some(value) => parsed.items.push(Item {
                value,
                confidence: sure.and_then(|at| field(at).parse().ok()).filter(|sure| *sure <= 100u8),
                description: description(&said.map(field).unwrap_or_default()),
                until: 0,
                part: None,
            }),
            None => parsed.refused.malformed += 1,
        }
    }
    mostly_a_list(parsed)
}
