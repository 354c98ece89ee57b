//! What has to outlive the sensor besides the counters: the size and the seed of the flow table, what was drained from
//! it and given to whom, and the process id of the owner. One element of words, mapped, its format the same in every version.
//!
//! Whoever writes here may be killed between any two stores. So what takes several is announced first and done again by the next
//! process ([`About::free`]), or written beside what holds and put in force by one store ([`About::carry`]).

use std::io;
use std::os::fd::AsFd;

use aya::maps::MapData;
use sensor_ebpf::counter::{Count, REASONS, Totals};
use sensor_ebpf::table::Seed;

use super::super::table::TableSize;
use super::super::xsk::{Mapped, Record};
use super::layout::{self, Layout};

/// "VsprPin", and the version of this format.
const MAGIC: u64 = u64::from_le_bytes(*b"VsprPin\x01");

const WORDS: usize = 192;
const PID: usize = 1;
const LANES: usize = 2;
const BUCKETS: usize = 3;
const BY_CPU: usize = 4;
const SEED: usize = 5;
const FREED: usize = 11;
const PENDING_SLOT: usize = 13;
const PENDING: usize = 14;
const ACCOUNTED: usize = 16;
const LOST_RESTART: usize = 17;
const CARRIED_THROUGH: usize = 18;
const LAYOUT: usize = 20;
/// Two of them: the one in force is named by the lowest bit of `CARRIED_THROUGH`'s count.
const CARRIED: usize = LAYOUT + layout::WORDS;
const CARRIED_WORDS: usize = 12 + 2 * REASONS_KEPT + 4;
const REASONS_KEPT: usize = 16;

const _: () = assert!(CARRIED + 2 * CARRIED_WORDS <= WORDS && REASONS <= REASONS_KEPT);

/// What was counted in maps that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Carried {
    /// Kernel side.
    pub(in super::super) totals: Totals,
    /// Packets and bytes of flows that were drained.
    pub(in super::super) drained: Count,
    /// Samples delivered to sensors, or lost after the kernel chose them.
    pub(in super::super) accounted: u64,
    /// Of these, lost at restarts.
    pub(in super::super) lost_restart: u64,
}

impl Carried {
    /// Adds what other maps held.
    pub(in super::super) fn merge(&mut self, other: &Carried) {
        self.totals.merge(&other.totals);
        self.drained.packets += other.drained.packets;
        self.drained.bytes += other.drained.bytes;
        self.accounted += other.accounted;
        self.lost_restart += other.lost_restart;
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        let totals = &self.totals;
        let counts = [
            totals.seen,
            totals.counted,
            totals.overflow_table_full,
            totals.overflow_not_admitted,
            totals.overflow_no_lane,
            self.drained,
        ];
        let words = [
            totals.sampled,
            totals.lost_no_socket,
            totals.lost_ringbuf_full,
            totals.lost_no_headroom,
            self.accounted,
            self.lost_restart,
        ];
        let counts = counts.into_iter().chain(totals.not_counted);
        words.into_iter().chain(counts.flat_map(|count| [count.packets, count.bytes]))
    }

    fn from_words(word: impl Fn(usize) -> u64) -> Carried {
        let count = |at: usize| Count { packets: word(6 + 2 * at), bytes: word(7 + 2 * at) };
        let mut totals = Totals {
            sampled: word(0),
            lost_no_socket: word(1),
            lost_ringbuf_full: word(2),
            lost_no_headroom: word(3),
            seen: count(0),
            counted: count(1),
            overflow_table_full: count(2),
            overflow_not_admitted: count(3),
            overflow_no_lane: count(4),
            ..Totals::default()
        };
        for reason in 0..REASONS_KEPT - 1 {
            let into = &mut totals.not_counted[reason.min(REASONS - 1)];
            into.packets += count(6 + reason).packets;
            into.bytes += count(6 + reason).bytes;
        }
        Carried { totals, drained: count(5), accounted: word(4), lost_restart: word(5) }
    }
}

/// The element.
pub(in super::super) struct About(Mapped<Record<WORDS>>);

impl About {
    /// Makes an empty one, and its map.
    pub(in super::super) fn create() -> io::Result<(About, MapData)> {
        let map = Record::<WORDS>::array(1)?;
        Ok((About(Mapped::new(map.fd().as_fd(), 1)?), map))
    }

    /// The one in a map; `None` if nobody filled it in, or in a format that this version does not know.
    pub(super) fn of(map: &MapData) -> io::Result<Option<About>> {
        let about = About(Mapped::new(map.fd().as_fd(), 1)?);
        Ok((about.word(0) == MAGIC).then_some(about))
    }

    /// Fills it in for an empty table.
    pub(in super::super) fn begin(&self, size: TableSize, seed: &Seed) {
        self.set(LANES, u64::from(size.lanes));
        self.set(BUCKETS, u64::from(size.bucket_mask()) + 1);
        self.set(BY_CPU, u64::from(size.by_cpu));
        for (at, pair) in seed.chunks(2).enumerate() {
            self.set(SEED + at, u64::from(pair[0]) | u64::from(pair[1]) << 32);
        }
        for (at, word) in layout::OURS.words().into_iter().enumerate() {
            self.set(LAYOUT + at, word);
        }
        self.own();
        // Last: without it the rest means nothing.
        self.set(0, MAGIC);
    }

    /// Whose it is.
    pub(super) fn pid(&self) -> u64 {
        self.word(PID)
    }

    /// Makes it this process's.
    pub(in super::super) fn own(&self) {
        self.set(PID, u64::from(std::process::id()));
    }

    pub(super) fn layout(&self) -> Layout {
        Layout::from_words(&std::array::from_fn(|at| self.word(LAYOUT + at)))
    }

    /// Whether the table has this size, and this version's layout.
    pub(super) fn fits(&self, size: TableSize) -> bool {
        let shape = [self.word(LANES), self.word(BUCKETS), self.word(BY_CPU)];
        let wanted = [size.lanes.into(), u64::from(size.bucket_mask()) + 1, size.by_cpu.into()];
        self.layout() == layout::OURS && shape == wanted
    }

    /// The seed of the table's hash.
    pub(super) fn seed(&self) -> Seed {
        std::array::from_fn(|at| (self.word(SEED + at / 2) >> (32 * (at % 2))) as u32)
    }

    /// Packets and bytes drained from entries that are free again.
    pub(in super::super) fn freed(&self) -> Count {
        Count { packets: self.word(FREED), bytes: self.word(FREED + 1) }
    }

    /// Moves what was drained of an entry to what was drained of entries that are free again; `reset` takes it from the
    /// entry, and may be done twice.
    pub(in super::super) fn free(&self, slot: u32, drained: Count, reset: impl FnOnce()) {
        let freed = self.freed();
        self.set(PENDING, freed.packets + drained.packets);
        self.set(PENDING + 1, freed.bytes + drained.bytes);
        self.set(PENDING_SLOT, u64::from(slot) + 1);
        self.finish(reset);
    }

    /// The slot whose freeing was cut off.
    pub(in super::super) fn pending(&self) -> Option<u32> {
        self.word(PENDING_SLOT).checked_sub(1).map(|slot| slot as u32)
    }

    /// Ends a freeing that was begun.
    pub(in super::super) fn finish(&self, reset: impl FnOnce()) {
        reset();
        self.set(FREED, self.word(PENDING));
        self.set(FREED + 1, self.word(PENDING + 1));
        self.set(PENDING_SLOT, 0);
    }

    /// Samples of these maps delivered to sensors or lost after the kernel chose them, and of these, lost at restarts.
    pub(in super::super) fn accounted(&self) -> (u64, u64) {
        (self.word(ACCOUNTED), self.word(LOST_RESTART))
    }

    /// Notes how many samples are accounted for.
    pub(in super::super) fn account(&self, accounted: u64) {
        self.set(ACCOUNTED, accounted);
    }

    /// Notes samples that nobody accounted for before he was killed.
    pub(in super::super) fn lose(&self, samples: u64) {
        self.set(LOST_RESTART, self.word(LOST_RESTART) + samples);
        self.set(ACCOUNTED, self.word(ACCOUNTED) + samples);
    }

    /// What was counted in maps that are gone.
    pub(in super::super) fn carried(&self) -> Carried {
        let first = CARRIED + (self.word(CARRIED_THROUGH) & 1) as usize * CARRIED_WORDS;
        Carried::from_words(|at| self.word(first + at))
    }

    /// Whether the maps of that generation are in [`About::carried`] already.
    pub(in super::super) fn has_carried(&self, generation: u32) -> bool {
        self.word(CARRIED_THROUGH) >> 1 >= u64::from(generation)
    }

    /// From now on [`About::carried`] is this, and the maps of that generation are in it.
    pub(super) fn carry(&self, carried: &Carried, generation: u32) {
        let other = self.word(CARRIED_THROUGH) & 1 ^ 1;
        let first = CARRIED + other as usize * CARRIED_WORDS;
        for (at, word) in carried.words().enumerate() {
            self.set(first + at, word);
        }
        self.set(CARRIED_THROUGH, u64::from(generation) << 1 | other);
    }

    fn word(&self, at: usize) -> u64 {
        self.0[0].get(at)
    }

    fn set(&self, at: usize, value: u64) {
        self.0[0].set(at, value);
    }
}
