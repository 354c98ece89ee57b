//! What is left of a flow when it ended.

use super::flags::FlagCounts;
use super::tunnel::TunnelRecord;
use serde::Serialize;

/// Why a flow ended, or why its record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// IP protocol number.
    pub proto: u8,
    /// Outer VLAN id, 0 when untagged.
    pub vlan: u16,
    /// Inner VLAN id, 0 unless doubly tagged.
    pub vlan_inner: u16,
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes.
    pub bytes: [u64; 2],
    /// TCP flags.
    pub flags: [FlagCounts; 2],
    /// Why it ended.
    pub reason: EndReason,
    /// Community ID v1.
    pub community_id: String,
    /// What it was wrapped in; all else is about the inner packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<TunnelRecord>,
}
