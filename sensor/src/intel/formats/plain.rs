//! One network, domain or JA4 fingerprint a line; `#` and `;` begin comments, which become the description.

use super::super::item::{Item, Value, description};
use super::{FormatError, Parsed, mostly_a_list};

pub(super) fn read(bytes: &[u8]) -> Result<Parsed, FormatError> {
    let mut parsed = Parsed::default();
    let nothing = description("");
    for line in bytes.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let (text, comment) = match line.find(['#', ';']) {
            Some(at) => (line[..at].trim(), line[at + 1..].trim()),
            None => (line, ""),
        };
        // Lists in the form of a hosts file name the address that a name is to lead to in front.
        let text = match text.split_once(char::is_whitespace) {
            Some(("0.0.0.0" | "127.0.0.1", name)) => name.trim(),
            _ => text,
        };
        if text.is_empty() {
            continue;
        }
        match Value::guess(text) {
            Some(value) => {
                let description = if comment.is_empty() { nothing.clone() } else { description(comment) };
                parsed.items.push(Item { value, confidence: None, description, until: 0, part: None });
            }
            None => parsed.refused.malformed += 1,
        }
    }
    mostly_a_list(parsed)
}
