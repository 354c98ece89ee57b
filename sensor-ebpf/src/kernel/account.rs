//! Adds a packet to its flow.
#![expect(unsafe_code, reason = "the constants that the loader sets are read from memory")]

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_coarse_ns};
use aya_ebpf::programs::XdpContext;
use core::ptr::read_volatile;
use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::counter::{Count, Totals};
use sensor_ebpf::flow::FlagWords;
use sensor_ebpf::parse::Packet;
use sensor_ebpf::sketch;
use sensor_ebpf::table::{FREE, LOG_LINE, Lane, Place, Seed, WAYS, lowest, matching, place};
use sensor_ebpf::tunnel::outer_addresses;

use super::maps::{self, Missing};

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
    /// TCP flags of the packet.
    pub(super) tcp_flags: u8,
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
    let mask = unsafe { read_volatile(&raw const BUCKET_MASK) };
    let place = place(&words, seed);
    let first = number * (mask + 1);
    let bucket = first + (place.bucket & mask);
    // By way of memory: where a pointer depends on the hash, the verifier would tell apart all that went into it, and walk
    // this program once for each way through the parser.
    lane.home.set(place.home);
    let way = lane.home.get() % WAYS as u32;
    let home = bucket * WAYS as u32 + way;
    // The tag is asked first: it is in a cache, and a flow that has no entry need not wait for memory to be told so. The
    // entry's place does not depend on it, so a CPU that expects the flow at home loads both at once.
    let at_home = match maps::bucket(bucket) {
        Some(tags) if tags.tags[way as usize].get() == place.tag => maps::entry(home),
        _ => None,
    };
    let (slot, entry, tcp_flags, reverse, number) = match at_home {
        Some(entry) if entry.is(place.mark, &words) => {
            (home, entry, packet.tcp_flags, u16::from(packet.reverse), number)
        }
        _ => {
            let Some(missing) = maps::missing() else {
                return None;
            };
            *missing = Missing {
                words,
                bytes,
                now,
                number,
                outer_at: packet.outer_at,
                reverse: u16::from(packet.reverse),
                tcp_flags: packet.tcp_flags,
                _pad: [0; 7],
            };
            let slot = elsewhere(missing);
            // What is needed from here on is read back: with nothing of the packet left in registers, the verifier walks
            // that function once, and not once for each way through the parser.
            // SAFETY: a live value that only this run writes.
            let Missing { words, number, reverse, tcp_flags, .. } = unsafe { read_volatile(missing) };
            let Some(entry) = maps::entry(slot) else {
                return Some(Counted { ordinal: u64::MAX, one_in: 0, tcp_flags, lane, now });
            };
            if words[5] != 0 && entry.packets[0].get() | entry.packets[1].get() == 0 {
                note_outer(ctx, missing, slot);
            }
            (slot, entry, tcp_flags, reverse, number)
        }
    };
    let side = usize::from(reverse) & 1;
    let flags = FlagWords::increments(tcp_flags);
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
    Some(Counted { ordinal, one_in: entry.one_in.get(), tcp_flags, lane, now })
}

/// The slot of a flow that is not at home: where it is, or where there is room for it and it is admitted; else
/// [`NONE`], and the packet is counted as overflow. A function of its own, for its own stack; few packets come here.
#[inline(never)]
fn elsewhere(missing: &Missing) -> u32 {
    let &Missing { ref words, now, number, reverse, .. } = missing;
    let (Some(totals), Some(control), Some(lane)) = (maps::totals(), maps::control(), maps::lane(number))
    else {
        return NONE;
    };
    // SAFETY: a live constant of the object.
    let mask = unsafe { read_volatile(&raw const BUCKET_MASK) };
    let place = place(words, seed);
    let first = number * (mask + 1);
    let found = find(first, mask, &place, words);
    if found != NONE {
        return found;
    }
    if !lane.admits(control.admit_per_second, now) {
        refuse(&mut totals.overflow_not_admitted, number, missing);
        return NONE;
    }
    let free = room(first, mask, &place);
    let (Some(entry), Some(tags)) = (maps::entry(free), maps::bucket(free / WAYS as u32)) else {
        refuse(&mut totals.overflow_table_full, number, missing);
        return NONE;
    };
    entry.begin(words, usize::from(reverse), now);
    if control.steered != 0 {
        let (a, b) = (maps::steered([words[0], words[1]]), maps::steered([words[2], words[3]]));
        entry.one_in.set(if a == 0 || (b != 0 && b < a) { b } else { a });
    }
    if control.listed != 0 {
        note_listed(missing, control.listed, free);
    }
    entry.epoch.set(control.epoch.wrapping_sub(1));
    entry.mark.set(place.mark);
    tags.tags[free as usize % WAYS].set(place.tag);
    lane.admitted.grow(1);
    free
}

/// Notes in a new flow which of its addresses are listed. A function of its own, for its own stack.
#[inline(never)]
fn note_listed(missing: &Missing, trie: u32, slot: u32) {
    let &Missing { words: [a_high, a_low, b_high, b_low, ..], .. } = missing;
    if let Some(rare) = maps::rare_flags(slot) {
        rare.listed[0].set(maps::listed(trie, [a_high, a_low]));
        rare.listed[1].set(maps::listed(trie, [b_high, b_low]));
    }
}

/// How many frames this one stands for, which is not IP; 0 where it is no sample. A function of its own, so that packets
/// in flows do not pay for it.
#[inline(never)]
pub(super) fn link_weight(ctx: &XdpContext, class: u32) -> u32 {
    match (maps::control(), maps::lane(lane_number(ctx))) {
        (Some(control), Some(lane)) if control.mode != mode::PASS => {
            lane.link_weight(control, class, now(lane))
        }
        _ => 0,
    }
}

/// Keeps the outer addresses of a new flow in a tunnel.
#[inline(never)]
fn note_outer(ctx: &XdpContext, missing: &Missing, slot: u32) {
    if let Some(outer) = maps::outer(slot)
        && let Some(addresses) =
            outer_addresses(&super::frame::Loaded(ctx), missing.outer_at, missing.reverse != 0)
    {
        outer.set(addresses);
    }
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

/// A word of the seed. One by one: all of it would fill a tenth of the stack.
#[inline(always)]
fn seed(at: usize) -> u32 {
    // SAFETY: a live constant of the object.
    unsafe { read_volatile(&raw const SEED[at]) }
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

/// Words of four tags in a bucket.
const WORDS: usize = WAYS / 4;

/// The slot of the flow's entry in its bucket, or in the neighbour of one that is full; else [`NONE`].
///
/// Two entries of four whose tags agree are compared. A third, one case in 10^9, would not be found, and the flow would
/// get a second entry: user space adds them up.
#[inline(always)]
fn find(first: u32, mask: u32, place: &Place, words: &[u64; 6]) -> u32 {
    let mut bucket = place.bucket & mask;
    let mut turn = 0;
    while turn < 2 {
        let Some(tags) = maps::tag_words(first + bucket) else {
            return NONE;
        };
        let mut empty = 0;
        let mut at = 0;
        while at < WORDS {
            let mut same = matching(tags[at], place.tag);
            // Twice: a second one of the four.
            let mut tries = 0;
            while same != 0 && tries < 2 {
                let slot = (first + bucket) * WAYS as u32 + 4 * at as u32 + lowest(same);
                if maps::entry(slot).is_some_and(|entry| entry.is(place.mark, words)) {
                    return slot;
                }
                same &= same - 1;
                tries += 1;
            }
            empty |= matching(tags[at], FREE);
            at += 1;
        }
        if empty != 0 {
            return NONE;
        }
        bucket = (bucket ^ 1) & mask;
        turn += 1;
    }
    NONE
}

/// A free slot for a new flow: the home one, another one of its bucket, or, of a bucket without room, at half load one
/// in 25,000, one of its neighbour's; else [`NONE`].
#[inline(always)]
fn room(first: u32, mask: u32, place: &Place) -> u32 {
    let mut bucket = place.bucket & mask;
    let home = first + bucket;
    if maps::bucket(home).is_some_and(|tags| tags.tags[place.home as usize % WAYS].get() == FREE) {
        return home * WAYS as u32 + place.home;
    }
    let mut turn = 0;
    while turn < 2 {
        let Some(tags) = maps::tag_words(first + bucket) else {
            return NONE;
        };
        let mut at = 0;
        while at < WORDS {
            let empty = matching(tags[at], FREE);
            if empty != 0 {
                return (first + bucket) * WAYS as u32 + 4 * at as u32 + lowest(empty);
            }
            at += 1;
        }
        bucket = (bucket ^ 1) & mask;
        turn += 1;
    }
    NONE
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
fn refuse(total: &mut Count, lane: u32, missing: &Missing) {
    total.add(missing.bytes);
    let at = if missing.reverse != 0 { 2 } else { 0 };
    let prefix = sketch::prefix(missing.words[at], missing.words[at + 1]);
    if let Some(cell) = maps::cell(lane * sketch::CELLS as u32 + sketch::cell(prefix, seed(0))) {
        cell.add(prefix, missing.bytes);
    }
}
