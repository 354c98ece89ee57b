//! What pairs and services are remembered by.

use crate::flow::index::{Key, Seed};
use crate::flow::table::Flow;
use sensor_ebpf::flow::proto;
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

impl PairKey {
    /// The pair of two hosts; `port` is that of the destination.
    pub fn new(src: [u8; 16], dst: [u8; 16], port: u16, protocol: u8) -> PairKey {
        let icmp = matches!(protocol, proto::ICMP | proto::ICMPV6);
        PairKey { src, service: ServiceKey { dst, port: if icmp { 0 } else { port }, proto: protocol } }
    }

    /// The pair that a flow belongs to.
    #[inline]
    pub fn of(flow: &Flow) -> PairKey {
        let ((src, _), (dst, port)) = (flow.src(), flow.dst());
        PairKey::new(src, dst, port, flow.key.proto)
    }
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
