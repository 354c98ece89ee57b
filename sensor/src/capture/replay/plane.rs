//! The data plane in software: what the XDP program and the drain do with a packet, on a capture's clock.
//!
//! In: records, in time order. Out: samples and ticks. The parser, the counters and the sampling rule are the
//! program's own code; only the map is another. Never reads a clock and never looks at a packet twice.

use std::collections::VecDeque;

use bytes::BytesMut;
use sensor_ebpf::control::mode;
use sensor_ebpf::counter::{Reason, Totals};
use sensor_ebpf::flow::{FlowKey, FlowStats};
use sensor_ebpf::parse::Packet;
use sensor_ebpf::table::Lane;
use sensor_ebpf::tunnel::outer_endpoints;

use super::ReplayConfig;
use super::facts::facts;
use super::link;
use super::record::{AT_ONCE, Record};
use super::wheel::Wheel;
use crate::capture::{Buffers, Event, FLOW_BATCH, FlowDelta, Link, Listed, Outer, PacketFacts, Sample, Tick};
use crate::flow::index::{Index, Key, Seed};
use crate::ledger::SampleBins;

/// Bytes of a frame that a sample keeps.
const SAMPLE_SNAP: usize = 2048;
/// Samples handed on together.
const SAMPLE_BATCH: usize = 256;
/// Packets handed on together, where all are.
const PACKET_BATCH: usize = 512;
/// Samples share their memory in pieces of so many bytes.
const SAMPLE_ROOM: usize = 64 << 10;
/// Where nothing happens, one tick a second is enough to close windows and flows.
const SECOND: u64 = 1_000_000_000;
/// Seconds after the flow timeout in which the stages after capture close what is open.
const SETTLE: u64 = 2 * SECOND;
/// Not grown since the last tick.
const NONE: u32 = u32::MAX;

/// The flow map, the totals and the clock.
pub(super) struct Plane {
    config: ReplayConfig,
    seed: Seed,
    /// Slots by key. Never iterated: the order of a hash table is not that of the capture.
    index: Index,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// What flows grew by since the last tick, in the order in which they did, in batches.
    grown: Vec<Vec<FlowDelta>>,
    /// Their slots.
    grown_slots: Vec<u32>,
    /// When to look whether a flow is idle.
    idle: Wheel,
    totals: Totals,
    /// Of a lane, the sampling state only.
    lane: Lane,
    samples: Vec<Sample>,
    packets: Vec<PacketFacts>,
    frames: BytesMut,
    buffers: Buffers,
    /// New flows in tunnels since the last tick.
    outer: Vec<Outer>,
    /// New flows with listed addresses since the last tick.
    listed: Vec<Listed>,
    /// When the next tick is due; 0 before the first packet.
    next_tick: u64,
    last_packet: u64,
}

/// An entry of the kernel's flow table, less what is in `grown`.
struct Slot {
    key: FlowKey,
    packets: u64,
    first: u64,
    last: u64,
    /// Place in `grown`, over all batches.
    grown: u32,
    initiator: u8,
}

impl Plane {
    pub(super) fn new(mut config: ReplayConfig) -> Plane {
        config.max_flows = config.max_flows.min(NONE as usize - 1);
        Plane {
            idle: Wheel::new(config.map_idle_timeout),
            config,
            seed: Seed::default(),
            index: Index::default(),
            slots: Vec::new(),
            free: Vec::new(),
            grown: Vec::new(),
            grown_slots: Vec::new(),
            totals: Totals::default(),
            lane: Lane::default(),
            samples: Vec::new(),
            packets: Vec::new(),
            frames: BytesMut::new(),
            buffers: Buffers::default(),
            outer: Vec::new(),
            listed: Vec::new(),
            next_tick: 0,
            last_packet: 0,
        }
    }

    /// Where read events are given back.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Counts packets, each at its time, after the ticks that were due before it.
    pub(super) fn packets(
        &mut self,
        records: &[Record<'_>],
        times: &[u64; AT_ONCE],
        events: &mut VecDeque<Event>,
    ) {
        let mut parsed = [(Link::Unknown, Err(Reason::UnknownLink), 0); AT_ONCE];
        for ((link, packet, hash), record) in parsed.iter_mut().zip(records) {
            *link = link::link(record.link_type, record.frame);
            *packet = link.parse(record.frame);
            *hash = packet.as_ref().map_or(0, |packet| packet.key.hash(&self.seed));
        }
        self.load(&parsed.map(|(.., hash)| hash), records.len());
        for ((record, now), (link, packet, hash)) in records.iter().zip(times).zip(parsed) {
            self.packet(record, *now, link, packet, hash, events);
        }
    }

    /// Brings flows into the cache by loads that do not wait for each other: of the index, of the slots, of what grows.
    /// Short loops, or a processor could not look far enough ahead to begin the next load.
    #[inline]
    fn load(&self, hashes: &[u64; AT_ONCE], len: usize) {
        let hashes = &hashes[..len];
        let mut loaded = hashes.iter().fold(0, |loaded, hash| loaded ^ self.index.touch(*hash));
        let mut slots = [NONE; AT_ONCE];
        for (slot, hash) in slots.iter_mut().zip(hashes) {
            *slot = self.index.guess(*hash).unwrap_or(NONE);
        }
        let mut growing = [NONE; AT_ONCE];
        for (grown, at) in growing.iter_mut().zip(slots) {
            if let Some(slot) = self.slots.get(at as usize) {
                loaded ^= slot.last ^ u64::from(slot.key.port_a);
                *grown = slot.grown;
            }
        }
        for grown in growing {
            let batch = self.grown.get(grown as usize / FLOW_BATCH);
            let delta = batch.and_then(|batch| batch.get(grown as usize % FLOW_BATCH));
            loaded ^= delta.map_or(0, |delta| delta.grown.packets[0] ^ delta.grown.last);
        }
        std::hint::black_box(loaded);
    }

    #[inline]
    fn packet(
        &mut self,
        record: &Record<'_>,
        now: u64,
        link: Link,
        packet: Result<Packet, Reason>,
        hash: u64,
        events: &mut VecDeque<Event>,
    ) {
        if now >= self.next_tick {
            self.ticks_before(now, events);
        }
        self.last_packet = now;
        let bytes = u64::from(record.wire_len);
        self.totals.seen.add(bytes);
        match packet {
            Ok(packet) => {
                self.totals.counted.add(bytes);
                let ordinal = self.count(&packet, hash, bytes, now);
                if packet.key.tunnel != 0 && ordinal == 1 {
                    self.outer_of(record.frame, &packet);
                }
                if self.config.packets {
                    self.packets.push(facts(link, record, &packet, now));
                    if self.packets.len() >= PACKET_BATCH {
                        self.hand_over_packets(events);
                    }
                }
                let control = &self.config.control;
                if control.mode != mode::PASS {
                    let weight = self.lane.weight(control, ordinal, packet.tcp_flags, now, 0);
                    if weight != 0 {
                        self.sample(record, link, now, weight, events);
                    }
                }
            }
            Err(reason) => {
                self.totals.not_counted[reason as usize].add(bytes);
                let control = &self.config.control;
                if let Some(class) = reason.link_class()
                    && control.mode != mode::PASS
                {
                    let weight = self.lane.link_weight(control, class, now);
                    if weight != 0 {
                        self.sample(record, link, now, weight, events);
                    }
                }
            }
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
    fn count(&mut self, packet: &Packet, hash: u64, bytes: u64, now: u64) -> u64 {
        let direction = usize::from(packet.reverse);
        let slots = &self.slots;
        let at = match self.index.find(hash, |at| slots[at as usize].key == packet.key) {
            Some(at) => at,
            None if self.index.len() >= self.config.max_flows => {
                self.totals.overflow_table_full.add(bytes);
                return u64::MAX;
            }
            None => self.enter(hash, packet, now),
        };
        let slot = &mut self.slots[at as usize];
        slot.packets += 1;
        slot.last = now;
        let ordinal = slot.packets;
        let grown = if slot.grown == NONE { self.grow(at) } else { slot.grown as usize };
        self.grown[grown / FLOW_BATCH][grown % FLOW_BATCH].grown.add_packet(
            direction,
            bytes,
            packet.tcp_flags,
            now,
        );
        ordinal
    }

    /// A new flow takes a slot.
    fn enter(&mut self, hash: u64, packet: &Packet, now: u64) -> u32 {
        let initiator = u8::from(packet.reverse);
        let slot = Slot { key: packet.key, packets: 0, first: now, last: now, grown: NONE, initiator };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.index.insert(hash, at);
        self.idle.watch(at, now);
        if let Some(set) = &self.config.lists {
            let lists = [&packet.key.addr_a, &packet.key.addr_b].map(|address| set.list(address));
            if lists != [0, 0] {
                self.listed.push(Listed { key: packet.key, lists });
            }
        }
        at
    }

    /// The first packet of a flow since the last tick: the place where it is added up.
    fn grow(&mut self, at: u32) -> usize {
        if self.grown.last().is_none_or(|batch| batch.len() == FLOW_BATCH) {
            self.grown.push(self.buffers.flows());
        }
        let place = (self.grown.len() - 1) * FLOW_BATCH + self.grown.last().map_or(0, Vec::len);
        let slot = &mut self.slots[at as usize];
        slot.grown = place as u32;
        let grown =
            FlowStats { first: slot.first, initiator: u64::from(slot.initiator), ..FlowStats::default() };
        if let Some(batch) = self.grown.last_mut() {
            batch.push(FlowDelta { key: slot.key, grown });
            self.grown_slots.push(at);
        }
        place
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
        if self.frames.capacity() < kept {
            self.frames.reserve(SAMPLE_ROOM);
        }
        self.frames.extend_from_slice(&record.frame[..kept]);
        let frame = self.frames.split().freeze();
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

    fn hand_over_packets(&mut self, events: &mut VecDeque<Event>) {
        if !self.packets.is_empty() {
            let batch = std::mem::replace(&mut self.packets, self.buffers.packets(PACKET_BATCH));
            events.push_back(Event::Packets(batch));
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

    /// Hands on what grew, then removes what is idle.
    fn tick(&mut self, time: u64, events: &mut VecDeque<Event>) {
        self.hand_over_samples(events);
        self.hand_over_packets(events);
        events.extend(self.grown.drain(..).map(Event::Flows));
        for at in self.grown_slots.drain(..) {
            self.slots[at as usize].grown = NONE;
        }
        if !self.outer.is_empty() {
            events.push_back(Event::Tunnels(std::mem::take(&mut self.outer)));
        }
        if !self.listed.is_empty() {
            events.push_back(Event::Listed(std::mem::take(&mut self.listed)));
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

    /// Everything was handed on just before, so nothing is lost with an entry.
    fn remove_idle(&mut self, time: u64) {
        let (slots, index, free) = (&self.slots, &mut self.index, &mut self.free);
        let (seed, timeout) = (&self.seed, self.config.map_idle_timeout);
        self.idle.turn(time, |at| {
            let slot = &slots[at as usize];
            if time.saturating_sub(slot.last) <= timeout {
                return Some(slot.last);
            }
            index.remove(slot.key.hash(seed), at);
            free.push(at);
            None
        });
    }
}
