//! What was read of each entry of the flow table, kept beside the table: whoever reads it next, in this process or a later
//! one, knows what is new.
//!
//! A reading and its entry say together what nobody has drained yet, for every slot, taken or free: a slot that becomes free
//! has both set to 0.

use sensor_ebpf::counter::Count;
use sensor_ebpf::flow::{FlagWords, FlowStats};

use super::pins::About;
use super::xsk::Record;

/// Words of a [`Reading`].
pub(super) const WORDS: usize = 12;

/// The counters of an entry when it was read last; all 0 where the slot is free or new.
pub(super) type Reading = Record<WORDS>;

/// The counters. Times are not kept.
pub(super) fn get(reading: &Reading) -> FlowStats {
    let pair = |at: usize| [reading.get(at), reading.get(at + 1)];
    let flags = |side: usize| FlagWords {
        ack_psh: reading.get(4 + side),
        syn_fin: reading.get(6 + side),
        rst_urg: reading.get(8 + side),
        ece_cwr: reading.get(10 + side),
    };
    FlowStats { packets: pair(0), bytes: pair(2), flags: [flags(0), flags(1)], ..FlowStats::default() }
}

/// Notes what was read. A process that is killed half-way leaves a reading that is part old, part new: the next one
/// drains the difference to it, and nothing is counted twice or not at all.
pub(super) fn set(reading: &Reading, now: &FlowStats) {
    let [a, b] = &now.flags;
    let words: [u64; WORDS] = [
        now.packets[0],
        now.packets[1],
        now.bytes[0],
        now.bytes[1],
        a.ack_psh,
        b.ack_psh,
        a.syn_fin,
        b.syn_fin,
        a.rst_urg,
        b.rst_urg,
        a.ece_cwr,
        b.ece_cwr,
    ];
    for (at, word) in words.into_iter().enumerate() {
        reading.set(at, word);
    }
}

/// Notes that the slot is free.
pub(super) fn clear(reading: &Reading) {
    (0..WORDS).for_each(|at| reading.set(at, 0));
}

/// What was drained so far, by whichever process: of entries that are there, and of those that are free again.
pub(super) fn drained(about: &About, readings: &[Reading]) -> Count {
    readings.iter().fold(about.freed(), |sum, reading| Count {
        packets: sum.packets + reading.get(0) + reading.get(1),
        bytes: sum.bytes + reading.get(2) + reading.get(3),
    })
}

#[cfg(test)]
mod tests {
    use super::super::xsk::Mapped;
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    #[ignore = "needs root: cargo xtask test"]
    fn what_is_noted_is_read() {
        let map = Reading::array(2).unwrap();
        let readings: Mapped<Reading> = Mapped::new(map.fd().as_fd(), 2).unwrap();
        let (about, _map) = About::create().unwrap();
        let flags =
            |add: u64| FlagWords { ack_psh: add, syn_fin: add + 1, rst_urg: add + 2, ece_cwr: add + 3 };
        let now = FlowStats {
            packets: [5, 6],
            bytes: [700, 800],
            flags: [flags(10), flags(20)],
            ..FlowStats::default()
        };
        set(&readings[1], &now);
        assert_eq!(get(&readings[1]), now);
        assert_eq!(drained(&about, &readings), Count { packets: 11, bytes: 1500 });
        // Moved, then cut off before it was in force, then done again.
        about.free(1, Count { packets: 11, bytes: 1500 }, || clear(&readings[1]));
        assert_eq!(drained(&about, &readings), Count { packets: 11, bytes: 1500 });
        assert_eq!(about.pending(), None);
    }
}
