//! Alerts to a Prometheus Alertmanager.
//!
//! It keeps alerts in memory only, so those that fire are sent again every minute, and those that ended for five
//! minutes more: one that was restarted empty knows all of them within a minute. Each is sent with an end a few
//! minutes ahead, so those of a sensor that died end by themselves. What fired before a restart of the sensor is read back
//! from the store, and goes on or ends as if there had been none.
//!
//! Its labels are the identity of an alert: what routes and groups, and the `threat_id`, without which a second
//! scanner would be no news while the first is still at it. Addresses, scores and counts change, and are annotations.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Client, redacted};
use super::note::{Note, percent};
use super::{Message, Outcome, Target, Told, nanos, secret, together, wall};
use crate::sinks::config::AlertmanagerConfig;
use crate::status::rfc3339;

/// Alerts that fire or ended lately. Beyond, the one that was updated longest ago is let go, and ends there by itself.
const MOST: usize = 2000;
/// Alerts in one request.
const BATCH: usize = 200;
/// Alerts that ended are sent so long.
const AFTERLIFE: u64 = 300 * 1_000_000_000;
/// What is not sent again for so many intervals ends by itself.
const INTERVALS: u64 = 4;

/// One Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    client: Client,
    endpoint: String,
    shown: String,
    token_file: PathBuf,
    sensor: String,
    console_url: String,
    resend_every: u64,
    resolve_after: u64,
    timeout: Duration,
    /// By `threat_id` and severity, which is a label and can change.
    alerts: BTreeMap<(String, String), Known>,
    next_resend: u64,
}

#[derive(Clone, Debug)]
struct Known {
    labels: Value,
    annotations: Value,
    link: String,
    starts_at: u64,
    updated_at: u64,
    ended_at: Option<u64>,
}

impl Alertmanager {
    /// The Alertmanager of the settings.
    pub fn new(config: &AlertmanagerConfig, sensor: &str, console_url: &str) -> Alertmanager {
        let endpoint = config.endpoint();
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Alertmanager {
            client: Client::new(&config.ca_file),
            shown: redacted(&endpoint),
            endpoint,
            token_file: config.token_file.clone(),
            sensor: sensor.to_owned(),
            console_url: console_url.to_owned(),
            resend_every: nanoseconds(config.resend_every),
            resolve_after: nanoseconds(config.resolve_after),
            timeout: config.timeout,
            alerts: BTreeMap::new(),
            next_resend: 0,
        }
    }

    /// Remembers what a message says; the keys of the alerts that it changed.
    fn take(&mut self, message: &Message, now: u64) -> Vec<(String, String)> {
        if !matches!(message.told, Told::Raised | Told::Updated | Told::Resolved) {
            return Vec::new();
        }
        let note = Note::of(message);
        let severity =
            note.severity.map(|severity| format!("{severity:?}").to_lowercase()).unwrap_or_default();
        let key = (note.id.clone(), severity.clone());
        let mut changed = Vec::new();
        // An alert that became worse is another one there; the milder one has ended.
        let others = self.alerts.iter_mut().filter(|((id, other), _)| *id == note.id && *other != severity);
        for (other, known) in others {
            known.ended_at = known.ended_at.or(Some(now));
            changed.push(other.clone());
        }
        let starts_at = self.alerts.get(&key).map_or(now, |known| known.starts_at);
        let known = Known {
            labels: json!({
                "alertname": "VesperThreat",
                "threat_type": note.kind,
                "severity": severity,
                "sensor": self.sensor,
                "threat_id": note.id,
            }),
            annotations: annotations(&note),
            link: note.link(&self.console_url),
            starts_at,
            updated_at: now,
            ended_at: (message.told == Told::Resolved).then_some(now),
        };
        self.alerts.insert(key.clone(), known);
        if self.alerts.len() > MOST
            && let Some(oldest) =
                self.alerts.iter().min_by_key(|(_, known)| known.updated_at).map(|(key, _)| key.clone())
        {
            self.alerts.remove(&oldest);
        }
        changed.push(key);
        changed
    }

    fn deliver_at(&mut self, messages: &[Message], timeout: Duration, now: u64) -> Vec<Outcome> {
        let mut keys: Vec<_> = messages.iter().flat_map(|message| self.take(message, now)).collect();
        keys.sort();
        keys.dedup();
        let outcome = if keys.is_empty() { Outcome::Delivered } else { self.post(&keys, timeout, now) };
        together(outcome, messages.len())
    }

    fn tick_at(&mut self, now: u64) -> Result<(), String> {
        for known in self.alerts.values_mut() {
            if known.ended_at.is_none() && now.saturating_sub(known.updated_at) >= self.resolve_after {
                known.ended_at = Some(now);
                // Told at once.
                self.next_resend = 0;
            }
        }
        if now < self.next_resend {
            return Ok(());
        }
        self.next_resend = now + self.resend_every;
        self.alerts
            .retain(|_, known| known.ended_at.is_none_or(|ended| now.saturating_sub(ended) < AFTERLIFE));
        let keys: Vec<_> = self.alerts.keys().cloned().collect();
        for some in keys.chunks(BATCH) {
            match self.post(some, self.timeout, now) {
                Outcome::Delivered => {}
                Outcome::Retry { error, .. } | Outcome::Refused { error } => {
                    return Err(error);
                }
                Outcome::Wait { .. } => {}
            }
        }
        Ok(())
    }

    fn post(&mut self, keys: &[(String, String)], timeout: Duration, now: u64) -> Outcome {
        let mut headers = Vec::new();
        if !self.token_file.as_os_str().is_empty() {
            match secret::read(&self.token_file) {
                Ok(token) => headers.push(("authorization", format!("Bearer {}", token.expose()))),
                Err(error) => return Outcome::Retry { error: error.to_string(), after: None },
            }
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ahead = now + self.resend_every * INTERVALS;
        let alerts: Vec<Value> = keys
            .iter()
            .filter_map(|key| self.alerts.get(key))
            .map(|known| {
                json!({
                    "labels": known.labels,
                    "annotations": known.annotations,
                    "startsAt": rfc3339(known.starts_at),
                    "endsAt": rfc3339(known.ended_at.unwrap_or(ahead)),
                    "generatorURL": known.link,
                })
            })
            .collect();
        let body = Value::from(alerts).to_string();
        self.client.post(&self.endpoint, &self.shown, &headers, body.as_bytes(), timeout)
    }
}

impl Target for Alertmanager {
    fn deliver(&mut self, messages: &[Message], timeout: Duration) -> Vec<Outcome> {
        self.deliver_at(messages, timeout, nanos(wall()))
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn memory(&self) -> Duration {
        Duration::from_nanos(self.resolve_after.saturating_add(AFTERLIFE))
    }

    fn remember(&mut self, taken: &[(Message, u64)]) {
        for (message, at) in taken {
            self.take(message, *at);
        }
    }

    fn tick(&mut self, now: u64) -> Result<(), String> {
        self.tick_at(now)
    }
}

fn annotations(note: &Note) -> Value {
    let mut annotations = serde_json::Map::new();
    for (name, value) in [
        ("summary", &format!("{} {}", note.headline(), note.way())),
        ("description", &note.symptom),
        ("source", &note.source),
        ("destination", &note.destination),
        ("protocol", &note.protocol),
        ("confidence", &note.confidence.map(percent).unwrap_or_default()),
        ("action", &note.action),
        ("incident", &note.incident),
    ] {
        if !value.is_empty() {
            annotations.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(annotations)
}

#[cfg(test)]
#[path = "alertmanager_tests.rs"]
mod tests;
