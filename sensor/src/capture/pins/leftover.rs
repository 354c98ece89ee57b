//! Maps of an earlier sensor that the next one cannot use as they are: another size, another layout, another lane for each
//! CPU. Nobody writes to them any more; what was not drained is handed on, and what was counted is carried over.
//!
//! They are read by the layout that lies beside them, not by this version's types.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use aya::maps::MapData;
use sensor_ebpf::counter::Count;
use sensor_ebpf::flow::{FlagWords, FlowKey, FlowStats};

use super::super::FlowDelta;
use super::super::readings::{self, Reading};
use super::super::xsk::{Mapped, Record, per_cpu};
use super::about::{About, Carried};
use super::layout::Layout;
use super::{Generation, READ};

/// Words that a layout of any version may have in a record.
const LONGEST_RECORD: u32 = 4096;

/// Such maps.
pub(in super::super) struct Leftover {
    generation: Generation,
    about: About,
    layout: Layout,
    entries: Words,
    rare: Words,
    read: Mapped<Reading>,
    /// All of it, once it is drained: what is not in `drained` yet is about to be.
    carried: Carried,
}

/// An array of records of any size.
struct Words {
    words: Mapped<Record<1>>,
    /// Words of a record.
    stride: usize,
}

impl Words {
    fn of(map: &MapData) -> io::Result<Words> {
        let info = map.info().map_err(io::Error::other)?;
        let (bytes, count) = (info.value_size(), info.max_entries() as usize);
        if bytes == 0 || bytes % 8 != 0 || bytes > LONGEST_RECORD {
            return Err(io::Error::other(format!("a record of {bytes} bytes")));
        }
        let stride = bytes as usize / 8;
        Ok(Words { words: Mapped::new(map.fd().as_fd(), count * stride)?, stride })
    }

    fn records(&self) -> usize {
        self.words.len() / self.stride
    }

    /// The word of a record at an offset in bytes; 0 where the record has none.
    fn word(&self, record: usize, at: u64) -> u64 {
        let at = at as usize / 8;
        if at >= self.stride {
            return 0;
        }
        self.words.get(record * self.stride + at).map_or(0, |word| word.get(0))
    }

    fn clear(&self, record: usize, at: u64) {
        let at = at as usize / 8;
        if at < self.stride
            && let Some(word) = self.words.get(record * self.stride + at)
        {
            word.set(0, 0);
        }
    }

    fn pair(&self, record: usize, at: u64) -> [u64; 2] {
        [self.word(record, at), self.word(record, at + 8)]
    }
}

impl Leftover {
    /// Opens the maps of a generation that no program writes to any more.
    pub(in super::super) fn open(generation: Generation) -> io::Result<Leftover> {
        let about = About::of(&generation.map(super::ABOUT)?)?;
        let about = about.ok_or_else(|| io::Error::other("of an unknown version"))?;
        let layout = about.layout();
        let (entries, rare) =
            (Words::of(&generation.map("ENTRIES")?)?, Words::of(&generation.map("RARE_FLAGS")?)?);
        let read = generation.map(READ)?;
        if read.info().map_err(io::Error::other)?.value_size() as usize != size_of::<Reading>() {
            return Err(io::Error::other("readings of an unknown version"));
        }
        let read = Mapped::new(read.fd().as_fd(), entries.records())?;
        let mut carried = Carried::default();
        for value in per_cpu(&generation.map("TOTALS")?)? {
            carried.totals.merge(&layout.totals(&value));
        }
        let mut leftover = Leftover { generation, about, layout, entries, rare, read, carried };
        leftover.recover();
        let drained = leftover.drained_here();
        let (accounted, lost_restart) = leftover.about.accounted();
        let totals = &leftover.carried.totals;
        let kernel = totals.lost_no_socket + totals.lost_ringbuf_full + totals.lost_no_headroom;
        // What the kernel chose and nobody has told of is lost: it was in the rings of a process that is gone.
        let gap = totals.sampled.saturating_sub(kernel + accounted);
        let mut carried = Carried {
            totals: *totals,
            drained,
            accounted: accounted + gap,
            lost_restart: lost_restart + gap,
        };
        carried.merge(&leftover.about.carried());
        leftover.carried = carried;
        Ok(leftover)
    }

    /// Which one it is.
    pub(in super::super) fn number(&self) -> u32 {
        self.generation.number
    }

    /// All that was counted there and before; flows only as far as they were drained.
    pub(in super::super) fn carried(&self) -> &Carried {
        &self.carried
    }

    /// Hands on what the flows grew by since they were read. `offset` makes the kernel's time that since the Unix epoch.
    /// Returns what it handed on.
    pub(in super::super) fn drain(&mut self, offset: u64, mut emit: impl FnMut(FlowDelta)) -> Count {
        let mut drained = Count::default();
        for slot in self.slots() {
            let (now, before) = (self.stats(slot), readings::get(&self.read[slot]));
            if (now.packets, now.bytes) == (before.packets, before.bytes) {
                continue;
            }
            let grown = now.since(&before);
            drained.packets += grown.packets[0] + grown.packets[1];
            drained.bytes += grown.bytes[0] + grown.bytes[1];
            let grown = FlowStats { first: grown.first + offset, last: grown.last + offset, ..grown };
            let key = if self.layout.knows_our_keys() { self.key(slot) } else { FlowKey::from_words([0; 6]) };
            emit(FlowDelta { key, grown });
            readings::set(&self.read[slot], &now);
        }
        self.carried.drained.packets += drained.packets;
        self.carried.drained.bytes += drained.bytes;
        drained
    }

    /// Puts everything counted here into the next generation's keeping, and removes the pins.
    pub(in super::super) fn end(self, into: &About) {
        if !into.has_carried(self.generation.number) {
            let mut carried = into.carried();
            carried.merge(&self.carried);
            into.carry(&carried, self.generation.number);
        }
        self.generation.remove();
    }

    /// Ends what a killed process had begun.
    fn recover(&mut self) {
        if let Some(slot) = self.about.pending() {
            self.about.finish(|| {
                self.read.get(slot as usize).into_iter().for_each(readings::clear);
                for at in self.layout.entry[1..3].iter().flat_map(|at| [*at, at + 8]) {
                    self.entries.clear(slot as usize, at);
                }
            });
        }
    }

    /// Packets and bytes drained from these maps.
    fn drained_here(&self) -> Count {
        readings::drained(&self.about, &self.read)
    }

    fn slots(&self) -> Range<usize> {
        0..self.entries.records().min(self.rare.records())
    }

    fn key(&self, slot: usize) -> FlowKey {
        FlowKey::from_words(std::array::from_fn(|word| {
            self.entries.word(slot, self.layout.entry[0] + 8 * word as u64)
        }))
    }

    fn stats(&self, slot: usize) -> FlowStats {
        let [_, packets, bytes, ack_psh, first, last, initiator] = self.layout.entry;
        let [syn_fin, rst_urg, ece_cwr] = self.layout.rare.map(|at| self.rare.pair(slot, at));
        let ack_psh = self.entries.pair(slot, ack_psh);
        let flags = |side: usize| FlagWords {
            ack_psh: ack_psh[side],
            syn_fin: syn_fin[side],
            rst_urg: rst_urg[side],
            ece_cwr: ece_cwr[side],
        };
        FlowStats {
            packets: self.entries.pair(slot, packets),
            bytes: self.entries.pair(slot, bytes),
            flags: [flags(0), flags(1)],
            first: self.entries.word(slot, first),
            last: self.entries.word(slot, last),
            // 32 bits of a word.
            initiator: self.entries.word(slot, initiator) >> (8 * (initiator % 8)) & 1,
        }
    }
}
