//! Reads the flow table every interval and turns cumulative counters into what grew.
//!
//! A drain begins a new epoch, waits until no packet of the old one is under way, and reads the entries noted in the
//! old one's log: its cost is that of the flows with packets, not of the table. Entries idle for long are retired: no
//! packet finds them from before the epoch's end, so their last reading, after the wait, is final.

use std::time::Duration;

use sensor_ebpf::counter::Count;
use sensor_ebpf::flow::FlowStats;
use sensor_ebpf::table::{FREE, LOG_LINE, RETIRED, WAYS};

use super::error::CaptureError;
use super::program::Program;
use super::readings;
use super::table::Table;
use super::{FlowDelta, Listed, Outer};

/// Drains in which each entry is looked at once for how long it has been idle.
const SWEEP: usize = 10;

/// A flow with packets both ways, or over this time, is not a spoofed packet.
const PROVEN_AGE: u64 = 1_000_000_000;

/// How long a flow that is not proven keeps its entry when half of the table is taken, and when three quarters are.
const UNPROVEN_IDLE: [u64; 2] = [2_000_000_000, 500_000_000];

/// Bytes that a drain keeps for each entry of the table.
pub(super) const SLOT_BYTES: usize = size_of::<u64>() + 1 + size_of::<u32>();

/// What was read from the flow table before, and what is about to leave it.
pub struct Drain {
    /// By slot: when the flow had its latest packet, as of the latest reading; 0 for a free one.
    last: Vec<u64>,
    /// By slot.
    proven: Vec<bool>,
    /// Slots retired, to be read a last time.
    retired: Vec<u32>,
    /// New flows in tunnels, until somebody takes them.
    pub tunnels: Vec<Outer>,
    /// New flows with listed addresses, likewise.
    pub listed: Vec<Listed>,
    /// An epoch that ended and was not read, because waiting failed.
    ended: Option<u32>,
    /// The slot at which the sweep for idle entries goes on.
    sweep: usize,
    entries: usize,
    /// Nanoseconds without a packet after which an entry leaves the table.
    idle_after: u64,
    /// The table has entries of an earlier process that were not looked at yet.
    inherited: bool,
}

impl Drain {
    /// Nothing seen yet.
    pub fn new(table: &Table, idle_after: Duration) -> Drain {
        let slots = table.entries.len();
        Drain {
            last: vec![0; slots],
            proven: vec![false; slots],
            retired: Vec::with_capacity(slots),
            tunnels: Vec::new(),
            listed: Vec::new(),
            ended: None,
            sweep: 0,
            entries: 0,
            idle_after: idle_after.as_nanos() as u64,
            inherited: table.inherited,
        }
    }

    /// Hands on what every flow grew by since the last drain. `monotonic` is now on the program's clock; `offset` makes
    /// it the time since the Unix epoch. `wait` is true while packets may come. After an error nothing was read and
    /// nothing is lost: the next drain brings it.
    pub fn drain(
        &mut self,
        program: &mut Program,
        monotonic: u64,
        offset: u64,
        wait: bool,
        mut emit: impl FnMut(FlowDelta),
    ) -> Result<(), CaptureError> {
        let ended = match self.ended {
            Some(epoch) => epoch,
            None => {
                if self.inherited {
                    self.retire_inherited(&program.table);
                }
                self.retire_idle(&program.table, monotonic);
                program.next_epoch()?
            }
        };
        self.ended = Some(ended);
        if wait {
            program.wait()?;
        }
        self.ended = None;
        let table = &program.table;
        if self.inherited {
            for slot in 0..table.entries.len() {
                if table.tag(slot) != FREE {
                    self.read(table, slot as u32, offset, &mut emit);
                }
            }
            // What the lists of another process named: these flows are looked up again when there is a list.
            self.listed.clear();
            self.inherited = false;
        }
        let lane_lines = table.size.lane_entries() as usize / LOG_LINE;
        for (number, lane) in table.lanes.iter().enumerate() {
            let parity = ended as usize & 1;
            let first = (2 * number + parity) * lane_lines;
            let mut noted = (lane.noted[parity].get() as usize).min(table.size.lane_entries() as usize);
            for line in &table.log[first..first + noted.div_ceil(LOG_LINE)] {
                let slots = line.slots.each_ref().map(|slot| slot.get());
                let slots = &slots[..noted.min(LOG_LINE)];
                noted -= slots.len();
                self.load(table, slots);
                for slot in slots {
                    self.read(table, *slot, offset, &mut emit);
                }
            }
            lane.noted[parity].set(0);
        }
        self.free_retired(program, offset, &mut emit);
        Ok(())
    }

    /// Entries taken at the latest drain.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Brings into the cache what is read of these entries, all at once: one after the other would wait for memory.
    fn load(&self, table: &Table, slots: &[u32]) {
        let mut loaded = 0;
        for at in slots.iter().map(|slot| *slot as usize) {
            if let (Some(entry), Some(rare)) = (table.entries.get(at), table.rare.get(at)) {
                // An entry has two cache lines, and so has a reading.
                loaded ^= u64::from(entry.mark.get()) ^ entry.last.get() ^ rare.syn_fin[0].get();
                loaded ^= table.read[at].get(0) ^ table.read[at].get(readings::WORDS - 1) ^ self.last[at];
            }
        }
        std::hint::black_box(loaded);
    }

    fn read(&mut self, table: &Table, slot: u32, offset: u64, emit: &mut impl FnMut(FlowDelta)) {
        let at = slot as usize;
        let (Some(entry), Some(rare)) = (table.entries.get(at), table.rare.get(at)) else {
            return;
        };
        let now = entry.stats(rare);
        let before = readings::get(&table.read[at]);
        if now.packets != before.packets || now.bytes != before.bytes {
            let key = entry.key();
            if before.packets == [0, 0] {
                let lists = [rare.listed[0].get(), rare.listed[1].get()];
                if lists != [0, 0] {
                    self.listed.push(Listed { key, lists });
                }
                if key.tunnel != 0 {
                    let (a, b) = table.outers[at].get();
                    self.tunnels.push(Outer { key, addresses: [a, b] });
                }
            }
            let grown = now.since(&before);
            let grown = FlowStats { first: grown.first + offset, last: grown.last + offset, ..grown };
            emit(FlowDelta { key, grown });
            readings::set(&table.read[at], &now);
        }
        self.entries += usize::from(self.last[at] == 0);
        self.last[at] = now.last.max(1);
        self.proven[at] =
            (now.packets[0] != 0 && now.packets[1] != 0) || now.last.saturating_sub(now.first) >= PROVEN_AGE;
    }

    /// Takes a part of the entries that have been idle for too long out of the packets' sight.
    fn retire_idle(&mut self, table: &Table, monotonic: u64) {
        let unproven = match 4 * self.entries / table.entries.len().max(1) {
            0 | 1 => self.idle_after,
            2 => UNPROVEN_IDLE[0].min(self.idle_after),
            _ => UNPROVEN_IDLE[1].min(self.idle_after),
        };
        let end = (self.sweep + self.last.len().div_ceil(SWEEP)).min(self.last.len());
        for at in self.sweep..end {
            let last = self.last[at];
            let limit = if self.proven[at] { self.idle_after } else { unproven };
            if last != 0 && monotonic.saturating_sub(last) > limit {
                table.entries[at].mark.set(0);
                table.buckets[at / WAYS].tags[at % WAYS].set(RETIRED);
                self.retired.push(at as u32);
            }
        }
        self.sweep = if end == self.last.len() { 0 } else { end };
    }

    /// Entries that an earlier process had begun to retire. What it was looking at closely is looked at as all are.
    fn retire_inherited(&mut self, table: &Table) {
        for (at, entry) in table.entries.iter().enumerate() {
            let tag = table.tag(at);
            if tag == FREE {
                continue;
            }
            entry.one_in.set(0);
            if tag == RETIRED || entry.mark.get() == 0 {
                entry.mark.set(0);
                table.buckets[at / WAYS].tags[at % WAYS].set(RETIRED);
                self.retired.push(at as u32);
            }
        }
    }

    /// Nobody writes to retired entries any more: reads them and makes room.
    fn free_retired(&mut self, program: &Program, offset: u64, emit: &mut impl FnMut(FlowDelta)) {
        let table = &program.table;
        let mut retired = std::mem::take(&mut self.retired);
        for slot in retired.drain(..) {
            self.read(table, slot, offset, emit);
            let at = slot as usize;
            let drained = readings::get(&table.read[at]);
            let drained = Count {
                packets: drained.packets[0] + drained.packets[1],
                bytes: drained.bytes[0] + drained.bytes[1],
            };
            program.about.free(slot, drained, || table.clear(at));
            self.last[at] = 0;
            self.proven[at] = false;
            self.entries -= 1;
            table.buckets[at / WAYS].tags[at % WAYS].set(FREE);
        }
        self.retired = retired;
    }
}
