//! The flow table: both directions of a conversation in one entry, seen from the side that began it.
//!
//! Applying a delta costs the cache misses of its index entry and of its flow; those of several deltas are taken at
//! once. Nothing is allocated for a flow that is known.

use super::SECOND;
use super::config::FlowConfig;
pub use super::entry::{Carried, Flow, Grown};
use super::entry::{NONE, Recorded};
use super::flags::FlagCounts;
use super::index::{Index, Key, Seed};
use super::record::{EndReason, FlowRecord};
use super::tunnel::TunnelRecord;
use crate::capture::FlowDelta;
use hashbrown::HashMap;
use sensor_ebpf::counter::Count;
use sensor_ebpf::flow::{FlowKey, FlowStats, proto};
use std::collections::BTreeSet;
use std::time::Duration;

/// Deltas whose cache misses are taken at once.
const AT_ONCE: usize = 16;

/// All flows, and which of them were active in the open window.
pub struct FlowTable {
    config: FlowConfig,
    seed: Seed,
    index: Index,
    flows: Vec<Flow>,
    free: Vec<u32>,
    window: Vec<Grown>,
    /// Of the few flows that outlive the active timeout.
    recorded: HashMap<u32, Recorded>,
    /// Of the few flows in tunnels, the outer addresses on the sides `a` and `b` of the key, once they are known.
    outers: HashMap<u32, [[u8; 16]; 2]>,
    /// The few flows with a listed address.
    listed: BTreeSet<u32>,
    /// Whether anybody wants records.
    pub keep_records: bool,
    records: Vec<FlowRecord>,
    ended: u64,
    /// The flow that is looked at next, and when the latest was: at the end of the latest drain.
    cursor: usize,
    expired: u64,
    created: u64,
    overflow: Count,
}

impl FlowTable {
    /// Empty.
    pub fn new(config: &FlowConfig) -> FlowTable {
        FlowTable {
            config: config.clone(),
            seed: Seed::default(),
            index: Index::default(),
            flows: Vec::new(),
            free: Vec::new(),
            window: Vec::new(),
            recorded: HashMap::new(),
            outers: HashMap::new(),
            listed: BTreeSet::new(),
            keep_records: false,
            records: Vec::new(),
            ended: 0,
            cursor: 0,
            expired: 0,
            created: 0,
            overflow: Count::default(),
        }
    }

    /// Flows held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Flows that entered the table so far.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Flows that left it so far.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Packets and bytes of flows the full table had no room for.
    pub fn overflow(&self) -> Count {
        self.overflow
    }

    /// Applies what flows grew by, in this order; flows that the table has no room for go to `beyond`, as a whole.
    pub fn apply(&mut self, deltas: &[FlowDelta], mut beyond: impl FnMut(Flow, Grown)) {
        for deltas in deltas.chunks(AT_ONCE) {
            let mut hashes = [0; AT_ONCE];
            // Loads that do not wait for each other: first of the index, then of the flows.
            let mut loaded = 0;
            for (hash, delta) in hashes.iter_mut().zip(deltas) {
                *hash = delta.key.hash(&self.seed);
                loaded ^= self.index.touch(*hash);
            }
            for hash in &hashes[..deltas.len()] {
                if let Some(flow) = self.index.guess(*hash).and_then(|slot| self.flows.get(slot as usize)) {
                    loaded ^= flow.last ^ flow.total.packets[1] ^ u64::from(flow.total.flags[1].syn);
                }
            }
            std::hint::black_box(loaded);
            for (hash, delta) in hashes.iter().zip(deltas) {
                if delta.grown.packets != [0, 0] {
                    self.apply_one(*hash, delta, &mut beyond);
                }
            }
        }
    }

    #[inline]
    fn apply_one(&mut self, hash: u64, delta: &FlowDelta, beyond: &mut impl FnMut(Flow, Grown)) {
        let (key, grown) = (&delta.key, &delta.grown);
        let (mut outer, mut listed) = (None, false);
        let found = match self.find(hash, key) {
            Some(slot) => {
                // The outer addresses outlive the flow: the source tells them once, and it knows of no reuse.
                outer = if key.tunnel != 0 { self.outers.get(&slot).copied() } else { None };
                listed = self.listed.contains(&slot);
                if self.end_if_reused(hash, slot, grown) { None } else { Some(slot) }
            }
            None => None,
        };
        let slot = match found {
            Some(slot) => slot,
            None if self.index.len() >= self.config.max_flows => {
                self.overflow.packets += grown.packets[0] + grown.packets[1];
                self.overflow.bytes += grown.bytes[0] + grown.bytes[1];
                let (mut flow, mut window) = (Flow::new(*key, grown), Grown::new(NONE));
                flow.grow(grown, self.expired, &mut window);
                return beyond(flow, window);
            }
            None => self.enter(hash, Flow::new(*key, grown)),
        };
        if let Some(outer) = outer {
            self.outers.insert(slot, outer);
        }
        if listed {
            self.listed.insert(slot);
        }
        let flow = &mut self.flows[slot as usize];
        if flow.window == NONE {
            flow.window = self.window.len() as u32;
            self.window.push(Grown::new(slot));
        }
        flow.grow(grown, self.expired, &mut self.window[flow.window as usize]);
    }

    #[inline]
    fn find(&self, hash: u64, key: &FlowKey) -> Option<u32> {
        self.index.find(hash, |slot| self.flows[slot as usize].key == *key)
    }

    fn enter(&mut self, hash: u64, flow: Flow) -> u32 {
        self.created += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.flows[slot as usize] = flow;
                slot
            }
            None => {
                self.flows.push(flow);
                self.flows.len() as u32 - 1
            }
        };
        self.index.insert(hash, slot);
        slot
    }

    /// A closed connection whose ports are used again is a new flow: scanners and load generators reuse ports.
    #[inline]
    fn end_if_reused(&mut self, hash: u64, slot: u32, grown: &FlowStats) -> bool {
        let flow = &self.flows[slot as usize];
        if flow.key.proto != proto::TCP || flow.window != NONE || !flow.total.closed() {
            return false;
        }
        let side = usize::from(flow.initiator);
        let opener = &FlagCounts::of(&grown.flags[side]);
        let answered = u64::from(opener.ack) >= grown.packets[side];
        if opener.syn == 0 || answered {
            return false;
        }
        self.record(slot, EndReason::Reused);
        self.leave(hash, slot);
        true
    }

    /// Counts a record, and keeps it where it is wanted.
    fn record(&mut self, slot: u32, reason: EndReason) {
        self.ended += u64::from(reason != EndReason::Active);
        if self.keep_records {
            let flow = &self.flows[slot as usize];
            let earlier = self.earlier(slot);
            let record = flow.record(&earlier, reason);
            self.records.push(FlowRecord { tunnel: self.tunnel_of(slot), ..record });
        }
    }

    fn earlier(&self, slot: u32) -> Recorded {
        let flow = &self.flows[slot as usize];
        let earlier = if flow.recorded { self.recorded.get(&slot).copied() } else { None };
        earlier.unwrap_or(Recorded { carried: Carried::default(), until: flow.start })
    }

    fn leave(&mut self, hash: u64, slot: u32) {
        self.index.remove(hash, slot);
        let flow = &mut self.flows[slot as usize];
        flow.live = false;
        if flow.recorded {
            self.recorded.remove(&slot);
        }
        if flow.key.tunnel != 0 {
            self.outers.remove(&slot);
        }
        self.listed.remove(&slot);
        self.free.push(slot);
    }

    /// Notes the outer addresses of a flow in a tunnel, on the sides `a` and `b`.
    pub fn note_outer(&mut self, key: &FlowKey, outer: [[u8; 16]; 2]) {
        if let Some(slot) = self.find(key.hash(&self.seed), key) {
            self.outers.insert(slot, outer);
        }
    }

    /// Notes that an address of a flow is listed. False where the flow is not in the table.
    pub fn note_listed(&mut self, key: &FlowKey) -> bool {
        let slot = self.find(key.hash(&self.seed), key);
        self.listed.extend(slot);
        slot.is_some()
    }

    /// Those that are noted and were active in the open window.
    pub fn listed(&self) -> impl Iterator<Item = (&Flow, &Grown)> {
        let active = |slot: &u32| {
            let flow = &self.flows[*slot as usize];
            self.window.get(flow.window as usize).map(|grown| (flow, grown))
        };
        self.listed.iter().filter_map(active)
    }

    /// Asks anew of so many flows, from this place on, whether an address is listed; gives the place to go on at, `None`
    /// behind the last one.
    pub fn recheck(&mut self, from: usize, count: usize, listed: impl Fn(&FlowKey) -> bool) -> Option<usize> {
        let end = (from + count).min(self.flows.len());
        for slot in from..end {
            let flow = &self.flows[slot];
            if flow.live && listed(&flow.key) {
                self.listed.insert(slot as u32);
            } else {
                self.listed.remove(&(slot as u32));
            }
        }
        (end < self.flows.len()).then_some(end)
    }

    /// What a flow is wrapped in.
    pub fn tunnel(&self, key: &FlowKey) -> Option<TunnelRecord> {
        if key.tunnel == 0 {
            return None;
        }
        self.tunnel_of(self.find(key.hash(&self.seed), key)?)
    }

    fn tunnel_of(&self, slot: u32) -> Option<TunnelRecord> {
        let flow = &self.flows[slot as usize];
        if flow.key.tunnel == 0 {
            return None;
        }
        TunnelRecord::of(&flow.key, self.outers.get(&slot), usize::from(flow.initiator))
    }

    /// Notes the entropy of a sampled payload, bits per byte.
    pub fn note_entropy(&mut self, key: &FlowKey, entropy: f32) {
        if let Some(slot) = self.find(key.hash(&self.seed), key) {
            let flow = &mut self.flows[slot as usize];
            flow.entropy = Some(flow.entropy.map_or(entropy, |old| old + (entropy - old) / 8.0));
        }
    }

    /// Ends what was silent for too long: every flow is looked at once a second, as far as the work limit of a tick
    /// allows.
    pub fn expire(&mut self, now: u64) {
        let passed = now.saturating_sub(self.expired).min(SECOND);
        self.expired = now;
        let part = (self.flows.len() as u64 * passed).div_ceil(SECOND) as usize;
        for _ in 0..part.min(self.config.expiry_per_tick) {
            if self.cursor >= self.flows.len() {
                self.cursor = 0;
            }
            self.expire_one(self.cursor as u32, now);
            self.cursor += 1;
        }
    }

    fn expire_one(&mut self, slot: u32, now: u64) {
        let nanos = |d: Duration| d.as_nanos() as u64;
        let flow = &self.flows[slot as usize];
        let silent = now.saturating_sub(flow.last);
        // Timeouts are a second at least; and the open window still needs what is in it.
        if !flow.live || flow.window != NONE || (silent < SECOND && now.saturating_sub(flow.start) < SECOND) {
            return;
        }
        let config = &self.config;
        let reason = if flow.key.proto == proto::TCP
            && flow.total.closed()
            && silent >= nanos(config.closed_timeout)
        {
            EndReason::Closed
        } else if flow.total.packets[1] == 0 && silent >= nanos(config.unanswered_timeout) {
            EndReason::Unanswered
        } else if silent >= nanos(config.idle_timeout) {
            EndReason::Idle
        } else {
            let active = nanos(config.active_timeout);
            if now.saturating_sub(flow.start) >= active
                && now.saturating_sub(self.earlier(slot).until) >= active
            {
                self.record(slot, EndReason::Active);
                let flow = &mut self.flows[slot as usize];
                flow.recorded = true;
                self.recorded.insert(slot, Recorded { carried: flow.total, until: now });
            }
            return;
        };
        self.end(slot, reason);
    }

    fn end(&mut self, slot: u32, reason: EndReason) {
        let flow = &self.flows[slot as usize];
        let hash = flow.key.hash(&self.seed);
        if !flow.recorded || flow.total.packets != self.earlier(slot).carried.packets {
            self.record(slot, reason);
        }
        self.leave(hash, slot);
    }

    /// How many flows were active in the open window.
    pub fn active(&self) -> usize {
        self.window.len()
    }

    /// A flow that was active in the open window, by its place, in the order in which they grew first.
    pub fn active_flow(&self, place: usize) -> (&Flow, &Grown) {
        let grown = &self.window[place];
        (&self.flows[grown.slot as usize], grown)
    }

    /// The same, to note where it is remembered.
    pub fn active_flow_mut(&mut self, place: usize) -> (&mut Flow, &Grown) {
        let grown = &self.window[place];
        (&mut self.flows[grown.slot as usize], grown)
    }

    /// Begins the next window.
    pub fn next_window(&mut self) {
        for grown in self.window.drain(..) {
            self.flows[grown.slot as usize].window = NONE;
        }
    }

    /// Ends everything: the input ended.
    pub fn end_all(&mut self) {
        for slot in 0..self.flows.len() as u32 {
            if self.flows[slot as usize].live {
                self.end(slot, EndReason::EndOfInput);
            }
        }
    }

    /// Records since the last call, in order of start, then of key.
    pub fn take_records(&mut self) -> Vec<FlowRecord> {
        let mut records = std::mem::take(&mut self.records);
        records.sort_unstable_by_key(|r| (r.start, r.end, r.src, r.dst, r.src_port, r.dst_port, r.key));
        records
    }
}
