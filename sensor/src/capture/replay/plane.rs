//! The data plane in software: what the XDP program and the drain do with a packet, on a capture's clock.
//!
//! In: records, in time order. Out: samples and ticks. The parser, the counters and the sampling rule are the
//! program's own code; only the map is another. Never reads a clock and never looks at a packet twice.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use sensor_ebpf::control::mode;
use sensor_ebpf::counter::Totals;
use sensor_ebpf::flow::{FlowKey, FlowStats};
use sensor_ebpf::parse::Packet;
use sensor_ebpf::table::Lane;
use sensor_ebpf::tunnel::outer_endpoints;

use super::ReplayConfig;
use super::link;
use super::record::Record;
use crate::capture::{Buffers, Event, FLOW_BATCH, FlowDelta, Link, Outer, Sample, Tick};
use crate::ledger::SampleBins;

/// Bytes of a frame that a sample keeps.
const SAMPLE_SNAP: usize = 2048;
/// Samples handed on together.
const SAMPLE_BATCH: usize = 256;
/// Where nothing happens, one tick a second is enough to close windows and flows.
const SECOND: u64 = 1_000_000_000;
/// Seconds after the flow timeout in which the stages after capture close what is open.
const SETTLE: u64 = 2 * SECOND;
/// No slot: the end of the list.
const NONE: u32 = u32::MAX;

/// The flow map, the totals and the clock.
pub(super) struct Plane {
    config: ReplayConfig,
    hash: DefaultHashBuilder,
    /// Slots by key. Never iterated: the order of a hash table is not that of the capture.
    table: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots that grew since the last tick, in the order in which they did.
    grown: Vec<u32>,
    /// Slots by the tick in which they last grew, oldest first: a list through `Slot::{older, newer}`.
    oldest: u32,
    newest: u32,
    totals: Totals,
    /// Of a lane, the sampling state only.
    lane: Lane,
    samples: Vec<Sample>,
    buffers: Buffers,
    /// New flows in tunnels since the last tick.
    outer: Vec<Outer>,
    /// When the next tick is due; 0 before the first packet.
    next_tick: u64,
    last_packet: u64,
}

/// An entry of the flow map, and how much of it was drained.
struct Slot {
    key: FlowKey,
    stats: FlowStats,
    drained: FlowStats,
    grown: bool,
    older: u32,
    newer: u32,
}

impl Plane {
    pub(super) fn new(mut config: ReplayConfig) -> Plane {
        config.max_flows = config.max_flows.min(NONE as usize);
        Plane {
            config,
            hash: DefaultHashBuilder::default(),
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            grown: Vec::new(),
            oldest: NONE,
            newest: NONE,
            totals: Totals::default(),
            lane: Lane::default(),
            samples: Vec::new(),
            buffers: Buffers::default(),
            outer: Vec::new(),
            next_tick: 0,
            last_packet: 0,
        }
    }

    /// Where read events are given back.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Counts a packet at `now`, after the ticks that were due before it.
    #[inline]
    pub(super) fn packet(&mut self, record: &Record<'_>, now: u64, events: &mut VecDeque<Event>) {
        if now >= self.next_tick {
            self.ticks_before(now, events);
        }
        self.last_packet = now;
        let bytes = u64::from(record.wire_len);
        let link = link::link(record.link_type, record.frame);
        self.totals.seen.add(bytes);
        match link.parse(record.frame) {
            Ok(packet) => {
                self.totals.counted.add(bytes);
                let ordinal = self.count(&packet, bytes, now);
                if packet.key.tunnel != 0 && ordinal == 1 {
                    self.outer_of(record.frame, &packet);
                }
                let control = &self.config.control;
                if control.mode != mode::PASS {
                    let weight = self.lane.weight(control, ordinal, packet.tcp_flags, now, 0);
                    if weight != 0 {
                        self.sample(record, link, now, weight, events);
                    }
                }
            }
            Err(reason) => self.totals.not_counted[reason as usize].add(bytes),
        }
    }

    /// The last tick, when there are no more packets.
    pub(super) fn finish(&mut self, events: &mut VecDeque<Event>) {
        if self.next_tick != 0 {
            self.tick(self.next_tick, events);
        }
    }

    /// Adds a packet to its flow and gives its ordinal there; as in the program, `u64::MAX` without room.
    #[inline]
    fn count(&mut self, packet: &Packet, bytes: u64, now: u64) -> u64 {
        let direction = usize::from(packet.reverse);
        let hash = hash_key(&self.hash, &packet.key);
        let slots = &mut self.slots;
        let found = self.table.find(hash, |&at| slots[at as usize].key == packet.key).copied();
        let at = match found {
            Some(at) => {
                let slot = &mut slots[at as usize];
                slot.stats.add_packet(direction, bytes, packet.tcp_flags, now);
                at
            }
            None if self.table.len() >= self.config.max_flows => {
                self.totals.overflow_table_full.add(bytes);
                return u64::MAX;
            }
            None => {
                let mut stats = FlowStats::default();
                stats.set_first_packet(direction, bytes, packet.tcp_flags, now);
                let slot = Slot {
                    key: packet.key,
                    stats,
                    drained: FlowStats::default(),
                    grown: false,
                    older: NONE,
                    newer: NONE,
                };
                let at = match self.free.pop() {
                    Some(at) => {
                        slots[at as usize] = slot;
                        at
                    }
                    None => {
                        slots.push(slot);
                        slots.len() as u32 - 1
                    }
                };
                let hasher = &self.hash;
                self.table.insert_unique(hash, at, |&at| hash_key(hasher, &slots[at as usize].key));
                at
            }
        };
        let slot = &mut self.slots[at as usize];
        if !slot.grown {
            slot.grown = true;
            self.grown.push(at);
        }
        slot.stats.packets[0] + slot.stats.packets[1]
    }

    #[cold]
    fn outer_of(&mut self, frame: &[u8], packet: &Packet) {
        if let Some((a, b)) = outer_endpoints(frame, packet) {
            self.outer.push(Outer { key: packet.key, addresses: [a, b] });
        }
    }

    fn sample(
        &mut self,
        record: &Record<'_>,
        link: Link,
        now: u64,
        weight: u32,
        events: &mut VecDeque<Event>,
    ) {
        self.totals.sampled += 1;
        let kept = record.frame.len().min(SAMPLE_SNAP);
        let frame = Bytes::copy_from_slice(&record.frame[..kept]);
        self.samples.push(Sample { time: now, wire_len: record.wire_len, weight, link, frame });
        if self.samples.len() >= SAMPLE_BATCH {
            self.hand_over_samples(events);
        }
    }

    fn hand_over_samples(&mut self, events: &mut VecDeque<Event>) {
        if !self.samples.is_empty() {
            let batch = std::mem::replace(&mut self.samples, self.buffers.samples(SAMPLE_BATCH));
            events.push_back(Event::Samples(batch));
        }
    }

    /// The ticks that were due up to `now`. In a gap: one a second while something may still be open, and then
    /// the latest, so that a day without packets is not 864,000 ticks.
    #[cold]
    fn ticks_before(&mut self, now: u64, events: &mut VecDeque<Event>) {
        let interval = self.config.drain_interval;
        let latest = now - now % interval;
        if self.next_tick != 0 {
            let mut done = self.next_tick;
            self.tick(done, events);
            let quiet = self.last_packet.saturating_add(self.config.flow_idle_timeout).saturating_add(SETTLE);
            loop {
                let second = (done / SECOND + 1) * SECOND;
                let due = second.div_ceil(interval) * interval;
                if due >= latest || due > quiet {
                    break;
                }
                self.tick(due, events);
                done = due;
            }
            if latest > done {
                self.tick(latest, events);
            }
        }
        self.next_tick = latest + interval;
    }

    /// Drains what grew, then removes what is idle.
    fn tick(&mut self, time: u64, events: &mut VecDeque<Event>) {
        self.hand_over_samples(events);
        let mut grown = std::mem::take(&mut self.grown);
        for batch in grown.chunks(FLOW_BATCH) {
            let mut deltas = self.buffers.flows();
            for &at in batch {
                self.move_to_newest(at);
                let slot = &mut self.slots[at as usize];
                slot.grown = false;
                deltas.push(FlowDelta { key: slot.key, grown: slot.stats.since(&slot.drained) });
                slot.drained = slot.stats;
            }
            events.push_back(Event::Flows(deltas));
        }
        grown.clear();
        self.grown = grown;
        if !self.outer.is_empty() {
            events.push_back(Event::Tunnels(std::mem::take(&mut self.outer)));
        }
        self.remove_idle(time);
        events.push_back(Event::Tick(Tick {
            time,
            totals: self.totals,
            // No ring stands between the plane and its reader: what was sampled is delivered.
            samples: SampleBins { delivered: self.totals.sampled, ..SampleBins::default() },
            flood: None,
        }));
    }

    /// Everything was drained just before, so nothing is lost with an entry.
    fn remove_idle(&mut self, time: u64) {
        while let Some(slot) = self.slots.get(self.oldest as usize) {
            if time.saturating_sub(slot.stats.last) <= self.config.map_idle_timeout {
                break;
            }
            let at = self.oldest;
            let hash = hash_key(&self.hash, &slot.key);
            if let Ok(entry) = self.table.find_entry(hash, |&other| other == at) {
                entry.remove();
            }
            self.unlink(at);
            self.free.push(at);
        }
    }

    fn move_to_newest(&mut self, at: u32) {
        if self.newest == at {
            return;
        }
        self.unlink(at);
        self.slots[at as usize].older = self.newest;
        match self.slots.get_mut(self.newest as usize) {
            Some(newest) => newest.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    /// Takes a slot out of the list; nothing to do for one that is in no list yet.
    fn unlink(&mut self, at: u32) {
        let Slot { older, newer, .. } = self.slots[at as usize];
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None if self.oldest == at => self.oldest = newer,
            None => {}
        }
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None if self.newest == at => self.newest = older,
            None => {}
        }
        let slot = &mut self.slots[at as usize];
        slot.older = NONE;
        slot.newer = NONE;
    }
}

/// Keyed anew in each process, so that nobody can make a capture whose flows collide.
#[inline]
fn hash_key(state: &DefaultHashBuilder, key: &FlowKey) -> u64 {
    state.hash_one(key)
}
