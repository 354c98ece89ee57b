//! What lists know: a listed address, name or client seen in a window.
//!
//! In: matches. Out: one alert for an indicator and the host that met it, with a count. It needs no model and no warm-up.

use super::config::AlertConfig;
use super::report::{protocol, rfc3339};
use super::{Alert, Details, IntelMatch, Severity, Share, ThreatType};
use crate::flow::community_id::community_id;
use crate::flow::flags::FlagCounts;
use crate::flow::ip;
use crate::intel::Hit;
use crate::telemetry::printable;
use sensor_ebpf::flow::FlowKey;

/// What makes two sightings the same: the indicator and, unless it came by itself, who turned to it.
pub type SightingKey = (String, Option<[u8; 16]>);
/// Longest name that is shown, characters.
const SHOWN: usize = 120;

/// A match in a window; of several flows, their sum.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// What is listed, and by whom.
    pub hit: Hit,
    /// The latest flow.
    pub key: FlowKey,
    /// Who began it, and with whom.
    pub ends: [[u8; 16]; 2],
    /// Their ports.
    pub ports: [u16; 2],
    /// The initiator is what is listed.
    pub comes: bool,
    /// The name that was asked for, as it was spelt.
    pub name: Option<String>,
    /// Packets from the initiator and towards it.
    pub packets: [u64; 2],
    /// Bytes, both directions.
    pub bytes: u64,
    /// TCP flags seen.
    pub flags: FlagCounts,
    /// First and latest packet.
    pub seen: [u64; 2],
}

impl Sighting {
    /// See [`SightingKey`].
    pub fn fold_key(&self) -> SightingKey {
        (self.hit.indicator.clone(), (!self.comes).then_some(self.ends[0]))
    }

    /// The host that met it.
    pub fn host(&self) -> [u8; 16] {
        self.ends[usize::from(self.comes)]
    }

    /// Adds another flow of the same window.
    pub fn add(&mut self, other: Sighting) {
        self.packets = [0, 1].map(|side| self.packets[side] + other.packets[side]);
        self.bytes += other.bytes;
        self.flags.add(&other.flags);
        self.seen = [self.seen[0].min(other.seen[0]), self.seen[1].max(other.seen[1])];
    }

    /// As the list's settings say, one more where a critical host takes part. A listed address that knocks and is not answered
    /// is the noise of the Internet.
    fn severity(&self, config: &AlertConfig) -> Severity {
        let noise = self.comes && self.packets[1] == 0;
        let usual = if noise { Severity::Low } else { self.hit.feed.severity };
        if config.is_critical(&self.host()) { usual.worse() } else { usual }
    }

    /// Who met what, and who says what of it.
    pub fn narrative(&self) -> String {
        let [source, destination] = self.ends.map(|end| ip(&end));
        let (port, hit) = (self.ports[1], &self.hit);
        let met = match (hit.kind, &self.name) {
            ("ip", _) if self.comes && self.packets[1] == 0 => {
                format!("{source} tried port {port} of {destination} and was not answered; the source")
            }
            ("ip", _) if self.comes => format!("{source} reached port {port} of {destination}; the source"),
            ("ip", _) => format!("{source} talked to port {port} of {destination}, which"),
            ("ja4", _) => {
                format!(
                    "{source} spoke TLS with port {port} of {destination} by a client whose JA4 {}",
                    hit.indicator
                )
            }
            (_, name) => {
                let name = name.as_deref().unwrap_or(&hit.indicator);
                format!("{source} asked {destination} for {}, which", printable(name, SHOWN))
            }
        };
        let listed = if self.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(&hit.indicator)) {
            String::new()
        } else {
            format!(" as {}", hit.indicator)
        };
        let says = if hit.description.is_empty() { String::new() } else { format!(": {}", hit.description) };
        format!("{met} is on the list {}{listed}{says}.", hit.feed.name)
    }

    pub(super) fn alert(&self, id: String, config: &AlertConfig, now: u64) -> Alert {
        let Hit { feed, indicator, kind, description, confidence } = &self.hit;
        let [first, last] = self.seen;
        Alert {
            threat_id: id,
            threat_type: feed.threat,
            severity: self.severity(config),
            source_ip: ip(&self.ends[0]).to_string(),
            destination_ip: ip(&self.ends[1]).to_string(),
            source_port: self.ports[0],
            destination_port: self.ports[1],
            protocol: protocol(self.key.proto),
            confidence: f64::from(*confidence) / 100.0,
            timestamp: rfc3339(now),
            details: Details {
                packet_count: self.packets.iter().sum(),
                total_bytes: self.bytes,
                duration: last.saturating_sub(first) as f64 / 1e9,
                flags: self.flags.names(),
                model_used: "intel".to_owned(),
                score: 1.0,
                threshold: 0.0,
                member: String::new(),
                explanation: vec![Share {
                    feature: "listed".to_owned(),
                    value: 1.0,
                    share: 1.0,
                    ..Share::default()
                }],
                neighbours: Vec::new(),
                mitre: if feed.threat == ThreatType::Bot { vec!["T1071".to_owned()] } else { Vec::new() },
                narrative: self.narrative(),
                community_id: community_id(&self.key),
                tunnel: None,
                source_mac: None,
                intel: Some(IntelMatch {
                    feed: feed.name.clone(),
                    indicator: indicator.clone(),
                    kind: (*kind).to_owned(),
                    description: description.to_string(),
                    confidence: *confidence,
                }),
                first_seen: rfc3339(first),
                last_seen: rfc3339(last),
                count: 1,
            },
            recommendation: None,
            rewritten: None,
        }
    }

    /// Adds a later window's sighting to the alert; the worse one is told.
    pub(super) fn fold(&self, alert: &mut Alert, config: &AlertConfig, first: u64) {
        let details = &mut alert.details;
        details.count += 1;
        details.packet_count += self.packets.iter().sum::<u64>();
        details.total_bytes += self.bytes;
        details.last_seen = rfc3339(self.seen[1]);
        details.duration = self.seen[1].saturating_sub(first) as f64 / 1e9;
        let severity = self.severity(config);
        if severity > alert.severity {
            alert.severity = severity;
            alert.details.narrative = self.narrative();
        }
    }
}
