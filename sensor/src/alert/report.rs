//! A candidate in the form in which an alert leaves the sensor.

use super::candidate::Candidate;
use super::config::AlertConfig;
use super::likeness::Likeness;
use super::mitre::techniques;
use super::{Alert, Details, Neighbour, Severity, Share, ThreatType};
use crate::flow::community_id::community_id;
use crate::flow::ip;
use sensor_ebpf::flow::proto;
use std::time::{Duration, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch as RFC 3339, UTC, with milliseconds.
pub fn rfc3339(time: u64) -> String {
    // Eight digits of milliseconds since 1970 end in the year 2554, before the format does.
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(time)).to_string()
}

/// The date of a time as `YYYYMMDD`.
pub fn date(time: u64) -> String {
    rfc3339(time).chars().take(10).filter(char::is_ascii_digit).collect()
}

/// The name of a protocol as alerts carry it.
pub fn protocol(number: u8) -> String {
    match number {
        proto::TCP => "TCP".to_owned(),
        proto::UDP => "UDP".to_owned(),
        proto::ICMP => "ICMP".to_owned(),
        proto::ICMPV6 => "ICMPv6".to_owned(),
        proto::SCTP => "SCTP".to_owned(),
        other => other.to_string(),
    }
}

/// Why a row was unusual.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    /// See [`Details::model_used`].
    pub model: String,
    /// Name of what says what it looks like.
    pub types: String,
    /// See [`Details::member`].
    pub member: String,
    /// See [`Details::explanation`].
    pub explanation: Vec<Share>,
    /// See [`Details::neighbours`].
    pub neighbours: Vec<Neighbour>,
    /// Put behind what the rule or the score says.
    pub because: String,
}

/// The alert of a candidate of the window that ended at `now`.
pub fn alert(candidate: &Candidate, id: String, reasons: Reasons, config: &AlertConfig, now: u64) -> Alert {
    let (verdict, seems) = (&candidate.verdict, candidate.likeness.best(config.likeness));
    let confidence = confidence(candidate);
    let model = match (verdict.kind, &candidate.likeness) {
        (ThreatType::Anomaly, likeness) if *likeness != Likeness::default() => {
            format!("{} with types {}", reasons.model, reasons.types)
        }
        _ => reasons.model,
    };
    let [first, last] = candidate.seen;
    // A flow seen only once has both ends of its time; a host without packets would have neither.
    let first = first.min(last);
    let mut alert = Alert {
        threat_id: id,
        threat_type: verdict.kind,
        severity: severity(verdict.kind, candidate, confidence, config),
        source_ip: address(verdict.source),
        destination_ip: address(verdict.destination),
        source_port: candidate.source_port,
        destination_port: verdict.port,
        protocol: protocol(verdict.proto),
        confidence,
        timestamp: rfc3339(now),
        details: Details {
            packet_count: candidate.packets,
            total_bytes: candidate.bytes,
            duration: (last - first) as f64 / 1e9,
            flags: candidate.flags.names(),
            model_used: model,
            score: candidate.score,
            threshold: candidate.threshold,
            member: reasons.member,
            explanation: reasons.explanation,
            neighbours: reasons.neighbours,
            mitre: techniques(verdict.kind, candidate),
            narrative: format!("{}{}", verdict.narrative, reasons.because),
            community_id: candidate.key.as_ref().map(community_id).unwrap_or_default(),
            tunnel: candidate.tunnel.clone(),
            source_mac: candidate.mac.map(|mac| mac.to_string()),
            intel: None,
            first_seen: rfc3339(first),
            last_seen: rfc3339(last),
            count: 1,
        },
        recommendation: None,
        rewritten: None,
    };
    if let Some(seems) = seems {
        name(&mut alert, candidate, seems, config);
    }
    alert
}

/// An alert without a rule is called by the type that it looks like, as sure as that is.
pub fn name(
    alert: &mut Alert,
    candidate: &Candidate,
    (kind, chance): (ThreatType, f64),
    config: &AlertConfig,
) {
    alert.threat_type = kind;
    alert.confidence = chance;
    alert.severity = severity(kind, candidate, chance, config);
    alert.details.mitre = techniques(kind, candidate);
    let words = std::mem::take(&mut alert.details.narrative);
    alert.details.narrative = format!("Looks like {kind:?} ({:.0} %). {words}", (chance * 100.0).min(99.0));
}

/// An alert that was called by what it looks like is called by what a rule found it to be.
pub fn rename(alert: &mut Alert, candidate: &Candidate, config: &AlertConfig) {
    let verdict = &candidate.verdict;
    alert.threat_type = verdict.kind;
    alert.confidence = confidence(candidate);
    alert.severity = severity(verdict.kind, candidate, alert.confidence, config);
    alert.source_port = candidate.source_port;
    alert.destination_ip = address(verdict.destination);
    alert.destination_port = verdict.port;
    alert.protocol = protocol(verdict.proto);
    alert.details.mitre = techniques(verdict.kind, candidate);
    alert.details.narrative.clone_from(&verdict.narrative);
}

fn address(host: Option<[u8; 16]>) -> String {
    host.map(|host| ip(&host).to_string()).unwrap_or_default()
}

/// How sure: half from how far the score is above the threshold (two decades are 0.95), half from how far the facts are
/// above what the rule asks for. Without a type never above 0.7.
pub fn confidence(candidate: &Candidate) -> f64 {
    let score = 1.0 - 0.5 * 10f64.powf(-candidate.margin().max(0.0) / 2.0);
    let value = if candidate.verdict.kind == ThreatType::Anomaly {
        score.min(0.7)
    } else {
        (score + 1.0 - 0.5 / candidate.verdict.strength.max(1.0)) / 2.0
    };
    (value * 1000.0).round() / 1000.0
}

/// By type; one less where the sensor is not sure, one more where a critical host takes part.
fn severity(kind: ThreatType, candidate: &Candidate, confidence: f64, config: &AlertConfig) -> Severity {
    let verdict = &candidate.verdict;
    let usual = match kind {
        ThreatType::Exfiltration | ThreatType::DDoS => Severity::Critical,
        ThreatType::DoS | ThreatType::BruteForce | ThreatType::Bot | ThreatType::Infiltration => {
            Severity::High
        }
        ThreatType::PortScan | ThreatType::WebAttack => Severity::Medium,
        ThreatType::Anomaly => Severity::Low,
    };
    let sure = match usual {
        Severity::Critical if confidence < 0.7 => Severity::High,
        Severity::High if confidence < 0.6 => Severity::Medium,
        other => other,
    };
    let critical =
        [verdict.source, verdict.destination].into_iter().flatten().any(|host| config.is_critical(&host));
    if critical { sure.worse() } else { sure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(1_700_000_000_123_456_789), "2023-11-14T22:13:20.123Z");
        assert_eq!(date(1_700_000_000_000_000_000), "20231114");
        assert!(rfc3339(u64::MAX).starts_with("2554-"));
    }
}
