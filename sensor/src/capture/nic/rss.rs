//! Receive-side scaling that sends both directions of a connection to the same queue.
//!
//! A Toeplitz hash with a key that repeats every 16 bits gives the same value when source and destination change
//! places (Woo and Park, "Scalable TCP session monitoring with symmetric receive-side scaling", 2012).

use std::io;

use super::super::xsk::ioctl::{self, RssHash};

/// RXH_XFRM_SYM_XOR | RXH_XFRM_SYM_OR_XOR: the NIC itself makes the hash symmetric (Linux 6.8).
const SYMMETRIC: u8 = 1 | 2;
const SYMMETRIC_XOR: u8 = 1;
const PATTERN: [u8; 2] = [0x6d, 0x5a];

/// The hash of an interface; an error where the driver does not tell.
pub(super) fn hash(interface: &str) -> io::Result<RssHash> {
    ioctl::rss_hash(interface)
}

/// Sets it.
pub(super) fn set(interface: &str, hash: &RssHash) -> io::Result<()> {
    ioctl::set_rss_hash(interface, hash)
}

/// Whether both directions of a connection come to one queue; an error where the driver does not tell.
pub fn symmetric(interface: &str) -> io::Result<bool> {
    hash(interface).map(|hash| is_symmetric(&hash))
}

/// Whether both directions of a connection have the same hash.
pub(super) fn is_symmetric(hash: &RssHash) -> bool {
    let repeats = hash.key.len() >= 2 && hash.key.chunks(2).all(|pair| hash.key.starts_with(pair));
    hash.input_xfrm & SYMMETRIC != 0 || repeats
}

/// What to try in place of a hash that is not symmetric, the best first.
pub(super) fn candidates(now: &RssHash) -> [RssHash; 2] {
    let key = PATTERN.iter().copied().cycle().take(now.key.len()).collect();
    [RssHash { key: Vec::new(), input_xfrm: SYMMETRIC_XOR }, RssHash { key, input_xfrm: now.input_xfrm }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetry() {
        let hash = |key: &[u8], input_xfrm| RssHash { key: key.to_vec(), input_xfrm };
        assert!(!is_symmetric(&hash(&[], 0)));
        assert!(!is_symmetric(&hash(&[0x6d, 0x5a, 0x56, 0xda], 0)), "Microsoft's key");
        assert!(is_symmetric(&hash(&[0x6d, 0x5a, 0x56, 0xda], SYMMETRIC_XOR)));
        let [xor, key] = candidates(&hash(&[1; 40], 0));
        assert!(is_symmetric(&xor) && is_symmetric(&key));
        assert_eq!(key.key.len(), 40);
    }
}
