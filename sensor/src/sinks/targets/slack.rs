//! Alerts to a Slack channel through an incoming webhook, as blocks.
//!
//! Slack reads `<...>` as mentions and links, so `& < >` are escaped everywhere, which is all it asks for; `verbatim`
//! keeps it from making links and mentions of what merely looks like one. Its limits are kept by cutting text before
//! it is escaped.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Client, is_loopback};
use super::note::{Note, percent};
use super::pace::Notify;
use super::summary::Summary;
use super::{Message, Outcome, secret};
use crate::alert::Severity;
use crate::sinks::config::SlackConfig;

/// Of a header, in Slack's words `plain_text`.
const HEADER: usize = 150;
/// Of a section's text.
const SECTION: usize = 3000;
/// Of one of at most ten fields of a section.
const FIELD: usize = 2000;

/// One channel.
#[derive(Debug)]
pub struct Slack {
    client: Client,
    url_file: PathBuf,
    sensor: String,
    console_url: String,
}

impl Slack {
    /// The channel of the settings.
    pub fn new(config: &SlackConfig, sensor: &str, console_url: &str) -> Slack {
        Slack {
            client: Client::new(&config.ca_file),
            url_file: config.url_file.clone(),
            sensor: sensor.to_owned(),
            console_url: console_url.to_owned(),
        }
    }

    fn post(&mut self, body: &Value, timeout: Duration) -> Outcome {
        let url = match secret::read(&self.url_file) {
            Ok(url) => url,
            Err(error) => return Outcome::Retry { error: error.to_string(), after: None },
        };
        // The whole address is the secret: not even its host is shown, for it may not be one.
        let shown = "the address in url_file";
        let uri = url.expose().parse::<axum::http::Uri>().ok();
        let is_safe =
            uri.is_some_and(|uri| uri.scheme_str() == Some("https") || uri.host().is_some_and(is_loopback));
        if !is_safe {
            let error = format!("{shown} does not begin with https://: write the incoming webhook's there");
            return Outcome::Retry { error, after: None };
        }
        self.client.post(url.expose(), shown, &[], body.to_string().as_bytes(), timeout)
    }
}

impl Notify for Slack {
    fn one(&mut self, message: &Message, timeout: Duration) -> Outcome {
        self.post(&of_note(&Note::of(message), &self.sensor, &self.console_url), timeout)
    }

    fn summary(&mut self, summary: &Summary, timeout: Duration) -> Outcome {
        self.post(&of_summary(summary, &self.sensor, &self.console_url), timeout)
    }
}

fn of_note(note: &Note, sensor: &str, console_url: &str) -> Value {
    let mut blocks = vec![header(&format!("{} on {sensor}", note.headline()))];
    if !note.symptom.is_empty() {
        blocks.push(section(&escaped(&note.symptom, SECTION)));
    }
    let fields: Vec<Value> = [
        ("Confidence", note.confidence.map(percent).unwrap_or_default()),
        ("Source", code(&note.source, FIELD - 100)),
        ("Destination", code(&note.destination, FIELD - 100)),
        ("Protocol", escaped(&note.protocol, 100)),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| mrkdwn(format!("*{name}*\n{value}")))
    .collect();
    if !fields.is_empty() {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    if !note.action.is_empty() {
        blocks.push(section(&format!("*Recommended action*\n{}", code(&note.action, SECTION - 100))));
    }
    if !note.incident.is_empty() {
        let similarity = note.similarity.map(|part| format!(", {} alike", percent(part))).unwrap_or_default();
        blocks.push(section(&format!("*Similar incident* {}{similarity}", code(&note.incident, 300))));
    }
    if !note.resolution.is_empty() {
        blocks.push(section(&format!("*Resolved by* {}", escaped(&note.resolution, SECTION - 100))));
    }
    let latency = note.latency_ms.map(|ms| format!("decided in {ms:.0} ms")).unwrap_or_default();
    let foot: Vec<String> = [note.id.as_str(), note.time.as_str(), latency.as_str()]
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| escaped(text, 300))
        .collect();
    if !foot.is_empty() {
        blocks.push(context(&foot.join(" · ")));
    }
    let link = note.link(console_url);
    if !link.is_empty() {
        blocks.push(button(&link));
    }
    message(&format!("{} on {sensor}: {}", note.headline(), note.symptom), note.severity, blocks)
}

fn of_summary(summary: &Summary, sensor: &str, console_url: &str) -> Value {
    let mut blocks = vec![header(&format!("{} on {sensor}", summary.headline()))];
    let fields: Vec<Value> = [("Severity", summary.severities()), ("Sources", summary.sources())]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| mrkdwn(format!("*{name}*\n{}", escaped(&value, FIELD - 100))))
        .collect();
    if !fields.is_empty() {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    for note in &summary.named {
        let (headline, way) = (escaped(&note.headline(), 300), code(&note.way(), 500));
        let symptom = escaped(&note.symptom, 300);
        blocks.push(section(&format!("*{headline}* {way}\n{symptom}\n{}", code(&note.id, 300))));
    }
    let further = match summary.unnamed() {
        0 => String::new(),
        further => format!("and {further} further · "),
    };
    let [first, last] = &summary.times;
    blocks
        .push(context(&escaped(&format!("{further}{} messages, {first} to {last}", summary.messages), 1000)));
    if !console_url.is_empty() {
        blocks.push(button(&format!("{}/#/alerts", console_url.trim_end_matches('/'))));
    }
    message(&format!("{} on {sensor}", summary.headline()), summary.worst, blocks)
}

/// The blocks, and the text that notifications show.
fn message(text: &str, severity: Option<Severity>, blocks: Vec<Value>) -> Value {
    let mark = match severity {
        Some(Severity::Critical | Severity::High) => ":red_circle: ",
        Some(Severity::Medium) => ":large_orange_circle: ",
        _ => "",
    };
    json!({
        "text": format!("{mark}{}", escaped(text, SECTION)),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn header(text: &str) -> Value {
    json!({ "type": "header", "text": { "type": "plain_text", "text": escaped(text, HEADER), "emoji": false } })
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(text.to_owned()) })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [mrkdwn(text.to_owned())] })
}

fn button(url: &str) -> Value {
    json!({ "type": "actions", "elements": [{
        "type": "button", "text": { "type": "plain_text", "text": "Open in the console" }, "url": url,
    }] })
}

fn mrkdwn(text: String) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// At most `limit` characters, the escapes counted too and never cut.
fn escaped(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        let grows = piece.len().max(1);
        if length + grows >= limit {
            out.push('…');
            break;
        }
        length += grows;
        if piece.is_empty() { out.push(c) } else { out.push_str(piece) }
    }
    out
}

/// In code style; a backtick would end it.
fn code(text: &str, limit: usize) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("`{}`", escaped(&text.replace('`', "'").replace('\n', " "), limit - 2))
}

#[cfg(test)]
#[path = "slack_tests.rs"]
mod tests;
