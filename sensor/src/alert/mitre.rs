//! Techniques of MITRE ATT&CK (Enterprise, version 17) that an alert may be. They name what is seen on the network; what
//! the attacker wants may be another one.

use super::ThreatType;
use super::candidate::Candidate;
use crate::score::scorer::Kind;
use sensor_ebpf::flow::proto;

/// The techniques of a candidate of this type; none for an anomaly.
pub fn techniques(kind: ThreatType, candidate: &Candidate) -> Vec<String> {
    known(kind, candidate).iter().map(|&technique| technique.to_owned()).collect()
}

fn known(kind: ThreatType, candidate: &Candidate) -> &'static [&'static str] {
    let verdict = &candidate.verdict;
    match kind {
        // OS exhaustion flood; direct network flood.
        ThreatType::DoS | ThreatType::DDoS if verdict.proto == proto::TCP => &["T1499.001", "T1498.001"],
        ThreatType::DoS | ThreatType::DDoS => &["T1498.001"],
        ThreatType::PortScan => &["T1046"],
        ThreatType::WebAttack => &["T1190"],
        // ARP cache poisoning; remote services.
        ThreatType::Infiltration if candidate.kind == Kind::Link => &["T1557.002"],
        ThreatType::Infiltration => &["T1021"],
        // DNS as the channel of command and control; protocol tunnelling; application layer protocol.
        ThreatType::Bot if verdict.port == 53 => &["T1071.004", "T1572"],
        ThreatType::Bot => &["T1071"],
        ThreatType::BruteForce => &["T1110"],
        ThreatType::Exfiltration => &["T1048"],
        ThreatType::Anomaly => &[],
    }
}
