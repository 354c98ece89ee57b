//! The kernel's flow table, mapped; its size, and the memory it takes.

use std::os::fd::AsFd;

use aya::Ebpf;
use aya::maps::{Map, MapData};
use sensor_ebpf::SharedLayout;
use sensor_ebpf::sketch::{CELLS, Cell};
use sensor_ebpf::table::{Bucket, Entry, LOG_LINE, Lane, LogLine, Outer, RareFlags, Seed, WAYS};

use super::drain;
use super::error::CaptureError;
use super::pins;
use super::readings::{self, Reading};
use super::xsk::Mapped;

/// How large the flow table is, and how packets find their lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Parts with one writer each.
    pub lanes: u32,
    /// Whether a lane belongs to a CPU (generic mode) instead of a receive queue.
    pub by_cpu: bool,
    /// Buckets of a lane, a power of two.
    buckets: u32,
}

impl TableSize {
    /// Room for `entries` flows at least, in lanes of equal size.
    pub fn new(entries: u32, lanes: u32, by_cpu: bool) -> TableSize {
        let lanes = lanes.max(1);
        let buckets = entries.div_ceil(lanes).div_ceil(WAYS as u32).next_power_of_two();
        TableSize { lanes, by_cpu, buckets }
    }

    /// Entries of a lane.
    pub fn lane_entries(&self) -> u32 {
        self.buckets * WAYS as u32
    }

    /// Entries of all lanes.
    pub fn entries(&self) -> u32 {
        self.lanes * self.lane_entries()
    }

    /// Each map with its number of elements.
    pub(super) fn maps(&self) -> [(&'static str, u32); 7] {
        [
            ("BUCKETS", self.lanes * self.buckets),
            ("ENTRIES", self.entries()),
            ("RARE_FLAGS", self.entries()),
            ("OUTERS", self.entries()),
            ("LOG", 2 * self.entries() / LOG_LINE as u32),
            ("LANES", self.lanes),
            ("PREFIXES", self.lanes * CELLS as u32),
        ]
    }

    /// Buckets of a lane less one.
    pub(super) fn bucket_mask(&self) -> u32 {
        self.buckets - 1
    }

    /// Bytes of kernel memory, which is taken when the program is loaded.
    pub fn kernel_bytes(&self) -> u64 {
        let entry = size_of::<Entry>() + size_of::<RareFlags>() + size_of::<Outer>() + size_of::<Reading>();
        let log = 2 * size_of::<LogLine>() / LOG_LINE;
        let bucket = size_of::<Bucket>() / WAYS;
        let lane = size_of::<Lane>() + CELLS * size_of::<Cell>();
        u64::from(self.entries()) * (entry + log + bucket) as u64 + u64::from(self.lanes) * lane as u64
    }

    /// Bytes of the sensor's own memory for what it read.
    pub fn user_bytes(&self) -> u64 {
        u64::from(self.entries()) * drain::SLOT_BYTES as u64
    }
}

/// The flow table in this process's memory.
pub struct Table {
    /// Its size.
    pub size: TableSize,
    pub(super) buckets: Mapped<Bucket>,
    pub(super) entries: Mapped<Entry>,
    pub(super) rare: Mapped<RareFlags>,
    pub(super) outers: Mapped<Outer>,
    pub(super) log: Mapped<LogLine>,
    pub(super) lanes: Mapped<Lane>,
    pub(super) prefixes: Mapped<Cell>,
    /// By slot.
    pub(super) read: Mapped<Reading>,
    /// An earlier process has filled it.
    pub(super) inherited: bool,
}

impl Table {
    /// Maps what the loaded object made.
    pub(super) fn map(
        ebpf: &Ebpf,
        size: TableSize,
        read: &MapData,
        inherited: bool,
    ) -> Result<Table, CaptureError> {
        fn array<T: SharedLayout>(
            ebpf: &Ebpf,
            (name, count): (&'static str, u32),
        ) -> Result<Mapped<T>, CaptureError> {
            let Some(Map::Array(map)) = ebpf.map(name) else {
                return Err(CaptureError::Object { name });
            };
            let map: &MapData = map;
            Mapped::new(map.fd().as_fd(), count as usize)
                .map_err(|source| CaptureError::Mapping { map: name, source })
        }
        let [buckets, entries, rare, outers, log, lanes, prefixes] = size.maps();
        Ok(Table {
            size,
            buckets: array(ebpf, buckets)?,
            entries: array(ebpf, entries)?,
            rare: array(ebpf, rare)?,
            outers: array(ebpf, outers)?,
            log: array(ebpf, log)?,
            lanes: array(ebpf, lanes)?,
            prefixes: array(ebpf, prefixes)?,
            read: Mapped::new(read.fd().as_fd(), size.entries() as usize)
                .map_err(|source| CaptureError::Mapping { map: pins::READ, source })?,
            inherited,
        })
    }

    /// What a slot's bucket says of it.
    pub(super) fn tag(&self, slot: usize) -> u16 {
        self.buckets[slot / WAYS].tags[slot % WAYS].get()
    }

    /// Forgets the counters of a slot that no packet finds, in the entry and in what was read of it.
    pub(super) fn clear(&self, slot: usize) {
        if let (Some(entry), Some(rare), Some(reading)) =
            (self.entries.get(slot), self.rare.get(slot), self.read.get(slot))
        {
            readings::clear(reading);
            rare.clear();
            for side in 0..2 {
                entry.packets[side].set(0);
                entry.bytes[side].set(0);
            }
        }
    }
}

/// A seed for the hash that nobody can guess.
pub(super) fn seed() -> Seed {
    std::array::from_fn(|_| {
        use std::hash::{BuildHasher, Hasher};
        // Each state is keyed by the operating system's random numbers.
        std::collections::hash_map::RandomState::new().build_hasher().finish() as u32
    })
}
