//! The flow table: its layout in kernel memory, which user space maps, and who may write what.
//!
//! Plain arrays with our own hash. A *lane* is a part of the table with one writer: the receive queue whose packets
//! land there. So counters need no atomic instruction, and a flow whose packets come in by two queues has an entry in
//! each; user space adds them up by key.
//!
//! A lane has buckets of [`WAYS`] entries. A flow's hash names its bucket and its *home* way, looked at first; the
//! bucket's tags, one cache line, say where else it may be. Entries are never evicted: user space alone retires
//! them, in three steps: tag [`RETIRED`] and mark 0 (no packet finds the entry any more), a grace period, a last
//! reading, tag [`FREE`].
//!
//! Reading costs what has changed, not what there is: the first packet of a flow in an *epoch* notes the entry's
//! slot in the lane's log. User space begins a new epoch, waits until no program of the old one can still run, and
//! reads the entries in the old epoch's log.

use crate::flow::{FlagWords, FlowKey, FlowStats, native_halves};
use crate::shared::Shared;

/// Entries of a bucket.
pub const WAYS: usize = 32;
/// Tag of a way without entry.
pub const FREE: u16 = 0;
/// Tag of an entry that no packet finds any more, and that is not yet free.
pub const RETIRED: u16 = u16::MAX;

/// Where the entries of a bucket are: for each way a part of the hash, or [`FREE`] or [`RETIRED`].
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Bucket {
    /// By way.
    pub tags: [Shared<u16>; WAYS],
}

const _: () = assert!(size_of::<Bucket>() == 64, "one cache line");

/// A flow: what its packets look at, and all that most of them change. Two cache lines.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Entry {
    /// The flow's key, as [`FlowKey::words`] gives it.
    pub key: [Shared<u64>; 6],
    /// A part of the hash, never 0; 0 where the entry holds no flow that packets may be added to.
    pub mark: Shared<u32>,
    /// Epoch in which the entry was last noted in the log.
    pub epoch: Shared<u32>,
    /// Sampling of this flow beyond its first packets, one packet in so many; 0: as the control map says.
    pub one_in: Shared<u32>,
    /// Direction (0 or 1) of the first packet.
    pub initiator: Shared<u32>,
    /// Packets by direction.
    pub packets: [Shared<u64>; 2],
    /// Bytes by direction.
    pub bytes: [Shared<u64>; 2],
    /// ACK and PSH by direction, see [`FlagWords`].
    pub ack_psh: [Shared<u64>; 2],
    /// Time of the first packet.
    pub first: Shared<u64>,
    /// Time of the latest packet.
    pub last: Shared<u64>,
}

const _: () = assert!(size_of::<Entry>() == 128, "two cache lines");

/// TCP flags that few packets carry, by direction, and what is known of the flow from its first packet on; beside the
/// entry, so that other packets do not touch them.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct RareFlags {
    /// See [`FlagWords`].
    pub syn_fin: [Shared<u64>; 2],
    /// See [`FlagWords`].
    pub rst_urg: [Shared<u64>; 2],
    /// See [`FlagWords`].
    pub ece_cwr: [Shared<u64>; 2],
    /// What the trie of listed addresses said of endpoint `a` and of `b` when the flow was new; 0: not listed.
    pub listed: [Shared<u32>; 2],
    /// Spelled-out padding.
    pub _pad: Shared<u64>,
}

const _: () = assert!(size_of::<RareFlags>() == 64);

/// The outer addresses of a tunnelled flow's first packet: the one on the side of endpoint `a`, then that of `b`.
#[repr(C)]
#[derive(Debug)]
pub struct Outer {
    /// IPv4 mapped to IPv6, two words each, in the order of the bytes in memory.
    pub words: [Shared<u64>; 4],
}

const _: () = assert!(size_of::<Outer>() == 32);

/// A cache line of a lane's log.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct LogLine {
    /// Slots, in the order in which they were noted.
    pub slots: [Shared<u32>; LOG_LINE],
}

/// Slots of a [`LogLine`].
pub const LOG_LINE: usize = 16;

const _: () = assert!(size_of::<LogLine>() == 64 && WAYS.is_multiple_of(LOG_LINE));

/// What a lane keeps besides its entries.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct Lane {
    /// Entries in the log of even and of odd epochs. User space sets the closed one back to 0.
    pub noted: [Shared<u64>; 2],
    /// New flows that may still be admitted, in billionths of a flow: a token bucket.
    pub tokens: Shared<u64>,
    /// When tokens were last added, nanoseconds.
    pub refilled: Shared<u64>,
    /// Second in which `flagged` was counted.
    pub second: Shared<u64>,
    /// Random state of the sampler, never 0 once used.
    pub random: Shared<u64>,
    /// SYN, FIN and RST samples taken in `second`.
    pub flagged: Shared<u64>,
    /// Flows that got an entry.
    pub admitted: Shared<u64>,
    /// `now` was read in this tick of the kernel's timer.
    pub jiffies: Shared<u64>,
    /// Coarse time, nanoseconds.
    pub now: Shared<u64>,
    /// Second in which `others` were counted.
    pub other_second: Shared<u64>,
    /// Samples taken in `other_second` of frames that are not IP: ARP, and the rest.
    pub others: [Shared<u64>; 2],
    /// The home way of the packet at hand.
    pub home: Shared<u32>,
    /// Spelled-out padding.
    pub _pad: [Shared<u32>; 5],
}

const _: () = assert!(size_of::<Lane>() == 128);

/// Where a flow is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bucket within the lane, before the mask of its size.
    pub bucket: u32,
    /// The way that is looked at first.
    pub home: u32,
    /// The tag of its entry.
    pub tag: u16,
    /// The mark of its entry.
    pub mark: u32,
}

/// The seed of the hash: drawn anew by each load, so that nobody can make flows that share a bucket.
pub type Seed = [u32; 12];

/// NH of UMAC (Black et al., 1999; RFC 4418, 5.2.2): two keys collide with a chance of 2^-32, whatever they are, for a
/// seed their maker does not know. Then a multiplication (Fibonacci hashing) carries it into the high bits.
#[inline(always)]
pub fn place(words: &[u64; 6], seed: impl Fn(usize) -> u32) -> Place {
    let mut sum = 0u64;
    let mut at = 0;
    while at < 6 {
        let low = (words[at] as u32).wrapping_add(seed(2 * at));
        let high = ((words[at] >> 32) as u32).wrapping_add(seed(2 * at + 1));
        sum = sum.wrapping_add(u64::from(low).wrapping_mul(u64::from(high)));
        at += 1;
    }
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = mixed ^ (mixed >> 32);
    Place {
        bucket: mixed as u32,
        home: (mixed >> 32) as u32 & (WAYS as u32 - 1),
        tag: ((mixed >> 37) as u16 & 0x7fff) + 1,
        mark: (mixed >> 32) as u32 | 1,
    }
}

impl Entry {
    /// Whether this is the entry of the flow.
    #[inline(always)]
    pub fn is(&self, mark: u32, words: &[u64; 6]) -> bool {
        let differs = |at: usize| self.key[at].get() ^ words[at];
        self.mark.get() == mark
            && differs(0) | differs(1) | differs(2) | differs(3) | differs(4) | differs(5) == 0
    }

    /// Adds a packet. Returns its ordinal in the flow.
    #[inline(always)]
    pub fn add(&self, side: usize, bytes: u64, ack_psh: u64, now: u64) -> u64 {
        let side = side & 1;
        self.packets[side].grow(1);
        self.bytes[side].grow(bytes);
        self.ack_psh[side].grow(ack_psh);
        self.last.set(now);
        self.packets[0].get() + self.packets[1].get()
    }

    /// Makes it the entry of a flow without packets yet; what is in it was read. Its [`RareFlags`] are clear already.
    #[inline(always)]
    pub fn begin(&self, words: &[u64; 6], side: usize, now: u64) {
        for (field, word) in self.key.iter().zip(words) {
            field.set(*word);
        }
        self.one_in.set(0);
        self.initiator.set(side as u32 & 1);
        for side in 0..2 {
            self.packets[side].set(0);
            self.bytes[side].set(0);
            self.ack_psh[side].set(0);
        }
        self.first.set(now);
    }

    /// The flow's key.
    pub fn key(&self) -> FlowKey {
        FlowKey::from_words(self.key.each_ref().map(|word| word.get()))
    }

    /// All counters, together with those of `rare`.
    pub fn stats(&self, rare: &RareFlags) -> FlowStats {
        let read = |field: &[Shared<u64>; 2]| [field[0].get(), field[1].get()];
        let (ack_psh, syn_fin) = (read(&self.ack_psh), read(&rare.syn_fin));
        let (rst_urg, ece_cwr) = (read(&rare.rst_urg), read(&rare.ece_cwr));
        let flags = |side: usize| FlagWords {
            ack_psh: ack_psh[side],
            syn_fin: syn_fin[side],
            rst_urg: rst_urg[side],
            ece_cwr: ece_cwr[side],
        };
        FlowStats {
            packets: read(&self.packets),
            bytes: read(&self.bytes),
            flags: [flags(0), flags(1)],
            first: self.first.get(),
            last: self.last.get(),
            initiator: u64::from(self.initiator.get()),
        }
    }
}

impl Lane {
    /// Whether a new flow may have an entry now: a token bucket that fills at `per_second`, and holds four seconds'
    /// worth: all flows are new to a sensor that starts. 0 is no limit.
    #[inline(always)]
    pub fn admits(&self, per_second: u32, now: u64) -> bool {
        const FLOW: u64 = 1_000_000_000;
        const FULL: u64 = 4 * 1_000_000_000;
        if per_second == 0 {
            return true;
        }
        let rate = per_second as u64;
        let elapsed = now.wrapping_sub(self.refilled.get());
        let mut tokens = self.tokens.get();
        if elapsed != 0 {
            let elapsed = if elapsed > FULL { FULL } else { elapsed };
            tokens += elapsed * rate;
            if tokens > rate * FULL {
                tokens = rate * FULL;
            }
            self.refilled.set(now);
        }
        let admitted = tokens >= FLOW;
        self.tokens.set(if admitted { tokens - FLOW } else { tokens });
        admitted
    }
}

impl Outer {
    /// Stores both addresses.
    #[inline(always)]
    pub fn set(&self, (a, b): ([u8; 16], [u8; 16])) {
        let ([a_high, a_low], [b_high, b_low]) = (native_halves(&a), native_halves(&b));
        self.words[0].set(a_high);
        self.words[1].set(a_low);
        self.words[2].set(b_high);
        self.words[3].set(b_low);
    }

    /// Both addresses.
    pub fn get(&self) -> ([u8; 16], [u8; 16]) {
        let address = |at: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&self.words[at].get().to_ne_bytes());
            bytes[8..].copy_from_slice(&self.words[at + 1].get().to_ne_bytes());
            bytes
        };
        (address(0), address(2))
    }
}

impl RareFlags {
    /// Adds a packet's flags.
    #[inline(always)]
    pub fn add(&self, side: usize, [_, syn_fin, rst_urg, ece_cwr]: [u64; 4]) {
        let side = side & 1;
        self.syn_fin[side].grow(syn_fin);
        self.rst_urg[side].grow(rst_urg);
        self.ece_cwr[side].grow(ece_cwr);
    }

    /// Sets all back to 0. User space does it as it frees the entry: it has them in its cache, where a flood's new flow
    /// would wait for memory.
    #[inline(always)]
    pub fn clear(&self) {
        for field in [&self.syn_fin, &self.rst_urg, &self.ece_cwr] {
            field[0].set(0);
            field[1].set(0);
        }
        self.listed[0].set(0);
        self.listed[1].set(0);
    }
}

/// Slots whose tag is `wanted` among four tags read as one word, in the highest bit of each: exact for the lowest one,
/// may also name higher ones wrongly ("Bit Twiddling Hacks", S. Anderson, zero in a word).
#[inline(always)]
pub fn matching(word: u64, wanted: u16) -> u64 {
    const ONES: u64 = 0x0001_0001_0001_0001;
    let differing = word ^ ONES.wrapping_mul(wanted as u64);
    differing.wrapping_sub(ONES) & !differing & (ONES << 15)
}

/// Which of the four is the lowest one in a result of [`matching`] that is not 0. A multiplication, since BPF has
/// no instruction that counts zeros.
#[inline(always)]
pub fn lowest(matching: u64) -> u32 {
    let bit = (matching & matching.wrapping_neg()) >> 15;
    (bit.wrapping_mul(0x0000_0001_0002_0003) >> 48) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_a_word_is_found() {
        for at in 0..4u32 {
            let word = 0x1111_2222_3333_4444u64 & !(0xffff << (16 * at)) | 7 << (16 * at);
            assert_eq!(lowest(matching(word, 7)), at);
        }
        assert_eq!(matching(0x1111_2222_3333_4444, 7), 0);
        assert_eq!(lowest(matching(0x1111_0000_3333_0000, FREE)), 0);
    }

    #[test]
    fn the_bucket_holds_four_seconds_and_fills_by_the_second() {
        const SECOND: u64 = 1_000_000_000;
        let lane = Lane::default();
        let admitted = |now| (0..1000).filter(|_| lane.admits(100, now)).count();
        assert_eq!(
            [100, 100, 101, 103, 200].map(|second| admitted(second * SECOND)),
            [400, 0, 100, 200, 400]
        );
        assert!((0..1000).all(|_| lane.admits(0, 200 * SECOND)), "0 is no limit");
    }

    #[test]
    fn places_of_similar_keys_spread() {
        let seed: Seed = core::array::from_fn(|at| 0x9e37_79b9u32.wrapping_mul(at as u32 + 3));
        let (buckets, flows) = (1024, 16_384u64);
        let mut filled = [0u32; 1024];
        let mut homes = [0u32; WAYS];
        for flow in 0..flows {
            let words = [
                0,
                0xffff_0000_0a00_0001u64.wrapping_add(flow << 40),
                0,
                0x0100_000a_ffff_0000,
                flow << 3,
                0,
            ];
            let place = place(&words, |at| seed[at]);
            filled[place.bucket as usize & (buckets - 1)] += 1;
            homes[place.home as usize] += 1;
            assert!(place.tag != FREE && place.tag != RETIRED && place.mark != 0);
        }
        // 16 on average: with a random function all stay below 40 with a chance of 1 - 1e-3.
        assert!(filled.iter().all(|&count| count < 42), "{:?}", filled.iter().max());
        assert!(homes.iter().all(|&count| (350..700).contains(&count)), "{homes:?}");
    }
}
