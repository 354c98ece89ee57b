//! Bulk transfers of one direction: four packets with payload or more, with at most a second between two of them and
//! no payload of the other side (CICFlowMeter's `updateForwardBulk`).

/// Packets that make a bulk.
const PACKETS: u64 = 4;
/// Silence that ends one, nanoseconds.
const SILENCE: u64 = 1_000_000_000;

/// The bulks so far, and the run that may become one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bulk {
    bulks: u64,
    packets: u64,
    bytes: u64,
    /// Nanoseconds.
    duration: u64,
    run_packets: u64,
    run_bytes: u64,
    run_start: u64,
    last: u64,
}

impl Bulk {
    /// A packet with payload; `other` is the opposite direction.
    pub(super) fn add(&mut self, bytes: u64, now: u64, other: &Bulk) {
        let interrupted = other.last > self.run_start;
        if self.run_packets == 0 || interrupted || now.saturating_sub(self.last) > SILENCE {
            (self.run_packets, self.run_bytes, self.run_start) = (1, bytes, now);
        } else {
            self.run_packets += 1;
            self.run_bytes += bytes;
            if self.run_packets == PACKETS {
                self.bulks += 1;
                self.packets += PACKETS;
                self.bytes += self.run_bytes;
                self.duration += now.saturating_sub(self.run_start);
            } else if self.run_packets > PACKETS {
                self.packets += 1;
                self.bytes += bytes;
                self.duration += now.saturating_sub(self.last);
            }
        }
        self.last = now;
    }

    /// Bytes a bulk; 0 without bulks.
    pub(super) fn bytes(&self) -> f64 {
        self.bytes as f64 / self.bulks.max(1) as f64
    }

    /// Packets a bulk.
    pub(super) fn packets(&self) -> f64 {
        self.packets as f64 / self.bulks.max(1) as f64
    }

    /// Bytes a second while in bulk; 0 where no time passed.
    pub(super) fn rate(&self) -> f64 {
        if self.duration == 0 { 0.0 } else { self.bytes as f64 / (self.duration as f64 / 1e9) }
    }
}
