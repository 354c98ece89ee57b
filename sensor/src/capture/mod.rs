//! Packets to counts and samples: from an interface (live) or from a capture file (replay).
//!
//! Both sources hand on the same things: samples, as they come, and every drain interval (100 ms by default) what
//! every flow grew by, in batches, and then a [`Tick`] with the totals. Later stages cannot tell the sources apart, and
//! never read a clock: times are nanoseconds since the Unix epoch on the source's clock.

mod attach;

mod buffers;

mod clock;

mod config;

mod counters;

mod drain;

mod drainer;

mod error;

pub mod flood;

mod listed;

mod live;

pub mod nic;

pub mod pins;

mod program;

pub mod queues;

mod readings;

mod receive;

mod steering;

mod table;

mod refusal;
pub mod replay;

mod xsk;

pub use buffers::Buffers;
pub use clock::Clock;
pub use config::{CaptureConfig, HugePages, Mode, NicRings, SampleConfig, XdpMode, ZeroCopy};
pub use counters::{CaptureCounters, QueueCounters};
pub use drain::Drain;
pub use error::CaptureError;
pub use listed::{ListedError, ListedPrefix, Lister, Turning};
pub use live::{Live, TICK_ROOM};
pub use program::{Frames, Program, XdpAttached};
pub use queues::Queue;
pub use receive::Queued;
pub use steering::{Steering, Target};
pub use table::{Table, TableSize};
pub use xsk::Statistics as XskStatistics;

use std::sync::Arc;

use bytes::Bytes;
use sensor_ebpf::counter::{Reason, Totals};
use sensor_ebpf::flow::{FlowKey, FlowStats};
use sensor_ebpf::parse::{Packet, parse_ethernet, parse_network};

use self::flood::Flood;
use crate::ledger::SampleBins;

/// A packet that was chosen for a closer look.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When the packet was seen, nanoseconds since the Unix epoch.
    pub time: u64,
    /// Length on the wire, bytes; `frame` may be shorter.
    pub wire_len: u32,
    /// Packets the sample stands for, see [`sensor_ebpf::table::Lane::weight`].
    pub weight: u32,
    /// How `frame` begins.
    pub link: Link,
    /// The frame, from its link-layer header on.
    pub frame: Bytes,
}

/// The link layer a frame begins with. An interface gives Ethernet; capture files know others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet II or IEEE 802.3.
    Ethernet,
    /// Not Ethernet: the network layer starts at `at` and has EtherType `ethertype`.
    Network {
        /// EtherType of the network layer.
        ethertype: u16,
        /// Offset of the network layer, bytes.
        at: u16,
    },
    /// A link layer that is not understood: the frame is counted, not looked into.
    Unknown,
}

impl Link {
    /// Parses a frame that begins like this.
    #[inline]
    pub fn parse(self, frame: &[u8]) -> Result<Packet, Reason> {
        match self {
            Link::Ethernet => parse_ethernet(frame),
            Link::Network { ethertype, at } => parse_network(frame, ethertype, usize::from(at), [0; 3]),
            Link::Unknown => Err(Reason::UnknownLink),
        }
    }
}

/// What one flow grew by since the last tick.
#[derive(Clone, Copy, Debug)]
pub struct FlowDelta {
    /// The flow.
    pub key: FlowKey,
    /// Counters are increments; `first`, `last` and `initiator` are those of the map entry.
    pub grown: FlowStats,
}

/// Flows in one [`Event::Flows`], at most: a batch fits into the cache of the core that reads it.
pub const FLOW_BATCH: usize = 4096;

/// What the headers of one packet say: for statistics that need every packet, not a sample of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketFacts {
    /// When it was seen, nanoseconds since the Unix epoch.
    pub time: u64,
    /// Its flow.
    pub key: FlowKey,
    /// Bytes of transport payload by the lengths in the headers: what pads a frame is none.
    pub payload: u32,
    /// Bytes of the transport header; 0 where there is none, as in later fragments.
    pub header: u16,
    /// TCP window as sent, not scaled; 0 for other protocols.
    pub window: u16,
    /// TCP flags; 0 for other protocols.
    pub tcp_flags: u8,
    /// Whether it goes from endpoint `b` to endpoint `a`.
    pub reverse: bool,
}

/// The outer addresses of a flow in a tunnel. The source tells them once, when the flow is new to it.
#[derive(Clone, Copy, Debug)]
pub struct Outer {
    /// The flow.
    pub key: FlowKey,
    /// The addresses on the sides `a` and `b` of the key, IPv4 mapped.
    pub addresses: [[u8; 16]; 2],
}

/// A new flow with an address that is listed, as far as the source knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The flow.
    pub key: FlowKey,
    /// The numbers of the lists that name the addresses on the sides `a` and `b` of the key, from 1; 0 is none.
    pub lists: [u32; 2],
}

/// The end of one drain of the kernel's flow table. What flows grew by came before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tick {
    /// When the drain happened, nanoseconds since the Unix epoch. Never goes back.
    pub time: u64,
    /// Where every packet went so far.
    pub totals: Totals,
    /// Where every sample went so far, as far as the source knows; the rest of the bins is 0.
    pub samples: SampleBins,
    /// Packets of flows without entry, where the source counts them by prefix; once a second.
    pub flood: Option<Flood>,
}

/// What a source hands on.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "ten ticks a second; a box each would buy nothing")]
pub enum Event {
    /// Samples, in the order in which one receive queue delivered them.
    Samples(Vec<Sample>),
    /// What flows grew by, [`FLOW_BATCH`] of them at most, each flow once between two ticks. A capture file's are in
    /// the order in which they first grew, an interface's in no particular order.
    Flows(Vec<FlowDelta>),
    /// New flows in tunnels among those of this drain, after their [`Event::Flows`].
    Tunnels(Vec<Outer>),
    /// New flows with listed addresses among those of this drain, after their [`Event::Flows`].
    Listed(Vec<Listed>),
    /// What the source looks new flows up in from now on.
    Lists(Arc<crate::intel::Set>),
    /// Every packet that belongs to a flow, in the order of the capture; only from a replay that was asked for them
    /// ([`replay::ReplayConfig::packets`]).
    Packets(Vec<PacketFacts>),
    /// A drain of the kernel's flow table is complete.
    Tick(Tick),
}
