//! Sampled packets around an alert: those of its source just before, and for a while after.

use std::collections::VecDeque;

use crate::alert::Alert;
use crate::capture::Sample;
use crate::flow::SECOND;
use sensor_ebpf::flow::FlowKey;

/// Samples remembered, and their bytes.
const REMEMBERED: usize = 4096;
const REMEMBERED_BYTES: usize = 4 << 20;
/// Alerts whose further samples are kept at once.
const WATCHED: usize = 64;
/// Of one alert: packets before it, packets in all, and how long they are waited for.
const BEFORE: usize = 50;
const PACKETS: usize = 200;
const PATIENCE: u64 = 30 * SECOND;

/// Packets that belong to an alert that was told before.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The alert.
    pub threat_id: String,
    /// Packets, oldest first.
    pub packets: Vec<Sample>,
}

struct Watched {
    threat_id: String,
    hosts: [Option<[u8; 16]>; 2],
    until: u64,
    left: usize,
    packets: Vec<Sample>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Witness {
    recent: VecDeque<(FlowKey, Sample)>,
    bytes: usize,
    watched: Vec<Watched>,
}

impl Witness {
    /// Looks at a sample of a flow.
    pub(super) fn note(&mut self, key: &FlowKey, sample: &Sample) {
        for watched in &mut self.watched {
            if watched.left > 0 && is_of(key, &watched.hosts) {
                watched.left -= 1;
                watched.packets.push(sample.clone());
            }
        }
        self.bytes += sample.frame.len();
        self.recent.push_back((*key, sample.clone()));
        while self.recent.len() > REMEMBERED || self.bytes > REMEMBERED_BYTES {
            let Some((_, gone)) = self.recent.pop_front() else { break };
            self.bytes -= gone.frame.len();
        }
    }

    /// An alert was raised at `now`: its packets so far; further ones come with [`Witness::gathered`].
    pub(super) fn raised(&mut self, alert: &Alert, now: u64) -> Vec<Sample> {
        let hosts = [&alert.source_ip, &alert.destination_ip].map(|text| address(text));
        if hosts == [None, None] {
            return Vec::new();
        }
        let mut before: Vec<Sample> = self
            .recent
            .iter()
            .rev()
            .filter(|(key, _)| is_of(key, &hosts))
            .take(BEFORE)
            .map(|(_, sample)| sample.clone())
            .collect();
        before.reverse();
        if self.watched.len() < WATCHED {
            self.watched.push(Watched {
                threat_id: alert.threat_id.clone(),
                hosts,
                until: now + PATIENCE,
                left: PACKETS - before.len(),
                packets: Vec::new(),
            });
        }
        before
    }

    /// What came since, of all alerts that are waited for; forgets those that have enough or waited long.
    pub(super) fn gathered(&mut self, now: u64) -> Vec<Evidence> {
        let mut gathered = Vec::new();
        for watched in &mut self.watched {
            if !watched.packets.is_empty() {
                let packets = std::mem::take(&mut watched.packets);
                gathered.push(Evidence { threat_id: watched.threat_id.clone(), packets });
            }
        }
        self.watched.retain(|watched| watched.left > 0 && watched.until > now);
        gathered
    }
}

/// As keys have it: IPv4 mapped.
fn address(text: &str) -> Option<[u8; 16]> {
    let address: std::net::IpAddr = text.parse().ok()?;
    Some(match address {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(v6) => v6.octets(),
    })
}

/// Whether a flow is between the hosts, or has the one that is known.
fn is_of(key: &FlowKey, hosts: &[Option<[u8; 16]>; 2]) -> bool {
    let has = |host: &Option<[u8; 16]>| host.is_none_or(|host| key.addr_a == host || key.addr_b == host);
    hosts.iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Link;

    #[test]
    fn packets_before_and_after_an_alert() {
        let address = |last: u8| std::net::Ipv4Addr::new(10, 0, 0, last).to_ipv6_mapped().octets();
        let key = |from: u8, to: u8| FlowKey {
            addr_a: address(from),
            addr_b: address(to),
            port_a: 1,
            port_b: 2,
            vlan: [0; 3],
            proto: 6,
            tunnel: 0,
        };
        let sample = |time: u64| Sample {
            time,
            wire_len: 60,
            weight: 1,
            link: Link::Ethernet,
            frame: vec![0; 60].into(),
        };
        let mut alert: Alert = serde_json::from_value(serde_json::json!({
            "threat_id": "THREAT_20261121_001", "threat_type": "PortScan", "severity": "high", "source_ip": "10.0.0.1",
            "destination_ip": "", "source_port": 0, "destination_port": 0, "protocol": "TCP", "confidence": 0.9,
            "timestamp": "", "details": {"packet_count": 0, "total_bytes": 0, "duration": 0.0, "flags": [],
            "model_used": "", "score": 0.0, "threshold": 0.0, "explanation": [], "narrative": "", "community_id": "",
            "first_seen": "", "last_seen": "", "count": 1}
        }))
        .unwrap();
        let mut witness = Witness::default();
        for time in 0..10 {
            witness.note(&key(1, time as u8 + 2), &sample(time));
            witness.note(&key(7, 8), &sample(time));
        }
        assert_eq!(
            witness.raised(&alert, 10).iter().map(|sample| sample.time).collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
        witness.note(&key(3, 1), &sample(11));
        witness.note(&key(3, 4), &sample(12));
        let gathered = witness.gathered(13);
        assert_eq!((gathered.len(), gathered[0].packets.len(), gathered[0].packets[0].time), (1, 1, 11));
        assert!(witness.gathered(13 + PATIENCE).is_empty());
        witness.note(&key(3, 1), &sample(14 + PATIENCE));
        assert!(witness.gathered(15 + PATIENCE).is_empty(), "nobody waits any more");
        alert.source_ip = String::new();
        assert!(witness.raised(&alert, 0).is_empty(), "nobody is meant");
        // Bounded whatever comes.
        for time in 0..3 * REMEMBERED as u64 {
            witness.note(&key(5, 6), &sample(time));
        }
        assert!(witness.recent.len() <= REMEMBERED && witness.bytes <= REMEMBERED_BYTES);
    }
}
