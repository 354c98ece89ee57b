//! Adds a packet to its flow.
#![expect(unsafe_code, reason = "the constants that the loader sets are read from memory")]

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_coarse_ns};
use aya_ebpf::programs::XdpContext;
use core::ptr::read_volatile;
use sensor_ebpf::control::Control;
use sensor_ebpf::counter::{Count, Totals};
use sensor_ebpf::flow::FlagWords;
use sensor_ebpf::parse::Packet;
use sensor_ebpf::sketch;
use sensor_ebpf::table::{Entry, FREE, LOG_LINE, Lane, Place, Seed, WAYS, lowest, matching, place};

use super::maps;

/// Buckets of a lane less one; they are a power of two. The loader sets this and what follows.
#[unsafe(no_mangle)]
static BUCKET_MASK: u32 = 0;

/// Whether the lane is that of the CPU instead of that of the receive queue: in generic mode several CPUs may handle
/// packets of one queue at a time.
#[unsafe(no_mangle)]
static LANE_BY_CPU: u32 = 0;

/// Of the hash.
#[unsafe(no_mangle)]
static SEED: Seed = [0; 12];

/// No slot.
const NONE: u32 = u32::MAX;

/// A packet and where it was counted.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    /// Which packet of its flow it is, from 1; `u64::MAX` without an entry, so that a flood does not look like
    /// first packets.
    pub(super) ordinal: u64,
    /// How the flow is sampled; 0 as all are.
    pub(super) one_in: u32,
    /// The lane.
    pub(super) lane: &'static Lane,
    /// When, nanoseconds of the coarse monotonic clock.
    pub(super) now: u64,
}

/// Counts the packet in its flow; without room there, in the totals and by source prefix. `None` where no lane is.
#[inline(always)]
pub(super) fn count(
    ctx: &XdpContext,
    totals: &mut Totals,
    control: &Control,
    packet: &Packet,
    bytes: u64,
) -> Option<Counted> {
    let number = lane_number(ctx);
    let Some(lane) = maps::lane(number) else {
        totals.overflow_no_lane.add(bytes);
        return None;
    };
    let now = now(lane);
    let words = packet.key.words();
    // SAFETY: a live constant of the object.
    let (mask, seed) = unsafe { (read_volatile(&raw const BUCKET_MASK), read_volatile(&raw const SEED)) };
    let place = place(&words, &seed);
    let first = number * (mask + 1);
    let mut bucket = first + (place.bucket & mask);
    let home = bucket * WAYS as u32 + place.home;

    if let Some(entry) = maps::entry(home)
        && entry.is(place.mark, &words)
    {
        return Some(add(control, lane, number, mask, home, entry, packet, bytes, now));
    }
    let (mut found, mut free) = search(bucket, &place, &words);
    if found == NONE && free == NONE {
        // Full: at half load one bucket in 25,000. Its neighbour takes what it has no room for.
        bucket = first + ((place.bucket ^ 1) & mask);
        (found, free) = search(bucket, &place, &words);
    }
    if let Some(entry) = maps::entry(found) {
        return Some(add(control, lane, number, mask, found, entry, packet, bytes, now));
    }
    let nowhere = Some(Counted { ordinal: u64::MAX, one_in: 0, lane, now });
    if !lane.admits(control.admit_per_second, now) {
        refuse(&mut totals.overflow_not_admitted, number, packet, bytes, seed[0]);
        return nowhere;
    }
    let (Some(entry), Some(rare), Some(tags)) =
        (maps::entry(free), maps::rare_flags(free), maps::bucket(bucket))
    else {
        refuse(&mut totals.overflow_table_full, number, packet, bytes, seed[0]);
        return nowhere;
    };
    rare.clear();
    entry.begin(&words, usize::from(packet.reverse), now);
    if control.steered != 0 {
        let (a, b) = (maps::steered(packet.key.addr_a), maps::steered(packet.key.addr_b));
        entry.one_in.set(if a == 0 || (b != 0 && b < a) { b } else { a });
    }
    entry.epoch.set(control.epoch.wrapping_sub(1));
    entry.mark.set(place.mark);
    tags.tags[free as usize % WAYS].set(place.tag);
    lane.admitted.grow(1);
    Some(add(control, lane, number, mask, free, entry, packet, bytes, now))
}

/// The coarse clock: a fine one costs more than parsing and finding the flow together. It moves once a tick of the
/// kernel's timer, so it is asked once a tick, and what it says is two ticks behind at most (1 to 10 ms each).
#[inline(always)]
fn now(lane: &Lane) -> u64 {
    // SAFETY: neither helper takes an argument; the first is a load that the verifier writes in place (Linux 5.6), the
    // second is there from Linux 5.11 on.
    let jiffies = unsafe { bpf_jiffies64() };
    if lane.jiffies.get() == jiffies {
        return lane.now.get();
    }
    // SAFETY: as above.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    lane.jiffies.set(jiffies);
    lane.now.set(now);
    now
}

#[inline(always)]
fn lane_number(ctx: &XdpContext) -> u32 {
    // SAFETY: a live constant; the helper takes no argument; the context is the one the kernel gave.
    unsafe {
        if read_volatile(&raw const LANE_BY_CPU) != 0 {
            bpf_get_smp_processor_id()
        } else {
            (*ctx.ctx).rx_queue_index
        }
    }
}

/// The slot of the flow's entry, or [`NONE`], and a free slot of the bucket, the home one if it is free.
///
/// Two entries of four whose tags agree are compared. A third, one case in 10^9, would not be found, and the flow would
/// get a second entry: user space adds them up.
#[inline(always)]
fn search(bucket: u32, place: &Place, words: &[u64; 6]) -> (u32, u32) {
    let base = bucket * WAYS as u32;
    let mut free = NONE;
    let Some(tags) = maps::tag_words(bucket) else {
        return (NONE, NONE);
    };
    let mut at = 0;
    while at < WAYS / 4 {
        let word = tags[at];
        let mut same = matching(word, place.tag);
        if same != 0 {
            let slot = base + 4 * at as u32 + lowest(same);
            if maps::entry(slot).is_some_and(|entry| entry.is(place.mark, words)) {
                return (slot, NONE);
            }
            same &= same - 1;
            if same != 0 {
                let slot = base + 4 * at as u32 + lowest(same);
                if maps::entry(slot).is_some_and(|entry| entry.is(place.mark, words)) {
                    return (slot, NONE);
                }
            }
        }
        let empty = matching(word, FREE);
        if empty != 0 {
            let slot = base + 4 * at as u32 + lowest(empty);
            if free == NONE {
                free = slot;
            }
        }
        at += 1;
    }
    if maps::bucket(bucket).is_some_and(|bucket| bucket.tags[place.home as usize % WAYS].get() == FREE) {
        free = base + place.home;
    }
    (NONE, free)
}

/// Adds the packet to its entry, and notes the entry where it is the first of this epoch.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "inlined: a structure would only hide them")]
fn add(
    control: &Control,
    lane: &'static Lane,
    number: u32,
    mask: u32,
    slot: u32,
    entry: &Entry,
    packet: &Packet,
    bytes: u64,
    now: u64,
) -> Counted {
    let side = usize::from(packet.reverse);
    let flags = FlagWords::increments(packet.tcp_flags);
    if flags[1] | flags[2] | flags[3] != 0
        && let Some(rare) = maps::rare_flags(slot)
    {
        rare.add(side, flags);
    }
    if entry.epoch.get() != control.epoch {
        entry.epoch.set(control.epoch);
        note(control, lane, number, mask, slot);
    }
    let ordinal = entry.add(side, bytes, flags[0], now);
    Counted { ordinal, one_in: entry.one_in.get(), lane, now }
}

/// An entry is noted once an epoch at most, so the log, as long as the lane has entries, cannot overflow.
#[inline(always)]
fn note(control: &Control, lane: &Lane, number: u32, mask: u32, slot: u32) {
    let parity = control.epoch & 1;
    let noted = &lane.noted[parity as usize & 1];
    let at = noted.get();
    let lines = (mask + 1) * (WAYS / LOG_LINE) as u32;
    let line = (2 * number + parity) * lines + at as u32 / LOG_LINE as u32;
    if let Some(line) = maps::log_line(line) {
        line.slots[at as usize % LOG_LINE].set(slot);
        noted.set(at + 1);
    }
}

/// Counts a packet that has no entry.
#[inline(always)]
fn refuse(total: &mut Count, lane: u32, packet: &Packet, bytes: u64, seed: u32) {
    total.add(bytes);
    let words = packet.key.words();
    let source = if packet.reverse { [words[2], words[3]] } else { [words[0], words[1]] };
    let prefix = sketch::prefix(source[0], source[1]);
    if let Some(cell) = maps::cell(lane * sketch::CELLS as u32 + sketch::cell(prefix, seed)) {
        cell.add(prefix, bytes);
    }
}
