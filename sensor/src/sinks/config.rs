//! The section `sinks` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::targets::Told;
use crate::alert::{Severity, ThreatType};

/// What one sink wants to be told. Asked when an alert is stored: what a sink does not want never waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// Least severity.
    pub severity: Severity,
    /// Types; none is all.
    pub types: Vec<ThreatType>,
    /// Kinds of messages.
    pub tell: Vec<Told>,
}

impl Only {
    /// Whether the sink wants this; `alert` is `None` for what is about none.
    pub fn wants(&self, told: Told, alert: Option<(ThreatType, Severity)>) -> bool {
        self.tell.contains(&told)
            && alert.is_none_or(|(kind, severity)| {
                severity >= self.severity && (self.types.is_empty() || self.types.contains(&kind))
            })
    }
}

/// How one sink is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one attempt.
    pub timeout: Duration,
    /// Wait before the first retry; doubles with each.
    pub backoff: Duration,
    /// What could not be delivered for so long is a dead letter.
    pub give_up_after: Duration,
    /// Messages that may wait; of more, the oldest expire.
    pub queue: usize,
    /// What it wants.
    pub only: Only,
}

/// More would be a thread and a queue each.
const MOST_WEBHOOKS: usize = 16;

/// Where alerts go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SinksConfig {
    /// A file with one JSON object a line.
    pub jsonl: JsonlConfig,
    /// HTTP endpoints, each written as `[[sinks.webhook]]`.
    pub webhook: Vec<WebhookConfig>,
}

/// The file of JSON lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JsonlConfig {
    /// Whether it is written.
    pub enabled: bool,
    /// The file; a relative path starts at `state_dir`.
    pub path: PathBuf,
    /// At this size the file becomes `<path>.1`, in place of an older one, and a new one begins.
    #[serde(with = "crate::config::size")]
    pub rotate_bytes: u64,
}

impl Default for JsonlConfig {
    fn default() -> Self {
        JsonlConfig { enabled: true, path: PathBuf::from("alerts.jsonl"), rotate_bytes: 64 << 20 }
    }
}

/// An HTTP endpoint that each alert is posted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Label in metrics and logs; empty is `webhook_1`, `webhook_2` by position.
    pub name: String,
    /// The backend, as in `https://soc.example.net`.
    pub url: String,
    /// Appended to `url`; empty if `url` is complete.
    pub path: String,
    /// For one attempt, from the name lookup to the end of the answer.
    #[serde(with = "crate::config::duration")]
    pub timeout: Duration,
    /// How long it is tried, from when the alert was stored; then it is a dead letter (`vesper alerts retry`).
    #[serde(with = "crate::config::duration")]
    pub give_up_after: Duration,
    /// Wait before the first retry; doubles with each, up to 5m.
    #[serde(with = "crate::config::duration")]
    pub backoff: Duration,
    /// Messages that may wait; of more, the oldest expire and are counted.
    pub queue: usize,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        WebhookConfig {
            name: String::new(),
            url: String::new(),
            path: "/api/network/webhook".to_owned(),
            timeout: Duration::from_secs(10),
            give_up_after: Duration::from_secs(72 * 3600),
            backoff: Duration::from_secs(1),
            queue: 100_000,
        }
    }
}

impl WebhookConfig {
    /// How it is served.
    pub fn limits(&self) -> Limits {
        let tell = vec![Told::Raised, Told::Updated, Told::Resolved];
        Limits {
            timeout: self.timeout,
            backoff: self.backoff,
            give_up_after: self.give_up_after,
            queue: self.queue,
            only: Only { severity: Severity::Low, types: Vec::new(), tell },
        }
    }

    /// The address alerts are posted to.
    pub fn endpoint(&self) -> String {
        if self.path.is_empty() {
            return self.url.clone();
        }
        format!("{}/{}", self.url.trim_end_matches('/'), self.path.trim_start_matches('/'))
    }
}

impl SinksConfig {
    /// The webhooks with their labels.
    pub fn named_webhooks(&self) -> impl Iterator<Item = (String, &WebhookConfig)> {
        self.webhook.iter().enumerate().map(|(index, webhook)| {
            let name =
                if webhook.name.is_empty() { format!("webhook_{}", index + 1) } else { webhook.name.clone() };
            (name, webhook)
        })
    }

    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.jsonl.enabled && self.jsonl.path.as_os_str().is_empty() {
            problems.push("jsonl.path is empty: name a file, or set sinks.jsonl.enabled = false".to_owned());
        }
        if self.jsonl.rotate_bytes < 1 << 20 {
            let size = crate::config::size::format(self.jsonl.rotate_bytes);
            problems.push(format!("jsonl.rotate_bytes = {size} is too small: use at least 1MiB"));
        }
        if self.webhook.len() > MOST_WEBHOOKS {
            problems.push(format!("webhook: {} are too many: at most {MOST_WEBHOOKS}", self.webhook.len()));
        }
        let mut names = vec!["jsonl".to_owned()];
        for (index, (name, webhook)) in self.named_webhooks().enumerate() {
            let mut add = |key: &str, text: String| problems.push(format!("webhook[{index}].{key} {text}"));
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.len() > 40 || !name.chars().all(plain) {
                add("name", format!("= {name:?} is no label: up to 40 letters, digits, `_` and `-`"));
            }
            if names.contains(&name) {
                add("name", format!("= {name:?} is taken by another sink: choose another"));
            }
            names.push(name);
            let endpoint = webhook.endpoint();
            let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
                add(
                    "url",
                    "is not an http:// or https:// address: write one such as https://soc.example.net"
                        .to_owned(),
                );
            } else if endpoint.chars().any(|c| c.is_whitespace() || c.is_control()) {
                add("url", "holds a space or control character: remove it, or write %20".to_owned());
            }
            if !(Duration::from_millis(100)..=Duration::from_secs(300)).contains(&webhook.timeout) {
                let value = crate::config::duration::format(webhook.timeout);
                add("timeout", format!("= {value} is out of range: choose 100ms to 5m"));
            }
            if !(Duration::from_secs(1)..=Duration::from_secs(30 * 86_400)).contains(&webhook.give_up_after) {
                let value = crate::config::duration::format(webhook.give_up_after);
                add("give_up_after", format!("= {value} is out of range: choose 1s to 30d"));
            }
            if !(1..=1_000_000).contains(&webhook.queue) {
                add("queue", format!("= {} is out of range: choose 1 to 1000000", webhook.queue));
            }
        }
        problems
    }
}
