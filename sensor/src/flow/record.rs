//! What is left of a flow when it ended.

use super::community_id::community_id;
use super::flags::FlagCounts;
use super::tunnel::TunnelRecord;
use sensor_ebpf::flow::FlowKey;

/// Why a flow ended, or why its record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Silent for the idle timeout.
    Idle,
    /// Never answered, and silent for that timeout.
    Unanswered,
    /// Closed or reset.
    Closed,
    /// The same ports began a new connection.
    Reused,
    /// Still going on: the record of one active timeout.
    Active,
    /// The input ended.
    EndOfInput,
}

/// One conversation (or one active timeout of it). Index 0 is from the initiator, 1 towards it.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRecord {
    /// First packet, nanoseconds since the Unix epoch.
    pub start: u64,
    /// Latest packet, same.
    pub end: u64,
    /// The initiator.
    pub src: std::net::IpAddr,
    /// The other side.
    pub dst: std::net::IpAddr,
    /// Port of the initiator; type for ICMP.
    pub src_port: u16,
    /// Port of the other side; code or reply type for ICMP.
    pub dst_port: u16,
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes.
    pub bytes: [u64; 2],
    /// TCP flags.
    pub flags: [FlagCounts; 2],
    /// Why it ended.
    pub reason: EndReason,
    /// What it was wrapped in; all else is about the inner packets.
    pub tunnel: Option<TunnelRecord>,
    /// The key: protocol and VLANs.
    pub key: FlowKey,
}

impl FlowRecord {
    /// Community ID v1.
    pub fn community_id(&self) -> String {
        community_id(&self.key)
    }
}
