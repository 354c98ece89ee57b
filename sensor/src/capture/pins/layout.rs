//! How the records in the kernel's maps are laid out, in words that lie beside them: so a sensor of another version,
//! older or newer, can read what this one left there.

use std::mem::offset_of;

use sensor_ebpf::control::Control;
use sensor_ebpf::counter::{Count, REASONS, Totals};
use sensor_ebpf::sketch::{CELLS, Cell};
use sensor_ebpf::table::{Bucket, Entry, LOG_LINE, Lane, LogLine, Outer, RareFlags, WAYS};

/// To be raised when the meaning of a record changes and its size does not: another hash, another rule for tags.
const MEANING: u64 = 2;

/// How keys are made of packets: flows under other keys cannot be joined with ours.
const KEY_FORMAT: u64 = 1;

/// Words of a [`Layout`].
pub(super) const WORDS: usize = 24;

/// Where things are, offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of everything that must agree before the maps can be used as they are.
    pub(super) hash: u64,
    pub(super) key_format: u64,
    pub(super) reasons: u64,
    /// In an entry: key, packets, bytes, ACK and PSH, first, last, initiator.
    pub(super) entry: [u64; 7],
    /// In the rare flags of an entry: SYN and FIN, RST and URG, ECE and CWR.
    pub(super) rare: [u64; 3],
    /// In a CPU's totals: seen, counted, overflow (three), sampled, lost (three), not counted.
    pub(super) totals: [u64; 10],
}

/// The layout of this version.
pub(super) const OURS: Layout = Layout {
    hash: hash(),
    key_format: KEY_FORMAT,
    reasons: REASONS as u64,
    entry: [
        offset_of!(Entry, key) as u64,
        offset_of!(Entry, packets) as u64,
        offset_of!(Entry, bytes) as u64,
        offset_of!(Entry, ack_psh) as u64,
        offset_of!(Entry, first) as u64,
        offset_of!(Entry, last) as u64,
        offset_of!(Entry, initiator) as u64,
    ],
    rare: [
        offset_of!(RareFlags, syn_fin) as u64,
        offset_of!(RareFlags, rst_urg) as u64,
        offset_of!(RareFlags, ece_cwr) as u64,
    ],
    totals: [
        offset_of!(Totals, seen) as u64,
        offset_of!(Totals, counted) as u64,
        offset_of!(Totals, overflow_table_full) as u64,
        offset_of!(Totals, overflow_not_admitted) as u64,
        offset_of!(Totals, overflow_no_lane) as u64,
        offset_of!(Totals, sampled) as u64,
        offset_of!(Totals, lost_no_socket) as u64,
        offset_of!(Totals, lost_ringbuf_full) as u64,
        offset_of!(Totals, lost_no_headroom) as u64,
        offset_of!(Totals, not_counted) as u64,
    ],
};

/// FNV-1a over sizes, offsets and rules.
const fn hash() -> u64 {
    let facts = [
        MEANING,
        KEY_FORMAT,
        REASONS as u64,
        WAYS as u64,
        LOG_LINE as u64,
        CELLS as u64,
        size_of::<Bucket>() as u64,
        size_of::<Entry>() as u64,
        size_of::<RareFlags>() as u64,
        size_of::<Outer>() as u64,
        size_of::<LogLine>() as u64,
        size_of::<Lane>() as u64,
        size_of::<Cell>() as u64,
        size_of::<Totals>() as u64,
        size_of::<Control>() as u64,
        offset_of!(Entry, mark) as u64,
        offset_of!(Entry, epoch) as u64,
        offset_of!(Entry, packets) as u64,
        offset_of!(Entry, last) as u64,
        offset_of!(Lane, noted) as u64,
        offset_of!(Control, epoch) as u64,
        offset_of!(Totals, seen) as u64,
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut at = 0;
    while at < facts.len() {
        hash = (hash ^ facts[at]).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

impl Layout {
    /// As words, to be kept.
    pub(super) fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        let all = [self.hash, self.key_format, self.reasons].into_iter();
        let all = all.chain(self.entry).chain(self.rare).chain(self.totals);
        for (word, value) in words.iter_mut().zip(all) {
            *word = value;
        }
        words
    }

    /// From words that were kept.
    pub(super) fn from_words(words: &[u64; WORDS]) -> Layout {
        Layout {
            hash: words[0],
            key_format: words[1],
            reasons: words[2],
            entry: std::array::from_fn(|at| words[3 + at]),
            rare: std::array::from_fn(|at| words[10 + at]),
            totals: std::array::from_fn(|at| words[13 + at]),
        }
    }

    /// Whether flows under its keys are flows of ours.
    pub(super) fn knows_our_keys(&self) -> bool {
        self.key_format == KEY_FORMAT
    }

    /// One CPU's totals. Reasons that this version does not know are taken for the last one.
    pub(super) fn totals(&self, value: &[u8]) -> Totals {
        let word = |at: u64| read(value, at);
        let count = |at: u64| Count { packets: word(at), bytes: word(at + 8) };
        let [seen, counted, full, not_admitted, no_lane, sampled, socket, ringbuf, headroom, not_counted] =
            self.totals;
        let mut totals = Totals {
            seen: count(seen),
            counted: count(counted),
            overflow_table_full: count(full),
            overflow_not_admitted: count(not_admitted),
            overflow_no_lane: count(no_lane),
            sampled: word(sampled),
            lost_no_socket: word(socket),
            lost_ringbuf_full: word(ringbuf),
            lost_no_headroom: word(headroom),
            ..Totals::default()
        };
        for reason in 0..self.reasons.min(MOST_REASONS) {
            let (at, found) = ((reason as usize).min(REASONS - 1), count(not_counted + 16 * reason));
            totals.not_counted[at].packets += found.packets;
            totals.not_counted[at].bytes += found.bytes;
        }
        totals
    }
}

/// No version has more reasons.
pub(super) const MOST_REASONS: u64 = 64;

/// The word at an offset; 0 beyond the end.
fn read(value: &[u8], at: u64) -> u64 {
    let bytes = value.get(at as usize..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, records have another layout than before, and sensors will drain each other's: write the new number here.
    /// If it does not fail although records mean something else now, raise `MEANING`.
    #[test]
    fn the_layout_is_known() {
        assert_eq!(OURS.hash, 0x6420_4721_a5e7_4000, "{:#x}", OURS.hash);
    }

    #[test]
    fn words_and_back() {
        assert_eq!(Layout::from_words(&OURS.words()), OURS);
    }

    #[test]
    fn totals_of_other_versions() {
        // Two reasons more, and everything four words further on.
        let mut other = OURS;
        other.reasons += 2;
        other.totals = other.totals.map(|at| at + 32);
        other.totals[..9].iter_mut().for_each(|at| *at += 32);
        let mut value = vec![0; size_of::<Totals>() + 64];
        let mut set = |at: u64, word: u64| {
            value[at as usize..at as usize + 8].copy_from_slice(&word.to_ne_bytes());
        };
        set(other.totals[0], 100);
        set(other.totals[9] + 16, 7);
        set(other.totals[9] + 16 * (REASONS as u64 + 1), 5);
        set(other.totals[5], 9);
        let totals = other.totals(&value);
        assert_eq!((totals.seen.packets, totals.sampled), (100, 9));
        assert_eq!((totals.not_counted[1].packets, totals.not_counted_total().packets), (7, 12));
        assert_eq!(OURS.totals(&[]), Totals::default(), "a short value is no panic");
    }
}
