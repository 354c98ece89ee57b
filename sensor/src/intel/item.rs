//! What a list says: one network, domain or JA4 fingerprint, and how sure the list is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::prefix::{NotAPrefix, Prefix};

/// Longest domain (RFC 1035, 2.3.4).
const DOMAIN: usize = 253;
/// Longest description that is kept, characters.
pub const DESCRIPTION: usize = 200;

/// What can be listed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Addresses.
    Net(Prefix),
    /// A name, and every name below it: lower case, without a dot at the end.
    Domain(Box<str>),
    /// A TLS client's fingerprint.
    Ja4(Box<str>),
}

/// Something that a list says.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Of what.
    pub value: Value,
    /// 0 to 100, where the list says it.
    pub confidence: Option<u8>,
    /// In the list's words.
    pub description: Arc<str>,
    /// Seconds since the Unix epoch from which on it does not hold; 0 is never.
    pub until: u64,
    /// The object or event it comes from, where its list is told in parts.
    pub part: Option<Arc<str>>,
}

/// What of a list was not taken, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refused {
    /// Nothing that can be read as a network, domain or JA4 fingerprint.
    pub malformed: u64,
    /// Of another kind than those, or a pattern beyond what is understood.
    pub unsupported: u64,
    /// No longer valid.
    pub expired: u64,
    /// Taken back by its list.
    pub revoked: u64,
    /// Of a network of `intel.own_networks`.
    pub own: u64,
    /// Allowed by `intel.allow` or by a list that allows.
    pub allowed: u64,
    /// Said with too little confidence, or not meant for detection.
    pub doubtful: u64,
    /// Beyond `intel.max_prefixes` or `intel.max_names`.
    pub beyond: u64,
}

impl Refused {
    /// Each reason with its count.
    pub fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("malformed", self.malformed),
            ("unsupported", self.unsupported),
            ("expired", self.expired),
            ("revoked", self.revoked),
            ("own", self.own),
            ("allowed", self.allowed),
            ("doubtful", self.doubtful),
            ("beyond", self.beyond),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.counts().iter().map(|(_, count)| count).sum()
    }

    /// Adds others.
    pub fn add(&mut self, other: &Refused) {
        self.malformed += other.malformed;
        self.unsupported += other.unsupported;
        self.expired += other.expired;
        self.revoked += other.revoked;
        self.own += other.own;
        self.allowed += other.allowed;
        self.doubtful += other.doubtful;
        self.beyond += other.beyond;
    }
}

impl Value {
    /// What a bare text is: tried as a network, as a fingerprint, as a domain or the domain of an address such as
    /// `https://example.com/x`.
    pub fn guess(text: &str) -> Option<Value> {
        match text.parse() {
            Ok(prefix) => return Some(Value::Net(prefix)),
            Err(NotAPrefix::HoldsMapped) => return None,
            Err(NotAPrefix::Malformed) => {}
        }
        Value::ja4(text).or_else(|| Value::domain(text))
    }

    /// A network, where this is one.
    pub fn net(text: &str) -> Option<Value> {
        text.parse().ok().map(Value::Net)
    }

    /// A domain, where this is one. A name of one label would match half of the world.
    pub fn domain(text: &str) -> Option<Value> {
        let text = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
        let text = text.strip_suffix('.').unwrap_or(text);
        let plain = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let named = text.len() <= DOMAIN && text.contains('.') && text.split('.').all(plain);
        let numeric =
            text.rsplit('.').next().is_some_and(|top| top.bytes().all(|byte| byte.is_ascii_digit()));
        (named && !numeric).then(|| Value::Domain(text.to_ascii_lowercase().into()))
    }

    /// A JA4 fingerprint, where this is one, as in `t13d1516h2_8daaf6152771_02713d6af862`.
    pub fn ja4(text: &str) -> Option<Value> {
        let [head, ciphers, extensions] = text.split('_').collect::<Vec<_>>().try_into().ok()?;
        let head: &[u8; 10] = head.as_bytes().try_into().ok()?;
        let hash = |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known = matches!(head[0], b't' | b'q' | b'd')
            && matches!(head[3], b'd' | b'i')
            && head[4..8].iter().all(u8::is_ascii_digit)
            && head[1..].iter().all(u8::is_ascii_alphanumeric);
        (known && hash(ciphers) && hash(extensions)).then(|| Value::Ja4(text.to_ascii_lowercase().into()))
    }

    /// As text, as it was read.
    pub fn text(&self) -> String {
        match self {
            Value::Net(prefix) => prefix.to_string(),
            Value::Domain(text) | Value::Ja4(text) => text.to_string(),
        }
    }
}

/// A description as alerts may show it.
pub fn description(text: &str) -> Arc<str> {
    crate::telemetry::printable(text.trim(), DESCRIPTION).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_texts_are_told_apart() {
        let ja4 = "t13d1516h2_8daaf6152771_02713d6af862";
        for (text, expected) in [
            ("192.0.2.1", Some(Value::Net("192.0.2.1".parse().unwrap()))),
            ("2001:db8::/32", Some(Value::Net("2001:db8::/32".parse().unwrap()))),
            ("::/0", None),
            ("Evil.Example.", Some(Value::Domain("evil.example".into()))),
            ("*.evil.example", Some(Value::Domain("evil.example".into()))),
            (ja4, Some(Value::Ja4(ja4.into()))),
            ("com", None),
            ("192.0.2.300", None),
            ("192.0.2", None),
            ("a..b", None),
            ("evil.example/x", None),
            ("evil example.com", None),
            ("\u{202e}evil.com", None),
            ("", None),
        ] {
            assert_eq!(Value::guess(text), expected, "{text}");
        }
        assert_eq!(Value::guess(&format!("{}.com", "a.".repeat(130))), None);
    }
}
