//! Where the packets of flows that were not admitted come from: exact in total, by source prefix as a sketch.

use crate::shared::Shared;

/// Cells of a lane's sketch.
pub const CELLS: usize = 4096;

/// A cell of an MV-Sketch (Tang, Huang, Lee, INFOCOM 2019): all packets of the prefixes that share it, and by majority
/// vote (Boyer and Moore, 1991) the one of them that sends most.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Cell {
    /// Packets.
    pub packets: Shared<u64>,
    /// Bytes.
    pub bytes: Shared<u64>,
    /// The prefix that leads the vote, as [`prefix`] gives it.
    pub candidate: Shared<u64>,
    /// By how much it leads.
    pub votes: Shared<u64>,
}

const _: () = assert!(size_of::<Cell>() == 32);

/// The /24 of an IPv4 address, the /48 of an IPv6 address: the most one customer of a provider usually has.
/// `high` and `low` are the words of the (mapped) address in native order of its bytes.
#[inline(always)]
pub fn prefix(high: u64, low: u64) -> u64 {
    let (high, low) = (u64::from_be(high), u64::from_be(low));
    if high == 0 && low >> 32 == 0xffff {
        // Marked by bits that a /48 does not have.
        ((low as u32 >> 8) as u64) << 16 | 4
    } else {
        (high >> 16) << 16 | 6
    }
}

/// The cell of a prefix; `seed` keeps others from choosing it.
#[inline(always)]
pub fn cell(prefix: u64, seed: u32) -> u32 {
    let mixed = (prefix ^ (seed as u64) << 32 ^ seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 52) as u32
}

const _: () = assert!(CELLS == 1 << 12, "cell() takes 12 bits");

impl Cell {
    /// Counts a packet.
    #[inline(always)]
    pub fn add(&self, prefix: u64, bytes: u64) {
        self.packets.grow(1);
        self.bytes.grow(bytes);
        let votes = self.votes.get();
        if self.candidate.get() == prefix {
            self.votes.set(votes + 1);
        } else if votes == 0 {
            self.candidate.set(prefix);
            self.votes.set(1);
        } else {
            self.votes.set(votes - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: [u8; 16]) -> u64 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
        prefix(u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p]))
    }

    #[test]
    fn prefixes_of_both_families() {
        let four = |last| of(crate::parse::mapped([192, 0, 2, last]));
        assert_eq!(four(1), four(200));
        assert_ne!(four(1), of(crate::parse::mapped([192, 0, 3, 1])));
        let mut six = [0x20, 1, 0xd, 0xb8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let first = of(six);
        six[6] = 77;
        assert_eq!(of(six), first);
        six[5] = 9;
        assert_ne!(of(six), first);
    }

    #[test]
    fn the_heavy_prefix_wins_its_cell() {
        let cell = Cell::default();
        for turn in 0..100 {
            cell.add(if turn % 3 == 0 { turn } else { 1_000 }, 60);
        }
        assert_eq!(cell.candidate.get(), 1_000);
        assert_eq!((cell.packets.get(), cell.bytes.get()), (100, 6_000));
    }
}
