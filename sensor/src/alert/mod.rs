//! Scores to alerts: what is raised, of which type, how severe, and why.
//!
//! In: rows with their scores. Out: one alert for one attack, with a count. The score decides whether there is an
//! alert, the rules what type it has. Never here: I/O, or text from a packet.

#[cfg(test)]
mod app_captures;
#[cfg(test)]
mod app_names;
pub mod app_rules;
pub mod book;
#[cfg(test)]
mod book_tests;
pub mod candidate;
pub mod condition;
pub mod config;
pub mod eve;
pub mod fingerprint;
pub mod likeness;
pub mod link_rules;
pub mod mitre;
pub mod narrative;
pub mod report;
pub mod rules;
pub mod sighting;

pub use config::AlertConfig;

use serde::{Deserialize, Serialize};

/// What kind of threat the traffic shows. The names are those the users' backends read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub enum ThreatType {
    /// Denial of service from one source.
    DoS,
    /// Denial of service from many sources.
    DDoS,
    /// One source tries many ports or many hosts.
    PortScan,
    /// Requests that attack a web application.
    WebAttack,
    /// Movement from host to host inside the network.
    Infiltration,
    /// A host that reports to a command-and-control server.
    Bot,
    /// Many logins tried.
    BruteForce,
    /// Far more data leaves than is usual.
    Exfiltration,
    /// Unusual, and none of the above.
    Anomaly,
}

/// How bad it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// One step worse.
    pub fn worse(self) -> Severity {
        match self {
            Severity::Low => Severity::Medium,
            Severity::Medium => Severity::High,
            Severity::High | Severity::Critical => Severity::Critical,
        }
    }
}

/// An alert, as it leaves the sensor. The fields and their names are the webhook format of the users' backends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Alert {
    /// `THREAT_` date `_` number, unique on this sensor: `THREAT_20251023_001`.
    pub threat_id: String,
    /// What it is.
    pub threat_type: ThreatType,
    /// How bad it is.
    pub severity: Severity,
    /// Who does it.
    pub source_ip: String,
    /// To whom; empty when there are many.
    pub destination_ip: String,
    /// Port of the source, 0 when there are many or none.
    pub source_port: u16,
    /// Port of the destination, 0 when there are many or none.
    pub destination_port: u16,
    /// `TCP`, `UDP`, `ICMP`, `ICMPv6`, `SCTP` or the IP protocol number.
    pub protocol: String,
    /// 0 to 1.
    pub confidence: f64,
    /// RFC 3339, UTC: when the window that raised it ended.
    pub timestamp: String,
    /// What was seen.
    pub details: Details,
    /// What worked last time; absent while there is no such incident.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recommendation: Option<Recommendation>,
    /// The same in the words of a language model; absent unless one is configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rewritten: Option<crate::incidents::language::Rewritten>,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Details {
    /// Packets, both directions.
    pub packet_count: u64,
    /// Bytes, both directions.
    pub total_bytes: u64,
    /// Seconds from the first to the last packet.
    pub duration: f64,
    /// TCP flags seen.
    pub flags: Vec<String>,
    /// The model that scored it, with its generation.
    pub model_used: String,
    /// The score.
    pub score: f64,
    /// The score above which the sensor alerts.
    pub threshold: f64,
    /// The member of the ensemble that the score is from; empty where no model judged.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub member: String,
    /// What made the score, largest share first. The shares add up to 1: share by share they are the score.
    pub explanation: Vec<Share>,
    /// Past alerts that looked alike, the most alike first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub neighbours: Vec<Neighbour>,
    /// Techniques of MITRE ATT&CK that this may be, such as `T1046`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub mitre: Vec<String>,
    /// One or two sentences for a person.
    pub narrative: String,
    /// Community ID v1 of the flow; empty for an alert about a host.
    pub community_id: String,
    /// What the flow was wrapped in; absent for one in no tunnel, and for an alert about a host.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub tunnel: Option<crate::flow::tunnel::TunnelRecord>,
    /// MAC address of the source, where the alert is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_mac: Option<String>,
    /// Who else knows of it; absent where no list does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intel: Option<IntelMatch>,
    /// RFC 3339: first packet.
    pub first_seen: String,
    /// RFC 3339: latest packet.
    pub last_seen: String,
    /// Windows folded into this alert, from 1.
    pub count: u64,
}

/// What a list says of an address, a name or a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IntelMatch {
    /// The list, by its name in the configuration.
    pub feed: String,
    /// What is listed.
    pub indicator: String,
    /// `ip`, `domain` or `ja4`.
    pub kind: String,
    /// In the list's words; may be empty.
    pub description: String,
    /// 0 to 100, as the list says or as is configured.
    pub confidence: u8,
}

/// A feature's part in a score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Share {
    /// The feature; `rule` for what a rule adds, `other` for what is not listed.
    pub feature: String,
    /// Unit of the values.
    #[serde(default)]
    pub unit: String,
    /// What was seen, in the feature's unit.
    pub value: f64,
    /// What the model expected, same unit.
    pub expected: f64,
    /// The value nearest to what was seen with which this would not have been unusual, all else as it was; absent where
    /// this feature alone would not have changed it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accepted: Option<f64>,
    /// Part of the score, 0 to 1.
    pub share: f64,
}

/// A past alert that looked alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Neighbour {
    /// The alert.
    pub threat_id: String,
    /// What it was.
    pub threat_type: ThreatType,
    /// When it was raised, RFC 3339.
    pub timestamp: String,
    /// Cosine of the two fingerprints, 0 to 1.
    pub similarity: f64,
}

/// A new alert with what else is known of it.
#[derive(Clone, Debug)]
pub struct Raised {
    /// The alert.
    pub alert: Alert,
    /// How its row deviates, to compare it with others; see [`fingerprint`]. Empty where no model judged.
    pub fingerprint: Vec<f32>,
    /// Sampled packets of its source, oldest first.
    pub evidence: Vec<crate::capture::Sample>,
}

/// What worked in a past incident that looked alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Recommendation {
    /// The incident.
    pub incident_id: String,
    /// 0 to 1.
    pub similarity: f64,
    /// What to do.
    pub action: String,
    /// 0 to 1.
    pub confidence: f64,
}
