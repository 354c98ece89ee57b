//! The settings of each kind of sink of which there can be several.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::common::{Limits, Only, Told, sink};
use crate::alert::{Severity, ThreatType};

const ALERTS: [Told; 3] = [Told::Raised, Told::Updated, Told::Resolved];
/// People are not told each time a count grew.
const PEOPLE: [Told; 4] = [Told::Raised, Told::Resolved, Told::Decision, Told::System];
const EVERYTHING: [Told; 5] = [Told::Raised, Told::Updated, Told::Resolved, Told::Decision, Told::System];

sink! {
    /// An HTTP endpoint that each alert is posted to.
    WebhookConfig tells ALERTS;
    /// The backend, as in `https://soc.example.net`.
    url: String = String::new(),
    /// Appended to `url`; empty if `url` is complete.
    path: String = "/api/network/webhook".to_owned(),
    /// File with the secret that signs each request (`X-Vesper-Signature`); empty is none.
    secret_file: PathBuf = PathBuf::new(),
    /// File with a token that is sent as `Authorization: Bearer`; empty is none.
    token_file: PathBuf = PathBuf::new(),
    /// PEM file of the authorities that are trusted, instead of the public ones; empty is those.
    ca_file: PathBuf = PathBuf::new(),
    /// After a message, what comes within so long becomes one summary. 0ms sends each.
    #[serde(with = "crate::config::duration")]
    group_for: Duration = Duration::ZERO,
    /// Messages per minute at most; what is beyond becomes one summary. 0 is no limit.
    per_minute: u32 = 0,
}

sink! {
    /// A Slack channel, by an incoming webhook.
    SlackConfig tells PEOPLE;
    /// File with the address of the incoming webhook, which is a secret.
    url_file: PathBuf = PathBuf::new(),
    /// PEM file of the authorities that are trusted, instead of the public ones; empty is those.
    ca_file: PathBuf = PathBuf::new(),
    /// After a message, what comes within so long becomes one summary. 1s or more, as Slack asks.
    #[serde(with = "crate::config::duration")]
    group_for: Duration = Duration::from_secs(10),
    /// Messages per minute at most; what is beyond becomes one summary. 0 is no limit.
    per_minute: u32 = 6,
}

sink! {
    /// A Prometheus Alertmanager.
    AlertmanagerConfig tells ALERTS;
    /// Its address, as in `http://127.0.0.1:9093`, without `/api/v2/alerts`.
    url: String = String::new(),
    /// File with a token that is sent as `Authorization: Bearer`; empty is none.
    token_file: PathBuf = PathBuf::new(),
    /// PEM file of the authorities that are trusted, instead of the public ones; empty is those.
    ca_file: PathBuf = PathBuf::new(),
    /// Firing alerts are sent again this often, for it may have forgotten them.
    #[serde(with = "crate::config::duration")]
    resend_every: Duration = Duration::from_secs(60),
    /// An alert that was not updated for so long is resolved.
    #[serde(with = "crate::config::duration")]
    resolve_after: Duration = Duration::from_secs(15 * 60),
}

sink! {
    /// A syslog server, RFC 5424.
    SyslogConfig tells EVERYTHING;
    /// `unix:/dev/log`, `udp://host:514` or `tcp://host:601`.
    address: String = "unix:/dev/log".to_owned(),
    /// `daemon`, `auth`, `local0` to `local7`.
    facility: String = "local0".to_owned(),
    /// After a message, what comes within so long becomes one summary. 0ms sends each.
    #[serde(with = "crate::config::duration")]
    group_for: Duration = Duration::ZERO,
    /// Messages per minute at most; what is beyond becomes one summary. 0 is no limit.
    per_minute: u32 = 0,
}

sink! {
    /// People, by SMTP.
    EmailConfig tells PEOPLE;
    /// The mail server's name.
    server: String = String::new(),
    /// Its port; 0 is 587 for `starttls`, 465 for `tls`, 25 for `none`.
    port: u16 = 0,
    /// How the connection is kept private.
    security: EmailSecurity = EmailSecurity::Starttls,
    /// The sender, as in `Vesper <vesper@example.net>`.
    from: String = String::new(),
    /// Who is told.
    to: Vec<String> = Vec::new(),
    /// The name to log in with; empty is no login.
    user: String = String::new(),
    /// File with the password for it.
    password_file: PathBuf = PathBuf::new(),
    /// PEM file of an authority that is trusted beside the system's; empty is none.
    ca_file: PathBuf = PathBuf::new(),
    /// After a mail, what comes within so long becomes one summary.
    #[serde(with = "crate::config::duration")]
    group_for: Duration = Duration::from_secs(60),
    /// Mails per minute at most; what is beyond becomes one summary. 0 is no limit.
    per_minute: u32 = 1,
}

sink! {
    /// A topic of a Kafka cluster.
    KafkaConfig tells EVERYTHING;
    /// Some of its brokers, each `host:port`.
    brokers: Vec<String> = Vec::new(),
    /// The topic, which must be there.
    topic: String = "vesper-alerts".to_owned(),
    /// Whether the brokers speak TLS; `ca_file` is needed then.
    tls: bool = false,
    /// PEM file of the authorities that are trusted.
    ca_file: PathBuf = PathBuf::new(),
    /// The name to log in with by SASL PLAIN; empty is no login.
    user: String = String::new(),
    /// File with the password for it.
    password_file: PathBuf = PathBuf::new(),
}

/// How the connection to a mail server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailSecurity {
    /// TLS after the greeting; without it nothing is sent.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None; for a server on this machine only.
    None,
}

impl WebhookConfig {
    /// The address alerts are posted to.
    pub fn endpoint(&self) -> String {
        if self.path.is_empty() {
            return self.url.clone();
        }
        format!("{}/{}", self.url.trim_end_matches('/'), self.path.trim_start_matches('/'))
    }
}

impl AlertmanagerConfig {
    /// The address alerts are posted to.
    pub fn endpoint(&self) -> String {
        format!("{}/api/v2/alerts", self.url.trim_end_matches('/'))
    }
}

impl EmailConfig {
    /// The port to connect to.
    pub fn port(&self) -> u16 {
        match (self.port, self.security) {
            (0, EmailSecurity::Starttls) => 587,
            (0, EmailSecurity::Tls) => 465,
            (0, EmailSecurity::None) => 25,
            (port, _) => port,
        }
    }
}

/// A syslog server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A datagram socket on this machine.
    Unix(PathBuf),
    /// `host:port`.
    Udp(String),
    /// `host:port`.
    Tcp(String),
}

impl SyslogConfig {
    /// Where messages go; `None` when the address is none.
    pub fn target(&self) -> Option<SyslogAddress> {
        let peer = |text: &str| {
            let (host, port) = text.rsplit_once(':')?;
            (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| text.to_owned())
        };
        if let Some(path) = self.address.strip_prefix("unix:") {
            return path.starts_with('/').then(|| SyslogAddress::Unix(PathBuf::from(path)));
        }
        if let Some(text) = self.address.strip_prefix("udp://") {
            return peer(text).map(SyslogAddress::Udp);
        }
        self.address.strip_prefix("tcp://").and_then(peer).map(SyslogAddress::Tcp)
    }

    /// The number of the facility; `None` when it has no such name.
    pub fn facility_number(&self) -> Option<u8> {
        match self.facility.as_str() {
            "daemon" => Some(3),
            "auth" => Some(4),
            local => local
                .strip_prefix("local")
                .and_then(|number| number.parse::<u8>().ok())
                .filter(|number| *number < 8)
                .map(|number| 16 + number),
        }
    }
}
