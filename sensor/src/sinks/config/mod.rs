//! The section `sinks` of the configuration.

mod common;
mod kinds;
mod problems;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use common::{Limits, Only, Told};
pub use kinds::{
    AlertmanagerConfig, EmailConfig, EmailSecurity, KafkaConfig, SlackConfig, SyslogAddress, SyslogConfig,
    WebhookConfig,
};

use crate::alert::{Severity, ThreatType};

/// Where alerts go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SinksConfig {
    /// The name of this sensor in messages; empty is the machine's host name.
    pub sensor: String,
    /// Where people reach the console, as in `https://vesper.example.net:8888`, for links; empty is no links.
    pub console_url: String,
    /// A file with one JSON object a line.
    pub jsonl: JsonlConfig,
    /// A file in the format of Suricata's EVE.
    pub eve: EveConfig,
    /// HTTP endpoints, each written as `[[sinks.webhook]]`.
    pub webhook: Vec<WebhookConfig>,
    /// Slack channels, each written as `[[sinks.slack]]`.
    pub slack: Vec<SlackConfig>,
    /// Alertmanagers, each written as `[[sinks.alertmanager]]`; of a cluster every member.
    pub alertmanager: Vec<AlertmanagerConfig>,
    /// Syslog servers, each written as `[[sinks.syslog]]`.
    pub syslog: Vec<SyslogConfig>,
    /// People, each group written as `[[sinks.email]]`.
    pub email: Vec<EmailConfig>,
    /// Kafka topics, each written as `[[sinks.kafka]]`.
    pub kafka: Vec<KafkaConfig>,
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
    /// Only alerts at least this severe: `low`, `medium`, `high`, `critical`.
    pub severity: Severity,
    /// Only alerts of these types; empty is all.
    pub types: Vec<ThreatType>,
    /// What is told: `raised`, `updated`, `resolved` alerts, `decision`, `system`.
    pub tell: Vec<Told>,
}

/// The file in the format of Suricata's EVE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EveConfig {
    /// Whether it is written.
    pub enabled: bool,
    /// The file; a relative path starts at `state_dir`.
    pub path: PathBuf,
    /// At this size the file becomes `<path>.1`, in place of an older one, and a new one begins.
    #[serde(with = "crate::config::size")]
    pub rotate_bytes: u64,
    /// Only alerts at least this severe: `low`, `medium`, `high`, `critical`.
    pub severity: Severity,
    /// Only alerts of these types; empty is all.
    pub types: Vec<ThreatType>,
}

impl Default for JsonlConfig {
    fn default() -> Self {
        JsonlConfig {
            enabled: true,
            path: PathBuf::from("alerts.jsonl"),
            rotate_bytes: 64 << 20,
            severity: Severity::Low,
            types: Vec::new(),
            tell: vec![Told::Raised, Told::Updated, Told::Resolved],
        }
    }
}

impl Default for EveConfig {
    fn default() -> Self {
        EveConfig {
            enabled: false,
            path: PathBuf::from("eve.json"),
            rotate_bytes: 64 << 20,
            severity: Severity::Low,
            types: Vec::new(),
        }
    }
}

impl JsonlConfig {
    /// How it is served.
    pub fn limits(&self) -> Limits {
        let (types, tell) = (self.types.clone(), self.tell.clone());
        Limits::of_file(Only { severity: self.severity, types, tell })
    }
}

impl EveConfig {
    /// How it is served.
    pub fn limits(&self) -> Limits {
        let tell = vec![Told::Raised, Told::Updated];
        Limits::of_file(Only { severity: self.severity, types: self.types.clone(), tell })
    }
}

/// The sinks of a list with their labels, those without one by kind and position.
macro_rules! named {
    ($($function:ident $field:ident $type:ident $about:literal;)*) => {
        impl SinksConfig {
            $(
                #[doc = $about]
                pub fn $function(&self) -> impl Iterator<Item = (String, &$type)> {
                    self.$field.iter().enumerate().map(|(index, sink)| {
                        let name = match sink.name.as_str() {
                            "" => format!(concat!(stringify!($field), "_{}"), index + 1),
                            name => name.to_owned(),
                        };
                        (name, sink)
                    })
                }
            )*
        }
    };
}

named! {
    named_webhooks webhook WebhookConfig "The webhooks with their labels.";
    named_slacks slack SlackConfig "The Slack channels with their labels.";
    named_alertmanagers alertmanager AlertmanagerConfig "The Alertmanagers with their labels.";
    named_syslogs syslog SyslogConfig "The syslog servers with their labels.";
    named_emails email EmailConfig "The groups of mail with their labels.";
    named_kafkas kafka KafkaConfig "The Kafka topics with their labels.";
}

impl SinksConfig {
    /// The name of this sensor in messages: letters, digits, dots and dashes.
    pub fn sensor(&self) -> String {
        if !self.sensor.is_empty() {
            return self.sensor.clone();
        }
        let system = rustix::system::uname();
        let host = system.nodename().to_string_lossy();
        let safe: String = host.chars().filter(|c| problems::is_plain(*c) || *c == '.').take(64).collect();
        if safe.is_empty() { "vesper".to_owned() } else { safe }
    }
}
