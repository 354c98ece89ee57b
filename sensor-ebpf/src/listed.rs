//! Where listed addresses may be: a bit for each part of the address space, so that few new flows walk a trie.
//!
//! A walk through a trie of a million networks takes a cache miss for each of some twenty nodes, for each of a flow's two
//! addresses. Most addresses are in parts where nothing is listed, and a bit says so.

use crate::shared::Shared;

/// Bits, a power of two: one for each /24 of IPv4. IPv6 shares them, by a hash of the first 32 bits.
const BITS: u32 = 1 << 24;
/// Leading bits of an IPv4 address, and of an IPv6 one, that name a bit.
pub const PART: [u8; 2] = [24, 32];
/// Bits of a [`Line`].
const LINE: u32 = 512;
/// Lines of each trie's bits.
pub const LINES: u32 = BITS / LINE;

/// A cache line of bits.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Line {
    /// The lowest bit is the first one.
    pub words: [Shared<u64>; 8],
}

const _: () = assert!(size_of::<Line>() * 8 == LINE as usize);

/// The bit of an address as two words in the order of the bytes in memory, IPv4 mapped: line, word and bit.
#[inline(always)]
pub fn place(address: [u64; 2]) -> (u32, u32, u32) {
    let (high, low) = (u64::from_be(address[0]), u64::from_be(address[1]));
    let bit = if high == 0 && low >> 32 == 0xffff {
        (low >> 8) as u32 & (BITS - 1)
    } else {
        // Fibonacci hashing: allocations of a registry differ in few bits.
        ((high >> 32) as u32).wrapping_mul(0x9e37_79b1) >> 8
    };
    (bit / LINE, bit % LINE / 64, bit % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_bit() {
        let of = |bytes: u128| {
            let bytes = bytes.to_be_bytes();
            let half = |at: usize| u64::from_ne_bytes(core::array::from_fn(|n| bytes[at + n]));
            place([half(0), half(8)])
        };
        let four = |address: u32| of(0xffff_0000_0000 | u128::from(address));
        assert_eq!(four(0xc000_0201), four(0xc000_02ff));
        assert_ne!(four(0xc000_0201), four(0xc000_0301));
        assert_eq!(four(0xffff_ffff), (LINES - 1, 7, 63));
        assert_eq!(of(0x2001_0db8 << 96), of(0x2001_0db8 << 96 | 7));
        assert_ne!(of(0x2001_0db8 << 96), of(0x2001_0db9 << 96));
    }
}
