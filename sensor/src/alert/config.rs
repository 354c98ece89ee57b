//! Section `alert`.

use crate::config::Network;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When to alert, and what a row must show to have a type. The score decides whether there is an alert at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertConfig {
    /// False alarms per hour that are acceptable: the thresholds follow from it. Above 0.
    pub budget_per_hour: f64,
    /// After so much quiet the same attack is a new alert.
    #[serde(with = "crate::config::duration")]
    pub refold_after: Duration,
    /// A standing alert whose count grew is sent again at most this often.
    #[serde(with = "crate::config::duration")]
    pub update_every: Duration,
    /// New alerts per minute; those beyond are counted as suppressed. 1 or more.
    pub max_per_minute: u64,
    /// Alerts that can stand at once; the quietest makes room. 1 to 100,000.
    pub max_standing: usize,
    /// An alert without a type needs a score so far above the threshold, decades. 0 or more.
    pub anomaly_margin: f64,
    /// And in so many of the last ten windows of the same host. 1 to 10.
    pub anomaly_windows: u32,
    /// PortScan: ports or hosts tried in one window. 2 or more.
    pub scan_targets: u64,
    /// PortScan: targets that failed in half a minute to a whole one, for slow scans. 2 or more.
    pub scan_targets_minute: u64,
    /// PortScan: evidence of first contacts that fail, at any speed, nats: a first contact that fails adds 1.4, one that
    /// succeeds takes as much away, and it fades within hours. Above 0.
    pub scan_evidence: f64,
    /// DoS and DDoS: connections per second to one service that are never completed. 1 or more.
    pub flood_connections: u64,
    /// DoS and DDoS: packets per second that nobody answers. 1 or more.
    pub flood_packets: u64,
    /// DoS and DDoS: seconds in which 25 packets a second lead nowhere (connections never completed, datagrams from outside
    /// never answered), of who never used the service. 1 or more.
    pub flood_seconds: f64,
    /// DDoS: answers per second that the host never asked for, from `ddos_sources` or more. 1 or more.
    pub flood_replies: u64,
    /// DDoS rather than DoS: sources. 2 or more.
    pub ddos_sources: u64,
    /// BruteForce: short connections to one service within about 10 s (`features.memory`). 2 or more.
    pub brute_force_logins: u64,
    /// BruteForce: bytes of such a connection on average, at most.
    pub brute_force_bytes: u64,
    /// BruteForce: sessions with SSH, Telnet, remote desktop or VNC within about two minutes that were no more than a login,
    /// all alike, by a source that did not use the service before. 2 or more.
    pub brute_force_guesses: u64,
    /// Bot: surprise of the regularity, nats: 9 is three gaps equal within 5 %, or six within 20 %. Above 0.
    pub beacon_evidence: f64,
    /// Bot: gaps between contacts, at least. 2 or more.
    pub beacon_gaps: u32,
    /// Infiltration: hosts inside that a host begins to use services for administration on within half an hour, and not
    /// fewer than it used such on before. A service that others use counts half. 1 or more.
    pub lateral_hosts: u64,
    /// Alerts without a rule are given the type that they look like from this confidence on; above 1 never. 0.3 or more.
    pub likeness: f64,
    /// Exfiltration: bytes within about 10 s (`features.memory`) to a host never seen before. To a known host
    /// that is new to the sender it takes a hundred times as much. 1 or more.
    pub exfiltration_bytes: u64,
    /// Bot: bytes that a client may hide in DNS names under one domain and in their answers within a minute, weighted by
    /// how odd their record types are and whether the answers differ. 1 or more.
    pub dns_tunnel_bytes: u64,
    /// Bot: distinct names under that domain that were seen in the last ten minutes, at least. 1 or more.
    pub dns_tunnel_names: u64,
    /// Hosts that matter most, such as `10.0.0.5` or `10.0.1.0/28`: an alert that one takes part in is a degree more severe.
    pub critical_hosts: Vec<Network>,
    /// WebAttack: score of the marks in a request: 1 is one strong mark, such as `union select`, or two weak ones. Above 0.
    pub web_attack_score: f64,
}

impl Default for AlertConfig {
    fn default() -> Self {
        AlertConfig {
            budget_per_hour: 1.0,
            refold_after: Duration::from_secs(60),
            update_every: Duration::from_secs(5),
            max_per_minute: 60,
            max_standing: 1000,
            anomaly_margin: 0.0,
            anomaly_windows: 1,
            scan_targets: 20,
            scan_targets_minute: 60,
            scan_evidence: 20.0,
            flood_connections: 200,
            flood_packets: 2000,
            flood_seconds: 10.0,
            flood_replies: 100,
            ddos_sources: 10,
            brute_force_logins: 15,
            brute_force_bytes: 65_536,
            brute_force_guesses: 6,
            beacon_evidence: 9.0,
            beacon_gaps: 3,
            lateral_hosts: 3,
            likeness: 0.6,
            exfiltration_bytes: 5_000_000,
            dns_tunnel_bytes: 1024,
            dns_tunnel_names: 4,
            critical_hosts: Vec::new(),
            web_attack_score: 0.95,
        }
    }
}

impl AlertConfig {
    /// Whether an address, IPv4 mapped, is one of `critical_hosts`.
    pub fn is_critical(&self, host: &[u8; 16]) -> bool {
        let address = crate::flow::ip(host);
        self.critical_hosts.iter().any(|network| network.contains(address))
    }

    /// What is wrong with the values, each with its remedy.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut least = |name: &str, value: f64, least: f64| {
            if !value.is_finite() || value < least {
                problems.push(format!("alert.{name} is {value}, must be at least {least}"));
            }
        };
        least("budget_per_hour", self.budget_per_hour, 1e-6);
        least("max_per_minute", self.max_per_minute as f64, 1.0);
        least("anomaly_margin", self.anomaly_margin, 0.0);
        least("scan_targets", self.scan_targets as f64, 2.0);
        least("scan_targets_minute", self.scan_targets_minute as f64, 2.0);
        least("scan_evidence", self.scan_evidence, 1e-6);
        least("flood_connections", self.flood_connections as f64, 1.0);
        least("flood_packets", self.flood_packets as f64, 1.0);
        least("ddos_sources", self.ddos_sources as f64, 2.0);
        least("flood_seconds", self.flood_seconds, 1.0);
        least("flood_replies", self.flood_replies as f64, 1.0);
        least("lateral_hosts", self.lateral_hosts as f64, 1.0);
        least("likeness", self.likeness, 0.3);
        least("brute_force_logins", self.brute_force_logins as f64, 2.0);
        least("brute_force_bytes", self.brute_force_bytes as f64, 1.0);
        least("brute_force_guesses", self.brute_force_guesses as f64, 2.0);
        least("beacon_evidence", self.beacon_evidence, 1e-6);
        least("beacon_gaps", f64::from(self.beacon_gaps), 2.0);
        least("exfiltration_bytes", self.exfiltration_bytes as f64, 1.0);
        least("dns_tunnel_bytes", self.dns_tunnel_bytes as f64, 1.0);
        least("dns_tunnel_names", self.dns_tunnel_names as f64, 1.0);
        least("web_attack_score", self.web_attack_score, 1e-6);
        if !(1..=10).contains(&self.anomaly_windows) {
            problems.push(format!("alert.anomaly_windows is {}, must be 1 to 10", self.anomaly_windows));
        }
        if !(1..=100_000).contains(&self.max_standing) {
            problems.push(format!("alert.max_standing is {}, must be 1 to 100000", self.max_standing));
        }
        problems
    }
}
