//! Replays a capture and keeps what came out, for comparing.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;

use sensor::capture::replay::{Replay, ReplayConfig, ReplayError, Summary};
use sensor::capture::{Event, FLOW_BATCH};
use sensor_ebpf::counter::{Count, Totals};
use sensor_ebpf::flow::FlowKey;

/// What came out of a replay.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the reader says.
    pub summary: Summary,
    /// Where every packet went.
    pub totals: Totals,
    /// What the ticks brought.
    pub drained: Count,
    /// Every flow seen.
    pub flows: HashSet<FlowKey>,
    /// Outer addresses of those in tunnels.
    pub outer: HashMap<FlowKey, [[u8; 16]; 2]>,
    /// Flows with listed addresses, and the lists that name them.
    pub listed: HashMap<FlowKey, [u32; 2]>,
    /// Times of the ticks.
    pub ticks: Vec<u64>,
    /// Samples handed on.
    pub samples: u64,
    /// Packets of flows, where all are handed on.
    pub facts: u64,
    /// Everything, in order, as text: two replays are compared by it.
    pub trace: String,
}

/// Replays the bytes of a capture file.
pub fn replay(file: &[u8], config: ReplayConfig) -> Result<Outcome, ReplayError> {
    drain(Replay::from_reader("test", Cursor::new(file.to_vec()), config)?)
}

/// Takes every event of a replay, checking their order.
pub fn drain(mut replay: Replay) -> Result<Outcome, ReplayError> {
    let mut outcome = Outcome::default();
    let mut keys = HashSet::new();
    while let Some(event) = replay.next_event()? {
        outcome.trace.push_str(&format!("{event:?}\n"));
        match event {
            Event::Samples(samples) => {
                let last = outcome.ticks.last().copied().unwrap_or(0);
                assert!(
                    samples.iter().all(|sample| sample.time >= last),
                    "a sample older than the tick before it"
                );
                outcome.samples += samples.len() as u64;
            }
            Event::Flows(deltas) => {
                assert!((1..=FLOW_BATCH).contains(&deltas.len()), "{} flows in a batch", deltas.len());
                for delta in &deltas {
                    assert!(keys.insert(delta.key), "a flow twice in one tick");
                    outcome.flows.insert(delta.key);
                    outcome.drained.packets += delta.grown.packets.iter().sum::<u64>();
                    outcome.drained.bytes += delta.grown.bytes.iter().sum::<u64>();
                }
            }
            Event::Tunnels(tunnels) => {
                for tunnel in tunnels {
                    assert!(keys.contains(&tunnel.key), "a tunnel of a flow that did not grow");
                    outcome.outer.insert(tunnel.key, tunnel.addresses);
                }
            }
            Event::Listed(listed) => {
                assert!(listed.iter().all(|flow| keys.contains(&flow.key)), "of a flow that did not grow");
                outcome.listed.extend(listed.iter().map(|flow| (flow.key, flow.lists)));
            }
            Event::Lists(_) => {}
            Event::Packets(packets) => outcome.facts += packets.len() as u64,
            Event::Tick(tick) => {
                assert!(outcome.ticks.last().is_none_or(|last| *last < tick.time), "ticks go forward");
                keys.clear();
                outcome.ticks.push(tick.time);
                outcome.totals = tick.totals;
            }
        }
    }
    outcome.summary = replay.summary();
    Ok(outcome)
}

/// Every packet is in exactly one bin.
#[track_caller]
pub fn assert_conserved(outcome: &Outcome) {
    let (totals, drained) = (&outcome.totals, outcome.drained);
    let (not, overflow) = (totals.not_counted_total(), totals.overflow_total());
    assert_eq!(outcome.summary.packets, totals.seen.packets);
    assert_eq!(outcome.summary.bytes, totals.seen.bytes);
    assert_eq!(totals.seen.packets, totals.counted.packets + not.packets, "wire");
    assert_eq!(totals.seen.bytes, totals.counted.bytes + not.bytes, "wire bytes");
    assert_eq!(totals.counted.packets, drained.packets + overflow.packets, "flows");
    assert_eq!(totals.counted.bytes, drained.bytes + overflow.bytes, "flow bytes");
    assert_eq!(totals.sampled, outcome.samples, "samples");
}
