//! Alerts about what the counters say, not the model: floods of new flows, blindness, a ledger that does not add up.
//! They need no warm-up. One condition is one alert with a count, however often it is seen.

use super::report::rfc3339;
use super::{Alert, Details, Severity, Share, ThreatType};
use crate::capture::flood::Flood;

/// Prefixes from which on a flood is a distributed one.
const MANY: u32 = 16;

/// Something that a person must know of.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// More new flows than are admitted to the flow table.
    Flood {
        /// What the last second brought.
        flood: Flood,
        /// New flows a second that are admitted.
        admitted: u32,
    },
    /// An equation of the ledger does not hold.
    Ledger {
        /// Each equation with what is left over.
        left: Vec<(&'static str, i64)>,
    },
    /// The link is down.
    LinkDown {
        /// The interface.
        interface: String,
    },
    /// The XDP program is on no interface any more.
    Detached {
        /// The interface.
        interface: String,
    },
    /// The database was no sound one and a new one was begun.
    SetAside {
        /// What was done, in words.
        notice: String,
    },
    /// The interface received packets that never reached XDP.
    Missed {
        /// The interface.
        interface: String,
        /// How many since the last look.
        packets: u64,
    },
    /// The GPU failed while it was in use; the CPU does its work.
    Gpu {
        /// What it said.
        reason: String,
    },
}

impl Condition {
    /// What makes two of them the same.
    pub fn name(&self) -> &'static str {
        match self {
            Condition::Flood { .. } => "flood",
            Condition::Ledger { .. } => "ledger",
            Condition::LinkDown { .. } => "link down",
            Condition::Detached { .. } => "detached",
            Condition::SetAside { .. } => "set aside",
            Condition::Missed { .. } => "missed",
            Condition::Gpu { .. } => "gpu",
        }
    }

    fn kind(&self) -> ThreatType {
        match self {
            Condition::Flood { flood, .. } if flood.prefixes >= MANY => ThreatType::DDoS,
            Condition::Flood { .. } => ThreatType::DoS,
            _ => ThreatType::Anomaly,
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Condition::Flood { .. } | Condition::LinkDown { .. } | Condition::Missed { .. } => Severity::High,
            Condition::Detached { .. } => Severity::Critical,
            Condition::SetAside { .. } => Severity::High,
            Condition::Ledger { .. } | Condition::Gpu { .. } => Severity::Medium,
        }
    }

    /// Packets, bytes unknown; the value and its limit, with a name.
    fn measure(&self) -> (u64, &'static str, f64, f64) {
        match self {
            Condition::Flood { flood, admitted } => (
                flood.packets,
                "packets of new flows without an entry, a second",
                flood.packets as f64,
                f64::from(*admitted),
            ),
            Condition::Ledger { left } => {
                let most = left.iter().map(|(_, left)| left.unsigned_abs()).max().unwrap_or(0);
                (0, "largest residue", most as f64, 0.0)
            }
            Condition::LinkDown { .. } => (0, "link", 0.0, 1.0),
            Condition::Detached { .. } => (0, "attached", 0.0, 1.0),
            Condition::SetAside { .. } => (0, "databases set aside", 1.0, 0.0),
            Condition::Missed { packets, .. } => {
                (*packets, "packets that never reached XDP", *packets as f64, 0.0)
            }
            Condition::Gpu { .. } => (0, "GPUs lost", 1.0, 0.0),
        }
    }

    /// How bad this sighting is, for telling the worst one.
    pub fn value(&self) -> f64 {
        self.measure().2
    }

    /// Packets of this sighting.
    pub fn packets(&self) -> u64 {
        self.measure().0
    }

    /// What happened, what it means, what to do.
    pub fn narrative(&self) -> String {
        match self {
            Condition::Flood { flood, admitted } => {
                let largest: Vec<String> = flood
                    .largest
                    .iter()
                    .filter(|(_, packets)| *packets > 0)
                    .map(|(prefix, packets)| format!("{prefix} {packets}/s"))
                    .collect();
                format!(
                    "New-flow flood: {}/s packets of flows beyond the {admitted}/s that are admitted, from {}{} source \
                     prefix{} (most: {}). Flows known before are followed as ever; new ones are counted in total and \
                     by prefix, and looked into only in part until it ends. If this is ordinary here, raise \
                     capture.flow_map_entries, and capture.new_flows_per_second where it is set.",
                    flood.packets,
                    if flood.more { "more than " } else { "" },
                    flood.prefixes,
                    if flood.prefixes == 1 { "" } else { "es" },
                    largest.join(", "),
                )
            }
            Condition::Ledger { left } => {
                let left: Vec<String> = left.iter().map(|(name, left)| format!("{name} {left}")).collect();
                format!(
                    "The sensor's own books do not add up: {}. Some of its numbers are wrong; this is a fault of the \
                     sensor, please report it with the log.",
                    left.join(", ")
                )
            }
            Condition::LinkDown { interface } => {
                format!(
                    "The link of {interface} is down: no packet can be seen until it is up again. Look at the \
                     cable, the mirror port and `ip link show {interface}`."
                )
            }
            Condition::Detached { interface } => format!(
                "The XDP program is on {interface} no more: the interface was removed or the program detached by hand. \
                 The sensor is blind; restart it."
            ),
            Condition::SetAside { notice } => format!("The store was damaged: {notice}."),
            Condition::Missed { interface, packets } => format!(
                "{packets} packets reached {interface} and were dropped before XDP could count them: its ring was full. \
                 Set capture.nic_rings = \"max\", or spread the load over more queues."
            ),
            Condition::Gpu { reason } => format!(
                "The GPU failed: {reason}. No window was lost: the model goes on on the CPU, and the GPU is tried again \
                 every score.gpu_retry. If it fails again, look at `nvidia-smi` and `dmesg`, or set score.device = \"cpu\"."
            ),
        }
    }

    /// The alert of its first sighting, at `now`.
    pub(super) fn alert(&self, id: String, now: u64) -> Alert {
        let (packets, feature, value, expected) = self.measure();
        let source_ip = match self {
            Condition::Flood { flood, .. } if flood.prefixes == 1 => flood.largest[0].0.address(),
            _ => String::new(),
        };
        Alert {
            threat_id: id,
            threat_type: self.kind(),
            severity: self.severity(),
            source_ip,
            destination_ip: String::new(),
            source_port: 0,
            destination_port: 0,
            protocol: String::new(),
            confidence: 1.0,
            timestamp: rfc3339(now),
            details: Details {
                packet_count: packets,
                total_bytes: 0,
                duration: 0.0,
                flags: Vec::new(),
                model_used: "counters".to_owned(),
                score: value,
                threshold: expected,
                member: String::new(),
                explanation: vec![Share {
                    feature: feature.to_owned(),
                    value,
                    expected,
                    share: 1.0,
                    ..Share::default()
                }],
                neighbours: Vec::new(),
                mitre: Vec::new(),
                narrative: self.narrative(),
                community_id: String::new(),
                tunnel: None,
                source_mac: None,
                intel: None,
                first_seen: rfc3339(now),
                last_seen: rfc3339(now),
                count: 1,
            },
            recommendation: None,
            rewritten: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::flood::SourcePrefix;

    #[test]
    fn a_flood_is_told_with_its_numbers() {
        let prefix = SourcePrefix(0xcb_0071 << 16 | 4);
        let mut flood =
            Flood { packets: 900_000, prefixes: 1, largest: [(prefix, 900_000); 3], ..Flood::default() };
        flood.largest[1].1 = 0;
        flood.largest[2].1 = 0;
        let condition = Condition::Flood { flood, admitted: 65_536 };
        let alert = condition.alert("THREAT_1".to_owned(), 0);
        assert_eq!((alert.threat_type, alert.source_ip.as_str()), (ThreatType::DoS, "203.0.113.0"));
        assert!(alert.details.narrative.contains("900000/s"), "{}", alert.details.narrative);
        assert!(alert.details.narrative.contains("from 1 source prefix (most: 203.0.113.0/24 900000/s)"));
        let many = Condition::Flood { flood: Flood { prefixes: 5_000, ..flood }, admitted: 1 };
        assert_eq!(many.alert(String::new(), 0).threat_type, ThreatType::DDoS);
    }
}
