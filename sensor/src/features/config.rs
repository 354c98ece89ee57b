//! Section `features`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is remembered of pairs, services and hosts, and how many rows a window may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeaturesConfig {
    /// Rows per window, flows and hosts together; what is beyond is shed and counted: hosts have a row first, then
    /// flows that were answered, then others, chosen by chance. 16 to 1,000,000.
    pub max_rows: usize,
    /// Hosts remembered at once; 400 bytes each. 1 or more.
    pub max_hosts: usize,
    /// Pairs (source, destination, service) remembered at once; 300 bytes each. 1 or more.
    pub max_pairs: usize,
    /// Services (destination, port, protocol) remembered at once; 180 bytes each. 1 or more.
    pub max_services: usize,
    /// MAC addresses remembered at once, with four times as many streams and addresses claimed by ARP; 1,300 bytes each
    /// with theirs. 1 or more.
    pub max_macs: usize,
    /// Flows of which samples said something (DNS, TLS, HTTP) remembered at once, and pairs that speak HTTP; 500 bytes
    /// each. 1 or more.
    pub max_app_flows: usize,
    /// Domains that were asked for by DNS remembered at once, for each client apart; 450 bytes each. 1 or more.
    pub max_domains: usize,
    /// Recent counts (connections, bytes) fade with this time constant. 1s to 10m.
    #[serde(with = "crate::config::duration")]
    pub memory: Duration,
    /// A service, pair or host first seen after the warm-up counts as new for so long.
    #[serde(with = "crate::config::duration")]
    pub familiar_after: Duration,
    /// A familiar pair, service or host is forgotten after so much silence.
    #[serde(with = "crate::config::duration")]
    pub forget_after: Duration,
    /// Seeds the sketches that count distinct ports and addresses.
    pub seed: u64,
}

impl Default for FeaturesConfig {
    fn default() -> Self {
        FeaturesConfig {
            max_rows: 200_000,
            max_hosts: 65_536,
            max_pairs: 200_000,
            max_services: 65_536,
            max_macs: 16_384,
            max_app_flows: 16_384,
            max_domains: 16_384,
            memory: Duration::from_secs(10),
            familiar_after: Duration::from_secs(3600),
            forget_after: Duration::from_secs(7 * 24 * 3600),
            seed: 0x5e_ed0f_7e57,
        }
    }
}

impl FeaturesConfig {
    /// What is wrong with the values, each with its remedy.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(16..=1_000_000).contains(&self.max_rows) {
            problems.push(format!("features.max_rows is {}, must be 16 to 1000000", self.max_rows));
        }
        for (name, value) in [
            ("max_hosts", self.max_hosts),
            ("max_pairs", self.max_pairs),
            ("max_services", self.max_services),
            ("max_macs", self.max_macs),
            ("max_app_flows", self.max_app_flows),
            ("max_domains", self.max_domains),
        ] {
            if value == 0 {
                problems.push(format!("features.{name} is 0, must be at least 1"));
            }
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&self.memory) {
            problems.push(format!("features.memory is {:?}, must be 1s to 10m", self.memory));
        }
        if self.forget_after < self.familiar_after {
            problems.push(format!(
                "features.forget_after ({:?}) is less than features.familiar_after ({:?}): nothing new could ever \
                 become familiar; raise the first",
                self.forget_after, self.familiar_after
            ));
        }
        problems
    }
}
