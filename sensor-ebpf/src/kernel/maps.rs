//! Every map the program has. User space finds them by name and sets the sizes from the configuration.
#![expect(unsafe_code, reason = "map values are shared memory")]

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, LpmTrie, PerCpuArray, RingBuf, XskMap};
use sensor_ebpf::control::{Control, MOST_LISTED};
use sensor_ebpf::counter::Totals;
use sensor_ebpf::listed::{self, LINES, Line};
use sensor_ebpf::sketch::Cell;
use sensor_ebpf::table::{Bucket, Entry, Lane, LogLine, Outer, RareFlags};

/// The flow table, lane after lane; see `sensor_ebpf::table`.
#[map]
static BUCKETS: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// By slot.
#[map]
static ENTRIES: Array<Entry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// By slot.
#[map]
static RARE_FLAGS: Array<RareFlags> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// By slot.
#[map]
static OUTERS: Array<Outer> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Slots noted in an epoch: for each lane the log of even epochs, then that of odd ones.
#[map]
static LOG: Array<LogLine> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// By lane.
#[map]
static LANES: Array<Lane> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Packets of flows without entry by source prefix, lane after lane.
#[map]
static PREFIXES: Array<Cell> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Where every packet went, one element.
#[map]
static TOTALS: PerCpuArray<Totals> = PerCpuArray::with_max_entries(1, 0);

/// One element.
#[map]
static MISSING: PerCpuArray<Missing> = PerCpuArray::with_max_entries(1, 0);

/// What user space wants, one element.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Sampling of the flows of a host or prefix: one packet in so many.
#[map]
static STEERED: LpmTrie<[u64; 2], u32> = LpmTrie::with_max_entries(1024, 0);

/// Listed networks, IPv4 mapped, with what they are listed as; 0 is allowed whatever holds it. One is looked at, the
/// other one is filled meanwhile. The kernel takes a node's memory when it is added.
#[map]
static LISTED_1: LpmTrie<[u64; 2], u32> = LpmTrie::with_max_entries(MOST_LISTED, 0);

/// See [`LISTED_1`].
#[map]
static LISTED_2: LpmTrie<[u64; 2], u32> = LpmTrie::with_max_entries(MOST_LISTED, 0);

/// Where each trie may have something to say, the bits of the first one first.
#[map]
static LISTED_BITS: Array<Line> = Array::with_max_entries(2 * LINES, BPF_F_MMAPABLE);

/// AF_XDP sockets by receive queue: `mirror` mode.
#[map]
pub(super) static XSKS: XskMap = XskMap::with_max_entries(256, 0);

/// Copies of samples: `host` mode.
#[map]
pub(super) static SAMPLES: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// A packet whose flow is not where it is looked for first.
#[repr(C)]
pub(super) struct Missing {
    /// The flow's key.
    pub(super) words: [u64; 6],
    pub(super) bytes: u64,
    pub(super) now: u64,
    /// The lane.
    pub(super) number: u32,
    pub(super) outer_at: u16,
    pub(super) reverse: u16,
    pub(super) tcp_flags: u8,
    pub(super) _pad: [u8; 7],
}

#[inline(always)]
pub(super) fn totals() -> Option<&'static mut Totals> {
    // SAFETY: the element is this CPU's own, and XDP programs do not interrupt each other on one CPU.
    TOTALS.get_ptr_mut(0).map(|totals| unsafe { &mut *totals })
}

/// User space may write the element while the program runs. Each field is a word of its own, and either value of it
/// will do.
#[inline(always)]
pub(super) fn control() -> Option<&'static Control> {
    CONTROL.get(0)
}

/// Room for a packet whose flow is looked for: the stack has none.
#[inline(always)]
pub(super) fn missing() -> Option<&'static mut Missing> {
    // SAFETY: as for the totals.
    MISSING.get_ptr_mut(0).map(|missing| unsafe { &mut *missing })
}

#[inline(always)]
pub(super) fn lane(lane: u32) -> Option<&'static Lane> {
    LANES.get(lane)
}

/// The tags of a bucket, four to a word.
#[inline(always)]
pub(super) fn tag_words(bucket: u32) -> Option<&'static [u64; 8]> {
    // SAFETY: a live element of 64 bytes, aligned to 64. The lane's one writer reads it; user space changes single
    // tags of entries that it retires, and either value of such a tag will do.
    BUCKETS.get_ptr(bucket).map(|tags| unsafe { &*tags.cast() })
}

#[inline(always)]
pub(super) fn bucket(bucket: u32) -> Option<&'static Bucket> {
    BUCKETS.get(bucket)
}

#[inline(always)]
pub(super) fn entry(slot: u32) -> Option<&'static Entry> {
    ENTRIES.get(slot)
}

#[inline(always)]
pub(super) fn rare_flags(slot: u32) -> Option<&'static RareFlags> {
    RARE_FLAGS.get(slot)
}

#[inline(always)]
pub(super) fn outer(slot: u32) -> Option<&'static Outer> {
    OUTERS.get(slot)
}

#[inline(always)]
pub(super) fn log_line(line: u32) -> Option<&'static LogLine> {
    LOG.get(line)
}

#[inline(always)]
pub(super) fn cell(cell: u32) -> Option<&'static Cell> {
    PREFIXES.get(cell)
}

/// The rate at which flows of this address are sampled, where user space steers it; 0 where it does not.
#[inline(always)]
pub(super) fn steered(address: [u64; 2]) -> u32 {
    // SAFETY: the helper returns a live value of the map; it is read once, whole.
    STEERED.get(&Key::new(128, address)).map_or(0, |one_in| unsafe { core::ptr::read_volatile(one_in) })
}

/// What one of the tries says of an address; 0 where it says nothing.
#[inline(always)]
pub(super) fn listed(trie: u32, address: [u64; 2]) -> u32 {
    let (line, word, bit) = listed::place(address);
    let line = if trie == 1 { line } else { LINES + line };
    if LISTED_BITS.get(line).is_none_or(|line| line.words[word as usize % 8].get() >> bit & 1 == 0) {
        return 0;
    }
    let key = Key::new(128, address);
    let found = if trie == 1 { LISTED_1.get(&key) } else { LISTED_2.get(&key) };
    // SAFETY: the helper returns a live value of the map; it is read once, whole.
    found.map_or(0, |listed| unsafe { core::ptr::read_volatile(listed) })
}
