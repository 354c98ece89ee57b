//! A message as people read it. Text in it came from packets, so every string here went through `printable` and has
//! a limit; what a medium needs beyond that (escapes, encodings) is done where it is sent.

use serde_json::Value;

use super::{Message, Told};
use crate::alert::Severity;
use crate::telemetry::printable;

/// Names, addresses and times.
const SHORT: usize = 200;
/// Sentences.
const LONG: usize = 2000;

/// See the head of this file. Empty text is absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// What is told.
    pub told: Told,
    /// The event.
    pub event: i64,
    /// `threat_id` or id of the decision.
    pub id: String,
    /// Type of the threat, or of the anomaly that was posted.
    pub kind: String,
    /// Of alerts.
    pub severity: Option<Severity>,
    /// What was seen, in sentences.
    pub symptom: String,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// `address` or `address:port`.
    pub source: String,
    /// Likewise.
    pub destination: String,
    /// `TCP` and so on.
    pub protocol: String,
    /// What to do.
    pub action: String,
    /// The incident that looked alike.
    pub incident: String,
    /// How much alike, 0 to 1.
    pub similarity: Option<f64>,
    /// RFC 3339.
    pub time: String,
    /// How long the decision took.
    pub latency_ms: Option<f64>,
    /// Who resolved it, and what was done.
    pub resolution: String,
}

impl Note {
    /// Reads a message; what is not in it stays empty.
    pub fn of(message: &Message) -> Note {
        let json: Value = serde_json::from_str(&message.json).unwrap_or(Value::Null);
        let text = |path: &str, limit: usize| {
            json.pointer(path).and_then(Value::as_str).map(|text| printable(text, limit)).unwrap_or_default()
        };
        let number = |path: &str| json.pointer(path).and_then(Value::as_f64);
        let mut note = Note {
            told: message.told,
            event: message.event,
            id: printable(&message.about, SHORT),
            kind: text("/threat_type", SHORT),
            severity: json.get("severity").and_then(|severity| serde_json::from_value(severity.clone()).ok()),
            symptom: text("/details/narrative", LONG),
            confidence: number("/confidence"),
            source: endpoint(&text("/source_ip", SHORT), number("/source_port")),
            destination: endpoint(&text("/destination_ip", SHORT), number("/destination_port")),
            protocol: text("/protocol", SHORT),
            action: text("/recommendation/action", LONG),
            incident: text("/recommendation/incident_id", SHORT),
            similarity: number("/recommendation/similarity"),
            time: text("/timestamp", SHORT),
            latency_ms: None,
            resolution: String::new(),
        };
        match message.told {
            Told::Raised | Told::Updated => {}
            Told::Resolved => {
                let words = [text("/resolved_by", SHORT), text("/resolution/action", LONG)];
                note.resolution =
                    words.iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>().join(": ");
            }
            Told::Decision => {
                note.kind = text("/error_type", SHORT);
                note.symptom = text("/symptom", LONG);
                note.confidence = number("/confidence_score");
                note.action = text("/recommended_action", LONG);
                note.incident = text("/matched_incident", SHORT);
                note.similarity = number("/similarity");
                note.time = text("/created_at", SHORT);
                note.latency_ms = number("/latency_ms");
            }
            Told::System => {
                let mut said = ["/message", "/text", "/reason"].iter().map(|path| text(path, LONG));
                note.symptom =
                    said.find(|text| !text.is_empty()).unwrap_or_else(|| printable(&message.json, LONG));
                note.time = text("/time", SHORT);
            }
        }
        note
    }

    /// `High PortScan`, `Resolved: High PortScan`, `Decision: database_timeout`, `Sensor`.
    pub fn headline(&self) -> String {
        let alert = || match self.severity {
            Some(severity) => format!("{severity:?} {}", self.kind),
            None => self.kind.clone(),
        };
        match self.told {
            Told::Raised => alert(),
            Told::Updated => format!("Update: {}", alert()),
            Told::Resolved => format!("Resolved: {}", alert()),
            Told::Decision => format!("Decision: {}", self.kind),
            Told::System => "Sensor".to_owned(),
        }
    }

    /// `10.0.0.1 to 10.0.0.2:22`; empty for what has no addresses.
    pub fn way(&self) -> String {
        match (self.source.as_str(), self.destination.as_str()) {
            ("", to) => to.to_owned(),
            (from, "") => from.to_owned(),
            (from, to) => format!("{from} to {to}"),
        }
    }

    /// Where the console shows it; empty without a console or an alert.
    pub fn link(&self, console_url: &str) -> String {
        let is_alert = matches!(self.told, Told::Raised | Told::Updated | Told::Resolved);
        let is_safe =
            !self.id.is_empty() && self.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if console_url.is_empty() || !is_alert || !is_safe {
            return String::new();
        }
        format!("{}/#/alerts/{}", console_url.trim_end_matches('/'), self.id)
    }
}

/// `0.953` as `95 %`.
pub fn percent(part: f64) -> String {
    format!("{:.0} %", part.clamp(0.0, 1.0) * 100.0)
}

fn endpoint(address: &str, port: Option<f64>) -> String {
    match port {
        Some(port) if port > 0.0 && address.contains(':') => format!("[{address}]:{port}"),
        Some(port) if port > 0.0 && !address.is_empty() => format!("{address}:{port}"),
        _ => address.to_owned(),
    }
}
