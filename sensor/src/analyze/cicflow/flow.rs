//! What a flow's columns are made of.

use sensor_ebpf::flow::{proto, tcp};

use super::bulk::Bulk;
use super::stats::Stats;
use crate::capture::PacketFacts;

/// Silence between two subflows, nanoseconds (CICFlowMeter's `detectUpdateSubflows`).
const SUBFLOW_SILENCE: u64 = 1_000_000_000;
/// Bits of the flags byte.
const FLAGS: usize = 8;

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Direction {
    /// Payload bytes of a packet; its count is that of the packets.
    pub(super) lengths: Stats,
    /// Microseconds between packets.
    pub(super) gaps: Stats,
    pub(super) header_bytes: u64,
    pub(super) least_header: u16,
    pub(super) flags: [u64; FLAGS],
    pub(super) data_packets: u64,
    pub(super) bulk: Bulk,
    /// The window of its first packet; `None` without TCP packets.
    pub(super) window: Option<u16>,
    last: u64,
}

/// A flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    /// First packet, nanoseconds.
    pub(super) start: u64,
    /// Latest packet, nanoseconds.
    pub(super) last: u64,
    /// Forward and backward: forward is from the side of the first packet.
    pub(super) sides: [Direction; 2],
    pub(super) lengths: Stats,
    pub(super) gaps: Stats,
    /// Stretches of activity that an idle one ended, microseconds.
    pub(super) active: Stats,
    /// Silences longer than the activity timeout, microseconds.
    pub(super) idle: Stats,
    silences: u64,
    active_since: u64,
}

impl Flow {
    /// Whether it has no packets yet.
    pub(super) fn is_empty(&self) -> bool {
        self.lengths.count() == 0.0
    }

    /// Adds a packet of side 0 (forward) or 1.
    pub(super) fn add(&mut self, packet: &PacketFacts, side: usize, activity_timeout: u64) {
        let now = packet.time;
        if self.is_empty() {
            (self.start, self.active_since) = (now, now);
        } else {
            let silence = now.saturating_sub(self.last);
            self.gaps.add(microseconds(silence));
            self.silences += u64::from(silence > SUBFLOW_SILENCE);
            if silence > activity_timeout {
                if self.last > self.active_since {
                    self.active.add(microseconds(self.last - self.active_since));
                }
                self.idle.add(microseconds(silence));
                self.active_since = now;
            }
        }
        self.last = now;
        self.lengths.add(f64::from(packet.payload));
        let other = self.sides[1 - side].bulk;
        self.sides[side].add(packet, &other);
    }

    /// Microseconds.
    pub(super) fn duration(&self) -> f64 {
        microseconds(self.last - self.start)
    }

    /// How many a second; 0 where no time passed.
    pub(super) fn per_second(&self, count: f64) -> f64 {
        if self.last == self.start { 0.0 } else { count / (self.duration() / 1e6) }
    }

    /// Packets with the flag, both ways.
    pub(super) fn flag(&self, flag: u8) -> f64 {
        self.sides.iter().map(|side| side.flag(flag)).sum()
    }

    /// Closed by a reset or by a FIN of both sides.
    pub(super) fn closed(&self) -> bool {
        self.flag(tcp::RST) > 0.0 || self.sides.iter().all(|side| side.flag(tcp::FIN) > 0.0)
    }

    /// A flow is one subflow, and one more for each silence of more than a second.
    pub(super) fn subflows(&self) -> f64 {
        (self.silences + 1) as f64
    }
}

impl Direction {
    fn add(&mut self, packet: &PacketFacts, other: &Bulk) {
        if self.lengths.count() == 0.0 {
            self.least_header = packet.header;
            self.window = (packet.key.proto == proto::TCP).then_some(packet.window);
        } else {
            self.gaps.add(microseconds(packet.time.saturating_sub(self.last)));
            self.least_header = self.least_header.min(packet.header);
        }
        self.last = packet.time;
        self.lengths.add(f64::from(packet.payload));
        self.header_bytes += u64::from(packet.header);
        for (bit, count) in self.flags.iter_mut().enumerate() {
            *count += u64::from(packet.tcp_flags >> bit & 1);
        }
        if packet.payload > 0 {
            self.data_packets += 1;
            self.bulk.add(u64::from(packet.payload), packet.time, other);
        }
    }

    pub(super) fn packets(&self) -> f64 {
        self.lengths.count()
    }

    /// Packets with the flag.
    pub(super) fn flag(&self, flag: u8) -> f64 {
        self.flags[flag.trailing_zeros() as usize % FLAGS] as f64
    }
}

fn microseconds(time: u64) -> f64 {
    time as f64 / 1e3
}
