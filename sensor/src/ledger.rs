//! Conservation: every packet, sample, row and alert is in exactly one bin, and the bins add up.
//!
//! Each equation compares counters that were kept independently of each other. While packets fly, one side is
//! read a moment before the other, so a residue is the distance to the interval that the readings allow; at rest
//! the interval is a point, and the residue is exact.

use sensor_ebpf::counter::{Count, Totals};
use serde::Serialize;

use crate::capture::{FlowDelta, Tick};

/// All bins, as far as the packets have come.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Kernel side, latest reading.
    pub totals: Totals,
    /// Kernel side, the reading before the latest drain: what was counted then must have been drained.
    pub totals_before: Totals,
    /// Packets sampled by the reading a second or more before the latest: each is lost or delivered by now.
    pub sampled_before: u64,
    /// The next of these, and since when it has been read: known at the tick behind it, for a drain may take long.
    sampled_next: (Option<u64>, u64),
    /// Packets drained from the kernel's flow table into user space.
    pub drained_packets: u64,
    /// Bytes drained from the kernel's flow table into user space.
    pub drained_bytes: u64,
    /// Packets in the sketches of source prefixes, and the least that was in the totals by then; none in a replay.
    sketched: Option<(u64, u64)>,
    /// Samples.
    pub samples: SampleBins,
    /// Samples that earlier processes accounted for.
    pub samples_before: u64,
    /// Samples delivered by the drain before the latest: each is parsed or shed by now.
    delivered_before: u64,
    /// Samples delivered by now, where that is more than by the latest drain.
    pub delivered_latest: u64,
    /// Rows and scores.
    pub scoring: ScoringBins,
    /// Alerts.
    pub alerts: AlertBins,
}

/// What earlier processes left accounted for, where the program stayed on the interface: this one's ledger goes on from
/// there. Whatever else the kernel has counted by then is this one's to account for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Earlier {
    /// There was one.
    pub taken_over: bool,
    /// Kernel side when this process took over.
    pub totals: Totals,
    /// Packets and bytes of flows that were drained.
    pub drained: Count,
    /// Samples delivered, or lost in user space.
    pub samples: u64,
    /// Samples that nobody told of.
    pub lost_restart: u64,
}

/// Samples after the kernel chose them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SampleBins {
    /// Read from the rings.
    pub delivered: u64,
    /// Lost: the RX ring was full.
    pub lost_rx_ring_full: u64,
    /// Lost: the fill ring was empty.
    pub lost_fill_ring_empty: u64,
    /// Lost: dropped by the socket for another reason (longer than a UMEM frame).
    pub lost_rx_dropped: u64,
    /// Lost: invalid descriptors.
    pub lost_invalid_descs: u64,
    /// Lost: in the rings of a sensor that was killed. Chosen by the kernel, and told by nobody.
    pub lost_restart: u64,
    /// Delivered and parsed into a flow.
    pub parsed: u64,
    /// Delivered, then shed: the queue to the analysis was full.
    pub shed_queue_full: u64,
    /// Delivered, then shed: the packet belongs to no flow.
    pub shed_not_in_flow: u64,
}

impl SampleBins {
    /// Lost on the way from the program to this process.
    pub fn lost(&self) -> u64 {
        self.lost_rx_ring_full
            + self.lost_fill_ring_empty
            + self.lost_rx_dropped
            + self.lost_invalid_descs
            + self.lost_restart
    }
}

/// Rows: windows of flows and hosts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ScoringBins {
    /// Rows made.
    pub made: u64,
    /// Rows scored.
    pub scored: u64,
    /// Rows shed: more in one window than the limit.
    pub shed_limit: u64,
    /// Scored rows the model was trained on.
    pub trained: u64,
    /// Scored rows withheld from training: they were unusual.
    pub withheld_anomalous: u64,
    /// Scored rows withheld: they take part in an attack, or one goes on.
    pub withheld_attack: u64,
    /// Scored rows withheld: ordinary to the model, but not to its reference.
    pub withheld_reference: u64,
    /// Scored rows withheld: the ledger did not add up.
    pub withheld_ledger: u64,
    /// Scored rows withheld: the training budget was spent.
    pub withheld_budget: u64,
    /// Scored rows withheld: calibrating, the model stands still.
    pub withheld_calibrating: u64,
}

impl ScoringBins {
    /// Scored rows the model was not trained on.
    pub fn withheld(&self) -> u64 {
        self.withheld_anomalous
            + self.withheld_attack
            + self.withheld_reference
            + self.withheld_ledger
            + self.withheld_budget
            + self.withheld_calibrating
    }
}

/// Alerts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct AlertBins {
    /// Windows that called for an alert.
    pub raised: u64,
    /// New alerts handed to the store, which says what became of them.
    pub stored: u64,
    /// Folded into an alert that stands already.
    pub suppressed_duplicate: u64,
    /// Suppressed: too many alerts at once.
    pub suppressed_limit: u64,
}

/// What is left over in each equation; 0 everywhere is the promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Residue {
    /// seen - counted in a flow - not counted, packets.
    pub wire: i64,
    /// The same in bytes.
    pub wire_bytes: i64,
    /// counted - drained - overflow, packets.
    pub flows: i64,
    /// The same in bytes.
    pub flows_bytes: i64,
    /// overflow - counted in the sketches of source prefixes, packets.
    pub prefixes: i64,
    /// sampled - delivered - lost.
    pub samples: i64,
    /// delivered - parsed - shed.
    pub parsing: i64,
    /// made - scored - shed.
    pub scoring: i64,
    /// scored - trained - withheld.
    pub training: i64,
    /// raised - stored - suppressed.
    pub alerts: i64,
}

impl Ledger {
    /// Goes on from what earlier processes accounted for.
    pub fn after(earlier: &Earlier) -> Ledger {
        Ledger {
            // Until the first drain anything between nothing and all of it may have been drained.
            totals: earlier.totals,
            drained_packets: earlier.drained.packets,
            drained_bytes: earlier.drained.bytes,
            samples_before: earlier.samples,
            samples: SampleBins { lost_restart: earlier.lost_restart, ..SampleBins::default() },
            ..Ledger::default()
        }
    }

    /// Counts what flows grew by.
    pub fn flows(&mut self, deltas: &[FlowDelta]) {
        for delta in deltas {
            self.drained_packets += delta.grown.packets[0] + delta.grown.packets[1];
            self.drained_bytes += delta.grown.bytes[0] + delta.grown.bytes[1];
        }
    }

    /// Moves the source's totals on: a drain is complete.
    pub fn drained(&mut self, tick: &Tick) {
        let (read, sampled) = self.sampled_next;
        if read.is_none() {
            self.sampled_next.0 = Some(tick.time);
        } else if read.is_some_and(|read| tick.time >= read + SECOND) {
            self.sampled_before = sampled;
            self.sampled_next = (None, tick.totals.sampled);
        }
        let (parsed, not_in_flow) = (self.samples.parsed, self.samples.shed_not_in_flow);
        self.delivered_before = self.samples.delivered;
        let lost_restart = self.samples.lost_restart;
        self.samples = SampleBins { parsed, shed_not_in_flow: not_in_flow, lost_restart, ..tick.samples };
        self.totals_before = std::mem::replace(&mut self.totals, tick.totals);
        if let Some(flood) = &tick.flood {
            self.sketched = Some((flood.total.packets, self.totals_before.sketched_total()));
        }
    }

    /// What is left over while packets fly.
    pub fn residue(&self) -> Residue {
        self.residue_between(&self.totals_before, self.sampled_before, false)
    }

    /// What is left over when no packet can be in flight: the program detached, the rings empty.
    pub fn residue_at_rest(&self) -> Residue {
        self.residue_between(&self.totals, self.totals.sampled, true)
    }

    fn residue_between(&self, before: &Totals, sampled_before: u64, at_rest: bool) -> Residue {
        let now = &self.totals;
        let (not_counted, overflow) = (now.not_counted_total(), now.overflow_total());
        let overflow_before = before.overflow_total();
        // A packet is added to `seen` before any bin, to `counted` before its flow.
        let samples = &self.samples;
        let lost = now.lost_no_socket + now.lost_ringbuf_full + now.lost_no_headroom + samples.lost();
        let (scoring, alerts) = (&self.scoring, &self.alerts);
        Residue {
            wire: outside(now.counted.packets + not_counted.packets, before.seen.packets, now.seen.packets),
            wire_bytes: outside(now.counted.bytes + not_counted.bytes, before.seen.bytes, now.seen.bytes),
            flows: outside(
                self.drained_packets,
                before.counted.packets.saturating_sub(overflow.packets),
                now.counted.packets.saturating_sub(overflow_before.packets),
            ),
            flows_bytes: outside(
                self.drained_bytes,
                before.counted.bytes.saturating_sub(overflow.bytes),
                now.counted.bytes.saturating_sub(overflow_before.bytes),
            ),
            prefixes: self.sketched.map_or(0, |(sketched, low)| {
                outside(sketched, if at_rest { now.sketched_total() } else { low }, now.sketched_total())
            }),
            samples: outside(self.samples_before + samples.delivered + lost, sampled_before, now.sampled),
            parsing: outside(
                samples.parsed + samples.shed_queue_full + samples.shed_not_in_flow,
                if at_rest { samples.delivered } else { self.delivered_before },
                if at_rest { samples.delivered } else { samples.delivered.max(self.delivered_latest) },
            ),
            scoring: difference(scoring.made, scoring.scored + scoring.shed_limit),
            training: difference(scoring.scored, scoring.trained + scoring.withheld()),
            alerts: difference(
                alerts.raised,
                alerts.stored + alerts.suppressed_duplicate + alerts.suppressed_limit,
            ),
        }
    }
}

impl Residue {
    /// Each equation with its metric label.
    pub fn equations(&self) -> [(&'static str, i64); 10] {
        [
            ("wire", self.wire),
            ("wire_bytes", self.wire_bytes),
            ("flows", self.flows),
            ("flows_bytes", self.flows_bytes),
            ("prefixes", self.prefixes),
            ("samples", self.samples),
            ("parsing", self.parsing),
            ("scoring", self.scoring),
            ("training", self.training),
            ("alerts", self.alerts),
        ]
    }

    /// Whether nothing is left over.
    pub fn is_zero(&self) -> bool {
        *self == Residue::default()
    }
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// How far `value` lies below `low..=high` (positive: something is missing from it) or above it (negative).
fn outside(value: u64, low: u64, high: u64) -> i64 {
    if value < low {
        difference(low, value)
    } else if value > high {
        -difference(value, high)
    } else {
        0
    }
}

fn difference(left: u64, right: u64) -> i64 {
    left.wrapping_sub(right) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A drain that waits for the analysis reads its totals long after it began.
    #[test]
    fn samples_have_a_whole_second_to_be_read_however_long_a_drain_takes() {
        let mut ledger = Ledger::default();
        let mut tick = |tenth: u64, sampled: u64, delivered: u64| {
            let totals = Totals { sampled, ..Totals::default() };
            let samples = SampleBins { delivered, ..SampleBins::default() };
            ledger.drained(&Tick { time: tenth * SECOND / 10, totals, samples, ..Tick::default() });
            ledger.residue().samples
        };
        assert_eq!(tick(10, 0, 0), 0);
        // Begins now, and reads what was sampled until shortly before the next one begins.
        assert_eq!(tick(20, 500, 400), 0);
        assert_eq!(tick(30, 560, 470), 0);
        for tenth in 31..40 {
            assert_eq!(tick(tenth, 560, 470), 0);
        }
        // A second after 500 was read for certain, 30 of them are still missing.
        assert_eq!(tick(40, 600, 470), 30);
        assert_eq!(tick(50, 600, 580), 0);
    }
}
