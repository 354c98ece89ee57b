//! Who talks now: the flows and hosts that matter most, written by the analysis once a second, read by the API.

use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use utoipa::ToSchema;

/// Flows in a snapshot at most.
pub const MOST_FLOWS: usize = 1000;
/// Hosts in a snapshot at most.
pub const MOST_HOSTS: usize = 1000;

/// A flow as it stands now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct FlowNow {
    /// Who began it.
    pub source_ip: String,
    /// Its port.
    pub source_port: u16,
    /// Who was asked.
    pub destination_ip: String,
    /// Its port.
    pub destination_port: u16,
    /// `TCP`, `UDP`, `ICMP`, `ICMPv6`, `SCTP` or the IP protocol number.
    pub protocol: String,
    /// Packets of both directions since it began.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets in the last second.
    pub packets_per_second: f64,
    /// Bytes in the last second.
    pub bytes_per_second: f64,
    /// RFC 3339: its first packet.
    pub first_seen: String,
    /// RFC 3339: its latest packet.
    pub last_seen: String,
    /// Score of its latest window; absent before one was scored.
    pub score: Option<f64>,
    /// Score above which it would be unusual; absent before the model is active.
    pub threshold: Option<f64>,
}

/// A host as it stands now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct HostNow {
    /// Its IP address.
    pub address: String,
    /// Packets to and from it in the last second.
    pub packets_per_second: f64,
    /// Bytes to and from it in the last second.
    pub bytes_per_second: f64,
    /// Flows it takes part in.
    pub flows: u64,
    /// Hosts it talks with.
    pub peers: u64,
    /// Highest score of its latest windows; absent before one was scored.
    pub score: Option<f64>,
    /// Its open alerts. The analysis does not know: the API fills it in.
    pub alerts: u64,
}

/// A snapshot: top by score, bytes and packets, together at most [`MOST_FLOWS`] and [`MOST_HOSTS`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Top {
    /// When it was taken, nanoseconds since the Unix epoch; 0 before the first one.
    pub time: u64,
    /// Flows, in no order.
    pub flows: Vec<FlowNow>,
    /// Hosts, in no order.
    pub hosts: Vec<HostNow>,
}

/// Where the latest snapshot lies.
#[derive(Debug, Default)]
pub struct SharedTop(RwLock<Arc<Top>>);

impl SharedTop {
    /// Replaces the snapshot.
    pub fn publish(&self, top: Top) {
        // As in `Shared`: an `Arc` is replaced in one step.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(top);
    }

    /// The latest snapshot.
    pub fn latest(&self) -> Arc<Top> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
