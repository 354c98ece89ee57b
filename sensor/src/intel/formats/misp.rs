//! A MISP feed: a manifest that names events, and a file of each event (MISP core format, draft-dulaunoy-misp-core-format).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::super::item::{Item, Value, description};
use super::{FormatError, Parsed};

/// Events of one feed, the newest ones.
pub const EVENTS: usize = 10_000;

#[derive(Deserialize)]
struct Summary {
    #[serde(default, deserialize_with = "number")]
    timestamp: u64,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Event")]
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    info: String,
    #[serde(default)]
    uuid: String,
    #[serde(rename = "Attribute", default)]
    attributes: Vec<Attribute>,
    #[serde(rename = "Object", default)]
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "Attribute", default)]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    to_ids: bool,
    #[serde(default)]
    deleted: bool,
}

/// Numbers are texts in older files.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0))
}

/// The events of a manifest, newest first, with their times. A name that is no UUID would be a path somewhere.
pub fn manifest(bytes: &[u8]) -> Result<Vec<(String, u64)>, FormatError> {
    let events: BTreeMap<String, Summary> = serde_json::from_slice(bytes)
        .map_err(|error| FormatError::Malformed { expected: "a MISP manifest", reason: error.to_string() })?;
    let uuid = |name: &str| name.len() == 36 && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let mut events: Vec<(String, u64)> = events
        .into_iter()
        .filter(|(name, _)| uuid(name))
        .map(|(name, event)| (name, event.timestamp))
        .collect();
    events.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    events.truncate(EVENTS);
    Ok(events)
}

/// What an event says that is meant for detection.
pub fn event(bytes: &[u8]) -> Result<Parsed, FormatError> {
    let File { event } = serde_json::from_slice(bytes)
        .map_err(|error| FormatError::Malformed { expected: "a MISP event", reason: error.to_string() })?;
    let mut parsed = Parsed::default();
    let (info, part): (Arc<str>, Arc<str>) = (description(&event.info), event.uuid.as_str().into());
    for attribute in event.attributes.iter().chain(event.objects.iter().flat_map(|o| &o.attributes)) {
        if attribute.deleted {
            parsed.refused.revoked += 1;
        } else if !attribute.to_ids {
            parsed.refused.doubtful += 1;
        } else {
            for value in values(attribute, &mut parsed.refused) {
                let description = match attribute.comment.as_str() {
                    "" => info.clone(),
                    comment => description(comment),
                };
                let part = Some(part.clone());
                parsed.items.push(Item { value, confidence: None, description, until: 0, part });
            }
        }
    }
    Ok(parsed)
}

fn values(attribute: &Attribute, refused: &mut super::super::item::Refused) -> Vec<Value> {
    let text = attribute.value.trim();
    let first = || text.split('|').next().unwrap_or_default();
    let found = match attribute.kind.as_str() {
        "ip-src" | "ip-dst" => vec![Value::net(text)],
        "ip-src|port" | "ip-dst|port" => vec![Value::net(first())],
        "domain" | "hostname" => vec![Value::domain(text)],
        "hostname|port" => vec![Value::domain(first())],
        "domain|ip" => vec![Value::domain(first()), text.split('|').nth(1).and_then(Value::net)],
        "ja4" | "ja4-fingerprint" => vec![Value::ja4(text)],
        _ => {
            refused.unsupported += 1;
            return Vec::new();
        }
    };
    refused.malformed += found.iter().filter(|value| value.is_none()).count() as u64;
    found.into_iter().flatten().collect()
}
