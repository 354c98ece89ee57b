//! A STIX 2.1 bundle: its indicators, as far as their patterns compare addresses and names (OASIS STIX 2.1, 4.7 and 9).
//!
//! Understood are comparisons with `=`, `IN`, `ISSUBSET` joined by `OR`, in one or several observations. `AND`, qualifiers and
//! other comparisons ask for more than one match, and a part of them would say what the pattern does not: they are refused.

use serde::Deserialize;

use super::super::item::{Item, Value, description};
use super::{FormatError, Parsed};

/// Longest pattern that is looked at, bytes.
const PATTERN: usize = 1 << 20;

#[derive(Deserialize)]
struct Bundle {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    objects: Vec<serde_json::Value>,
}

/// An indicator, as far as it matters here.
#[derive(Deserialize)]
struct Indicator {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    pattern: String,
    #[serde(default)]
    pattern_type: String,
    #[serde(default)]
    valid_from: Option<String>,
    #[serde(default)]
    valid_until: Option<String>,
    #[serde(default)]
    revoked: bool,
    #[serde(default)]
    confidence: Option<u8>,
}

/// Reads a bundle.
pub fn bundle(bytes: &[u8], now: u64) -> Result<Parsed, FormatError> {
    let malformed = |reason: String| FormatError::Malformed { expected: "a STIX 2.1 bundle", reason };
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if bundle.kind != "bundle" {
        return Err(malformed(format!("its type is {:?}", crate::telemetry::printable(&bundle.kind, 40))));
    }
    Ok(objects(bundle.objects, now))
}

/// Reads objects, of a bundle or of a TAXII envelope.
pub fn objects(objects: Vec<serde_json::Value>, now: u64) -> Parsed {
    let mut parsed = Parsed::default();
    for object in objects {
        if object.get("type").and_then(|kind| kind.as_str()) != Some("indicator") {
            continue;
        }
        match Indicator::deserialize(object) {
            Ok(indicator) => indicator.read(now, &mut parsed),
            Err(_) => parsed.refused.malformed += 1,
        }
    }
    parsed
}

impl Indicator {
    fn read(self, now: u64, parsed: &mut Parsed) {
        let time = |text: &Option<String>| text.as_deref().map(seconds);
        let until = match time(&self.valid_until) {
            Some(Some(until)) => until,
            Some(None) => return parsed.refused.malformed += 1,
            None => 0,
        };
        let from = time(&self.valid_from).flatten().unwrap_or(0);
        // What is known of it before does not stand any more, whatever follows.
        parsed.withdrawn.push(self.id.clone());
        if self.revoked {
            parsed.refused.revoked += 1;
        } else if until != 0 && until <= now {
            parsed.refused.expired += 1;
        } else if from > now || !(self.pattern_type.is_empty() || self.pattern_type == "stix") {
            parsed.refused.unsupported += 1;
        } else {
            let Some(values) = pattern(&self.pattern) else {
                return parsed.refused.unsupported += 1;
            };
            let text = if self.description.is_empty() { &self.name } else { &self.description };
            let (description, part) = (description(text), self.id.as_str().into());
            for value in values {
                let Some(value) = value else {
                    parsed.refused.malformed += 1;
                    continue;
                };
                parsed.items.push(Item {
                    value,
                    confidence: self.confidence.filter(|sure| *sure <= 100),
                    description: std::sync::Arc::clone(&description),
                    until,
                    part: Some(std::sync::Arc::clone(&part)),
                });
            }
        }
    }
}

/// RFC 3339 as STIX has it, with any number of digits behind the second.
fn seconds(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339_weak(text.trim()).ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The values that a pattern asks for, any of them; `None` where it asks for more than that.
fn pattern(text: &str) -> Option<Vec<Option<Value>>> {
    if text.len() > PATTERN {
        return None;
    }
    let tokens = tokens(text)?;
    let mut left = tokens.as_slice();
    let mut values = Vec::new();
    loop {
        observation(&mut left, &mut values)?;
        match left {
            [] => return Some(values),
            [Token::Word(word), rest @ ..] if word.eq_ignore_ascii_case("or") => left = rest,
            _ => return None,
        }
    }
}

/// `[a = 'x' OR b = 'y']`.
fn observation(left: &mut &[Token<'_>], values: &mut Vec<Option<Value>>) -> Option<()> {
    take(left, '[')?;
    loop {
        // Parentheses around a comparison change nothing where all is joined by OR.
        while take(left, '(').is_some() {}
        comparison(left, values)?;
        while take(left, ')').is_some() {}
        match left {
            [Token::Word(word), rest @ ..] if word.eq_ignore_ascii_case("or") => *left = rest,
            _ => return take(left, ']'),
        }
    }
}

/// `ipv4-addr:value = '192.0.2.1'`.
fn comparison(left: &mut &[Token<'_>], values: &mut Vec<Option<Value>>) -> Option<()> {
    let [Token::Word(path), operator, rest @ ..] = *left else { return None };
    let of: fn(&str) -> Option<Value> = match *path {
        "ipv4-addr:value" | "ipv6-addr:value" => Value::net,
        "network-traffic:dst_ref.value" | "network-traffic:src_ref.value" => Value::guess,
        "domain-name:value" => Value::domain,
        _ => return None,
    };
    *left = rest;
    match operator {
        Token::Sign('=') => values.push(of(&text(left)?)),
        Token::Word(word) if word.eq_ignore_ascii_case("issubset") => values.push(of(&text(left)?)),
        Token::Word(word) if word.eq_ignore_ascii_case("in") => {
            take(left, '(')?;
            loop {
                values.push(of(&text(left)?));
                if take(left, ',').is_none() {
                    return take(left, ')');
                }
            }
        }
        _ => return None,
    }
    Some(())
}

fn take(left: &mut &[Token<'_>], sign: char) -> Option<()> {
    match left {
        [Token::Sign(found), rest @ ..] if *found == sign => {
            *left = rest;
            Some(())
        }
        _ => None,
    }
}

fn text(left: &mut &[Token<'_>]) -> Option<String> {
    let [Token::Text(text), rest @ ..] = *left else { return None };
    *left = rest;
    Some(text.clone())
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Text(String),
    Sign(char),
}

fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '[' | ']' | '(' | ')' | ',' | '=' => tokens.push(Token::Sign(c)),
            '\'' => {
                let mut content = String::new();
                loop {
                    match chars.next()?.1 {
                        '\'' => break,
                        '\\' => content.push(chars.next()?.1),
                        c => content.push(c),
                    }
                }
                tokens.push(Token::Text(content));
            }
            c if c.is_ascii_alphanumeric() => {
                let inside = |c: &char| c.is_ascii_alphanumeric() || ":-_.".contains(*c);
                let mut end = at + 1;
                while let Some((next, _)) = chars.next_if(|(_, c)| inside(c)) {
                    end = next + 1;
                }
                tokens.push(Token::Word(&text[at..end]));
            }
            _ => return None,
        }
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_ask_for_any_of_some_values() {
        let all = |text: &str| {
            let shown = |value: Option<Value>| value.map_or("?".to_owned(), |value| value.text());
            pattern(text).map(|values| values.into_iter().map(shown).collect::<Vec<_>>().join(" "))
        };
        for (text, expected) in [
            ("[ipv4-addr:value = '192.0.2.1']", Some("192.0.2.1")),
            ("[ipv4-addr:value ISSUBSET '192.0.2.0/24']", Some("192.0.2.0/24")),
            (
                "[ipv4-addr:value='192.0.2.1' OR domain-name:value = 'Evil.Example']",
                Some("192.0.2.1 evil.example"),
            ),
            (
                "[ipv6-addr:value = '2001:db8::1'] OR [domain-name:value = 'a.example']",
                Some("2001:db8::1 a.example"),
            ),
            ("[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]", Some("192.0.2.1 192.0.2.2")),
            ("[(ipv4-addr:value = '192.0.2.1')]", Some("192.0.2.1")),
            ("[domain-name:value = 'it\\'s']", Some("?")),
            ("[ipv4-addr:value = '192.0.2.1' AND domain-name:value = 'a.example']", None),
            ("[ipv4-addr:value = '192.0.2.1'] FOLLOWEDBY [domain-name:value = 'a.example']", None),
            ("[ipv4-addr:value != '192.0.2.1']", None),
            ("[ipv4-addr:value NOT = '192.0.2.1']", None),
            ("[ipv4-addr:value LIKE '192.0.2.%']", None),
            ("[file:hashes.MD5 = 'd41d8']", None),
            ("[ipv4-addr:value = '192.0.2.1'", None),
            ("[ipv4-addr:value = 'unterminated", None),
            ("", None),
        ] {
            assert_eq!(all(text).as_deref(), expected, "{text}");
        }
        assert_eq!(pattern(&"[".repeat(100_000)), None);
        assert_eq!(pattern(&format!("[{}", "(".repeat(100_000))), None);
    }
}
