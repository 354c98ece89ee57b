//! What pairs and services are remembered by.

use crate::flow::index::{Key, Seed};
use serde::{Deserialize, Serialize};

/// A source and the service it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PairKey {
    /// The initiator.
    pub src: [u8; 16],
    /// The service.
    pub service: ServiceKey,
}

/// A service: a port of a host. ICMP has none; its port is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceKey {
    /// The host.
    pub dst: [u8; 16],
    /// Its port.
    pub port: u16,
    /// IP protocol number.
    pub proto: u8,
}

impl Key for ServiceKey {
    fn hash(&self, seed: &Seed) -> u64 {
        seed.words(&[self.dst], (u64::from(self.port) << 8) | u64::from(self.proto))
    }
}

impl Key for PairKey {
    fn hash(&self, seed: &Seed) -> u64 {
        let ServiceKey { dst, port, proto } = self.service;
        seed.words(&[self.src, dst], (u64::from(port) << 8) | u64::from(proto))
    }
}
