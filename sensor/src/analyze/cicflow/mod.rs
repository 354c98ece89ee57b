//! CICFlowMeter's flows: what `--flows` writes, from every packet of a capture.
//!
//! In: the facts of each packet, in time order. Out: flows that ended, to whoever asks for them. `docs/flows.md` says
//! what each column means and where the original differs. Memory is bounded: a flow has a fixed size, and of a full
//! table the oldest flow ends early, which is counted.

mod bulk;

pub(super) mod columns;

mod flow;

mod list;

mod stats;

use sensor_ebpf::flow::{FlowKey, proto, tcp};

use crate::capture::PacketFacts;
use crate::flow::index::{Index, Key, Seed};
use flow::Flow;
use list::{Links, List};

const SECOND: u64 = 1_000_000_000;
/// A closed connection waits for its late packets: the last acknowledgement, a repeated FIN.
const LINGER: u64 = 5 * SECOND;

/// When flows end. The values are those of the data sets: a model that was trained on these needs the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Flows remembered at once, about 1 KiB each.
    pub(super) max_flows: usize,
    /// A flow that is older ends, and goes on as a new one; nanoseconds.
    pub(super) flow_timeout: u64,
    /// A flow that was silent for longer was idle; nanoseconds.
    pub(super) activity_timeout: u64,
}

impl Settings {
    /// CICFlowMeter's timeouts.
    pub(super) fn new(max_flows: usize) -> Settings {
        Settings { max_flows, flow_timeout: 120 * SECOND, activity_timeout: 5 * SECOND }
    }
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A reset, or a FIN of both sides.
    Closed,
    /// It was older than the flow timeout.
    Timeout,
    /// The table was full, and it was the oldest.
    Evicted,
    /// The capture did.
    NoMorePackets,
}

/// A flow that ended.
pub(super) struct Ended<'a> {
    key: &'a FlowKey,
    /// Whether it goes from endpoint `b` to endpoint `a`.
    reverse: bool,
    flow: &'a Flow,
    end: End,
}

/// Every flow that is open.
pub(super) struct Meter {
    settings: Settings,
    seed: Seed,
    index: Index,
    slots: Vec<Slot>,
    /// Of each slot, in the list where it is.
    links: Vec<Links>,
    free: Vec<u32>,
    /// Open flows by their start.
    open: List,
    /// Closed ones by when they closed.
    closed: List,
    /// Flows that ended because the table was full.
    pub(super) evicted: u64,
}

/// A flow; or, without packets, the memory of who began one that timed out and may go on.
struct Slot {
    key: FlowKey,
    reverse: bool,
    is_closed: bool,
    /// When it began; of a memory: when the flow timed out; of a closed one: when it closed.
    since: u64,
    flow: Flow,
}

impl Meter {
    pub(super) fn new(settings: Settings) -> Meter {
        Meter {
            settings: Settings {
                max_flows: settings.max_flows.clamp(1, list::NONE as usize - 1),
                ..settings
            },
            seed: Seed::default(),
            index: Index::default(),
            slots: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            open: List::default(),
            closed: List::default(),
            evicted: 0,
        }
    }

    /// Adds a packet, after the flows that ended before it.
    pub(super) fn packet<E>(
        &mut self,
        packet: &PacketFacts,
        take: &mut impl FnMut(&Ended<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expire(packet.time, take)?;
        let hash = packet.key.hash(&self.seed);
        let slots = &self.slots;
        let at = match self.index.find(hash, |at| slots[at as usize].key == packet.key) {
            Some(at) => at,
            None => self.enter(hash, packet, take)?,
        };
        let opens = packet.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN;
        let slot = &self.slots[at as usize];
        let begins_anew = slot.is_closed && opens;
        if begins_anew {
            self.hand_over(at, End::Closed, take)?;
        }
        if begins_anew || self.slots[at as usize].flow.is_empty() {
            // A handshake says who begins; else whoever began the flow that timed out.
            let reverse = if opens { packet.reverse } else { self.slots[at as usize].reverse };
            self.restart(at, packet.time, reverse);
        }
        let slot = &mut self.slots[at as usize];
        slot.flow.add(packet, usize::from(packet.reverse != slot.reverse), self.settings.activity_timeout);
        if packet.key.proto == proto::TCP && !slot.is_closed && slot.flow.closed() {
            self.unlink(at);
            self.slots[at as usize].is_closed = true;
            self.link(at, packet.time);
        }
        Ok(())
    }

    /// No more packets: every flow ends.
    pub(super) fn finish<E>(&mut self, take: &mut impl FnMut(&Ended<'_>) -> Result<(), E>) -> Result<(), E> {
        while let Some(at) = self.closed.first() {
            self.hand_over(at, End::Closed, take)?;
            self.remove(at);
        }
        while let Some(at) = self.open.first() {
            self.hand_over(at, End::NoMorePackets, take)?;
            self.remove(at);
        }
        Ok(())
    }

    /// Ends what is over at `now`.
    fn expire<E>(&mut self, now: u64, take: &mut impl FnMut(&Ended<'_>) -> Result<(), E>) -> Result<(), E> {
        while let Some(at) = self.closed.first().filter(|at| self.older(*at, LINGER, now)) {
            self.hand_over(at, End::Closed, take)?;
            self.remove(at);
        }
        let timeout = self.settings.flow_timeout;
        while let Some(at) = self.open.first().filter(|at| self.older(*at, timeout, now)) {
            if self.slots[at as usize].flow.is_empty() {
                self.remove(at);
                continue;
            }
            self.hand_over(at, End::Timeout, take)?;
            let Slot { since, reverse, .. } = self.slots[at as usize];
            self.restart(at, since.saturating_add(timeout), reverse);
        }
        Ok(())
    }

    fn older(&self, at: u32, age: u64, now: u64) -> bool {
        now.saturating_sub(self.slots[at as usize].since) > age
    }

    /// A new flow takes a slot; in a full table that of a closed flow, or else of the oldest.
    fn enter<E>(
        &mut self,
        hash: u64,
        packet: &PacketFacts,
        take: &mut impl FnMut(&Ended<'_>) -> Result<(), E>,
    ) -> Result<u32, E> {
        if self.index.len() >= self.settings.max_flows {
            if let Some(at) = self.closed.first() {
                self.hand_over(at, End::Closed, take)?;
                self.remove(at);
            } else if let Some(at) = self.open.first() {
                self.evicted += u64::from(!self.slots[at as usize].flow.is_empty());
                self.hand_over(at, End::Evicted, take)?;
                self.remove(at);
            }
        }
        let slot = Slot {
            key: packet.key,
            reverse: packet.reverse,
            is_closed: false,
            since: packet.time,
            flow: Flow::default(),
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.links.push(Links::default());
                self.slots.len() as u32 - 1
            }
        };
        self.index.insert(hash, at);
        self.link(at, packet.time);
        Ok(at)
    }

    /// The slot's next flow begins; it has no packets yet.
    fn restart(&mut self, at: u32, time: u64, reverse: bool) {
        self.unlink(at);
        let slot = &mut self.slots[at as usize];
        (slot.reverse, slot.is_closed, slot.flow) = (reverse, false, Flow::default());
        self.link(at, time);
    }

    fn remove(&mut self, at: u32) {
        self.unlink(at);
        self.index.remove(self.slots[at as usize].key.hash(&self.seed), at);
        self.free.push(at);
    }

    /// Puts it at the end of its list; times never go back, so lists are in order.
    fn link(&mut self, at: u32, since: u64) {
        let slot = &mut self.slots[at as usize];
        slot.since = since;
        let list = if slot.is_closed { &mut self.closed } else { &mut self.open };
        list.push(at, &mut self.links);
    }

    fn unlink(&mut self, at: u32) {
        let list = if self.slots[at as usize].is_closed { &mut self.closed } else { &mut self.open };
        list.remove(at, &mut self.links);
    }

    /// A memory without packets is no flow.
    fn hand_over<E>(
        &self,
        at: u32,
        end: End,
        take: &mut impl FnMut(&Ended<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Slot { key, reverse, flow, .. } = &self.slots[at as usize];
        if flow.is_empty() { Ok(()) } else { take(&Ended { key, reverse: *reverse, flow, end }) }
    }
}

#[cfg(test)]
mod tests;
