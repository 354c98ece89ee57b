//! From keys to slots: an open-addressed table that holds hashes and slots, not keys.
//!
//! One cache line answers most lookups, and 32 bits of the hash in an entry spare the look at a key that is another.
//! Hashes are seeded anew in each process, so that nobody can make traffic whose keys collide.

use hashbrown::DefaultHashBuilder;
use sensor_ebpf::flow::FlowKey;
use std::hash::{BuildHasher, Hasher};

/// Seeds hashes.
#[derive(Clone, Debug, Default)]
pub struct Seed(DefaultHashBuilder);

/// What can be looked up by its hash.
pub trait Key: Copy + Eq {
    /// The hash; all 64 bits are well mixed.
    fn hash(&self, seed: &Seed) -> u64;
}

impl Seed {
    /// Hashes words.
    #[inline]
    pub fn words(&self, wide: &[[u8; 16]], narrow: u64) -> u64 {
        let mut hasher = self.0.build_hasher();
        for word in wide {
            hasher.write_u128(u128::from_ne_bytes(*word));
        }
        hasher.write_u64(narrow);
        hasher.finish()
    }
}

impl Key for FlowKey {
    #[inline]
    fn hash(&self, seed: &Seed) -> u64 {
        let mut hasher = seed.0.build_hasher();
        let [a_high, a_low, b_high, b_low, rest, tunnel] = self.words();
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        hasher.write_u128(wide(a_high, a_low));
        hasher.write_u128(wide(b_high, b_low));
        hasher.write_u64(rest);
        // Most flows are in none: they need not pay for it.
        if tunnel != 0 {
            hasher.write_u64(tunnel);
        }
        hasher.finish()
    }
}

impl Key for [u8; 16] {
    #[inline]
    fn hash(&self, seed: &Seed) -> u64 {
        seed.words(&[*self], 0)
    }
}

/// No entry: slots are held plus one.
const EMPTY: u64 = 0;
const LEAST: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The high half of the hash, and the slot plus one.
    entries: Vec<u64>,
    len: usize,
}

impl Index {
    /// Entries held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot with this hash for which `is` holds.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len().wrapping_sub(1);
        let mut at = home(hash) & mask;
        // Never full, so there is an empty entry to stop at; without entries `get` says so.
        while let Some(&entry) = self.entries.get(at) {
            if entry == EMPTY {
                return None;
            }
            if entry >> 32 == hash >> 32 {
                let slot = entry as u32 - 1;
                if is(slot) {
                    return Some(slot);
                }
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Loads the place where a lookup begins; the value means nothing.
    #[inline]
    pub fn touch(&self, hash: u64) -> u64 {
        self.entries.get(home(hash) & self.entries.len().wrapping_sub(1)).copied().unwrap_or_default()
    }

    /// The slot that a lookup most probably finds.
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds a slot that is not in the table. `slot` is below 2^32 - 1.
    pub fn insert(&mut self, hash: u64, slot: u32) {
        // At most 5 of 8 in use: a lookup then takes 1.8 steps where it finds, 4 where it does not (Knuth, 6.4).
        if (self.len + 1) * 8 > self.entries.len() * 5 {
            self.grow();
        }
        self.len += 1;
        place(&mut self.entries, (hash >> 32 << 32) | u64::from(slot + 1));
    }

    /// Takes out a slot that was inserted with this hash.
    pub fn remove(&mut self, hash: u64, slot: u32) {
        let mask = self.entries.len().wrapping_sub(1);
        let mut at = home(hash) & mask;
        loop {
            match self.entries.get(at) {
                None | Some(&EMPTY) => return,
                Some(&entry) if entry as u32 == slot + 1 => break,
                Some(_) => at = (at + 1) & mask,
            }
        }
        self.len -= 1;
        // Entries behind move up, unless that would put them before their home (Knuth, 6.4, algorithm R).
        let mut hole = at;
        loop {
            at = (at + 1) & mask;
            let entry = self.entries[at];
            if entry == EMPTY {
                break;
            }
            let from_home = at.wrapping_sub(home(entry)) & mask;
            if from_home >= (at.wrapping_sub(hole) & mask) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = vec![EMPTY; (self.entries.len() * 2).max(LEAST)];
        for entry in self.entries.iter().filter(|entry| **entry != EMPTY) {
            place(&mut larger, *entry);
        }
        self.entries = larger;
    }
}

fn place(entries: &mut [u64], entry: u64) {
    let mask = entries.len() - 1;
    let mut at = home(entry) & mask;
    while entries[at] != EMPTY {
        at = (at + 1) & mask;
    }
    entries[at] = entry;
}

/// Where an entry would be in a table without others, before the mask. Only bits that the entry keeps.
#[inline]
fn home(hash: u64) -> usize {
    (hash >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn behaves_like_a_map(turns in proptest::collection::vec((0u32..60, 0u64..9), 0..400)) {
            let mut index = Index::default();
            let mut held = std::collections::BTreeMap::new();
            // Few homes, so that chains are long and wrap around.
            let hash = |slot: u32, home: u64| (home.wrapping_mul(0x3fff_fff1) << 32) | u64::from(slot);
            for (slot, home) in turns {
                match held.remove(&slot) {
                    Some(home) => index.remove(hash(slot, home), slot),
                    None => {
                        held.insert(slot, home);
                        index.insert(hash(slot, home), slot);
                    }
                }
                proptest::prop_assert_eq!(index.len(), held.len());
                for (&slot, &home) in &held {
                    proptest::prop_assert_eq!(index.find(hash(slot, home), |other| other == slot), Some(slot));
                }
                for slot in (0..60).filter(|slot| !held.contains_key(slot)) {
                    for home in 0..9 {
                        proptest::prop_assert_eq!(index.find(hash(slot, home), |other| other == slot), None);
                    }
                }
            }
        }
    }
}
