//! Reads the flow map every interval and turns cumulative counters into what grew.
//!
//! The map is never emptied while its flows live: taking an entry out races with packets being added to it. Only
//! entries idle for long are taken out, with the value the kernel returns for them counted first.

use std::io;
use std::os::fd::AsFd;

use hashbrown::HashMap;
use sensor_ebpf::flow::{FlowKey, FlowStats};

use super::program::Program;
use super::xsk;
use super::{FlowDelta, Tick};

/// Entries read by one system call, at first; grows where one bucket holds more.
const BATCH: usize = 4096;

/// Idle entries taken out in one drain, so that the end of a flood does not stop the drain for a second.
const DELETIONS: usize = 20_000;

/// An entry whose latest packet is older than the previous drain by this much was read then as it is now, and need
/// not be compared. Far longer than a packet takes through the program, and than the coarse clock lags. Were a packet
/// held up for longer, its counts would come with the flow's next packet, or when the entry leaves the map.
const SURELY_READ: u64 = 250_000_000;

/// What was read from the flow map before.
pub struct Drain {
    seen: HashMap<FlowKey, FlowStats>,
    keys: Vec<FlowKey>,
    values: Vec<FlowStats>,
    idle: Vec<FlowKey>,
    /// What was read and not handed on yet: a drain that fails half-way gives it to the next one.
    deltas: Vec<FlowDelta>,
    /// Nanoseconds without a packet after which an entry leaves the map.
    idle_after: u64,
    /// When the previous drain began, on the map's clock.
    previous: u64,
}

impl Drain {
    /// Nothing seen yet.
    pub fn new(idle_after: std::time::Duration) -> Drain {
        Drain {
            seen: HashMap::new(),
            keys: vec![ZERO_KEY; BATCH],
            values: vec![FlowStats::default(); BATCH],
            idle: Vec::new(),
            deltas: Vec::new(),
            idle_after: idle_after.as_nanos() as u64,
            previous: 0,
        }
    }

    /// Forgets what need not be compared: the next reading looks at every entry. For the last one.
    pub fn compare_all(&mut self) {
        self.previous = 0;
    }

    /// Reads the whole map. `monotonic` is now on the map's clock; `offset` makes it the time since the epoch.
    pub fn tick(
        &mut self,
        program: &Program,
        monotonic: u64,
        offset: u64,
    ) -> io::Result<(Vec<FlowDelta>, Tick)> {
        let map = program.flows.fd().as_fd();
        self.idle.clear();
        let mut cursor = None;
        loop {
            let read = match xsk::lookup_batch(map, &mut cursor, &mut self.keys, &mut self.values) {
                Ok(read) => read,
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    let more = self.keys.len() * 2;
                    self.keys.resize(more, ZERO_KEY);
                    self.values.resize(more, FlowStats::default());
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (key, now) in self.keys[..read].iter().zip(&self.values[..read]) {
                if monotonic.saturating_sub(now.last) > self.idle_after && self.idle.len() < DELETIONS {
                    self.idle.push(*key);
                } else if now.last.saturating_add(SURELY_READ) >= self.previous {
                    let before = self.seen.entry(*key).or_default();
                    if now.packets != before.packets {
                        self.deltas.push(delta(*key, before, now, offset));
                        *before = *now;
                    }
                }
            }
            if cursor.is_none() {
                break;
            }
        }
        for key in self.idle.drain(..) {
            // Only then is it forgotten: after an error the entry is still there, and so is what was read of it.
            let taken = xsk::lookup_and_delete::<_, FlowStats>(map, &key)?;
            let before = self.seen.remove(&key).unwrap_or_default();
            if let Some(last) = taken
                && last.packets != before.packets
            {
                self.deltas.push(delta(key, &before, &last, offset));
            }
        }
        self.previous = monotonic;
        Ok((std::mem::take(&mut self.deltas), Tick { time: monotonic + offset, ..Tick::default() }))
    }

    /// Entries in the map at the latest drain.
    pub fn entries(&self) -> usize {
        self.seen.len()
    }
}

const ZERO_KEY: FlowKey =
    FlowKey { addr_a: [0; 16], addr_b: [0; 16], port_a: 0, port_b: 0, vlan: [0; 3], proto: 0, tunnel: 0 };

fn delta(key: FlowKey, before: &FlowStats, now: &FlowStats, offset: u64) -> FlowDelta {
    let grown = now.since(before);
    FlowDelta { key, grown: FlowStats { first: grown.first + offset, last: grown.last + offset, ..grown } }
}
