//! Growth of flows to flows: who began it, what it carried, when it ended.
//!
//! In: the deltas of a tick, in any order. Out: flows with what they grew by in the open window, and records of
//! flows that ended. Never here: a judgement about what is normal.

pub mod community_id;
pub mod config;
pub mod entry;
pub mod flags;
pub mod index;
pub mod orient;
pub mod record;
pub mod slab;
pub mod table;
pub mod tunnel;

use std::net::{IpAddr, Ipv6Addr};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Whether an address names a group or everybody: nobody is expected to answer (RFC 5771, RFC 919, RFC 4291).
pub fn is_group(address: &[u8; 16]) -> bool {
    match ip(address) {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

/// An address as keys hold it, as people write it: IPv4-mapped addresses are IPv4.
pub fn ip(address: &[u8; 16]) -> IpAddr {
    let v6 = Ipv6Addr::from(*address);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

pub use config::FlowConfig;
