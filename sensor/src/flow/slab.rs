//! A hash table with a hard limit, whose entries have a stable slot and can be visited in turn.
//!
//! Flows, pairs, services and hosts live in one each: none can grow without bound, and looking for what is old
//! costs a bounded amount of work each time.

use super::index::{Index, Key, Seed};

/// See the module.
pub struct Slab<K, V> {
    index: Index,
    slots: Vec<Option<(K, V)>>,
    free: Vec<u32>,
    limit: usize,
    cursor: usize,
    seed: Seed,
}

impl<K: Key, V> Slab<K, V> {
    /// Empty; never holds more than `limit` entries.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize - 1);
        let seed = Seed::default();
        Slab { index: Index::default(), slots: Vec::new(), free: Vec::new(), limit, cursor: 0, seed }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The slot of a key.
    pub fn find(&self, key: &K) -> Option<u32> {
        self.index.find(key.hash(&self.seed), |slot| holds(&self.slots, slot, key))
    }

    /// The slot of a key that was added if it was missing; `None` when the table is full. `guess` is where it was
    /// before: right most of the time, and then nothing is hashed.
    pub fn find_or_insert(&mut self, key: K, guess: u32, new: impl FnOnce() -> V) -> Option<u32> {
        if holds(&self.slots, guess, &key) {
            return Some(guess);
        }
        let hash = key.hash(&self.seed);
        let found = self.index.find(hash, |slot| holds(&self.slots, slot, &key));
        if found.is_some() || self.index.len() >= self.limit {
            return found;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[slot as usize] = Some((key, new()));
        self.index.insert(hash, slot);
        Some(slot)
    }

    /// The hash of a key, for the two below.
    pub fn hash(&self, key: &K) -> u64 {
        key.hash(&self.seed)
    }

    /// Loads where a lookup begins; the value means nothing.
    #[inline]
    pub fn touch_index(&self, hash: u64) -> u64 {
        self.index.touch(hash)
    }

    /// The slot that a lookup most probably finds.
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.index.guess(hash)
    }

    /// The key of a slot.
    pub fn key(&self, slot: u32) -> Option<&K> {
        self.slots.get(slot as usize)?.as_ref().map(|(key, _)| key)
    }

    /// The entry of a slot.
    pub fn get(&self, slot: u32) -> Option<&V> {
        self.slots.get(slot as usize)?.as_ref().map(|(_, value)| value)
    }

    /// The entry of a slot, to change.
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut V> {
        self.slots.get_mut(slot as usize)?.as_mut().map(|(_, value)| value)
    }

    /// The key and entry of a slot, the entry to change.
    pub fn entry_mut(&mut self, slot: u32) -> Option<(&K, &mut V)> {
        self.slots.get_mut(slot as usize)?.as_mut().map(|(key, value)| (&*key, value))
    }

    /// Takes an entry out.
    pub fn remove(&mut self, slot: u32) -> Option<(K, V)> {
        let (key, value) = self.slots.get_mut(slot as usize)?.take()?;
        self.index.remove(key.hash(&self.seed), slot);
        self.free.push(slot);
        Some((key, value))
    }

    /// Visits the next `budget` slots in turn and takes out the entries for which `old` holds.
    pub fn sweep(&mut self, budget: usize, mut old: impl FnMut(&K, &mut V) -> bool) {
        for _ in 0..budget.min(self.slots.len()) {
            if self.cursor >= self.slots.len() {
                self.cursor = 0;
            }
            let slot = self.cursor as u32;
            self.cursor += 1;
            let gone = self.slots[slot as usize].as_mut().map(|(key, value)| old(key, value));
            if gone == Some(true) {
                self.remove(slot);
            }
        }
    }

    /// Whether a new key finds no room.
    pub fn is_full(&self) -> bool {
        self.index.len() >= self.limit
    }

    /// Of the next `among` slots in turn, takes out the entry that is worth least; says whether there was one.
    pub fn make_room(&mut self, among: usize, worth: impl Fn(&V) -> f64) -> bool {
        let slots = self.slots.len();
        let turn = (0..among.min(slots)).map(|n| (self.cursor + n) % slots);
        let worths = turn.filter_map(|slot| self.slots[slot].as_ref().map(|(_, value)| (worth(value), slot)));
        let least = worths.min_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, slot)| slot);
        self.cursor = (self.cursor + among) % slots.max(1);
        least.is_some_and(|slot| self.remove(slot as u32).is_some())
    }

    /// All entries, in no order that means anything: sort before it matters.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().flatten().map(|(key, value)| (key, value))
    }
}

#[inline]
fn holds<K: Eq, V>(slots: &[Option<(K, V)>], slot: u32, key: &K) -> bool {
    matches!(slots.get(slot as usize), Some(Some((held, _))) if held == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Key for u32 {
        fn hash(&self, seed: &Seed) -> u64 {
            seed.words(&[], u64::from(*self))
        }
    }

    proptest::proptest! {
        #[test]
        fn behaves_like_a_map_with_a_limit(keys in proptest::collection::vec(0u32..40, 0..300)) {
            let mut slab = Slab::new(16);
            let mut map = std::collections::BTreeMap::new();
            for (turn, key) in keys.into_iter().enumerate() {
                if turn % 3 == 2 {
                    let slot = slab.find(&key);
                    proptest::prop_assert_eq!(slot.is_some(), map.remove(&key).is_some());
                    if let Some(slot) = slot { slab.remove(slot); }
                } else if slab.find_or_insert(key, key % 16, || turn).is_some() {
                    map.entry(key).or_insert(turn);
                } else {
                    proptest::prop_assert!(map.len() == 16 && !map.contains_key(&key));
                }
                proptest::prop_assert_eq!(slab.len(), map.len());
            }
            let mut held: Vec<_> = slab.iter().map(|(k, v)| (*k, *v)).collect();
            held.sort_unstable();
            proptest::prop_assert_eq!(held, map.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_least_of_the_next_makes_room() {
        let mut slab = Slab::new(16);
        for key in 0..16u32 {
            slab.find_or_insert(key, 0, || f64::from(key + 1) % 8.0);
        }
        assert!(slab.is_full() && slab.make_room(8, |value| *value) && slab.make_room(8, |value| *value));
        assert!(slab.find(&7).is_none() && slab.find(&15).is_none() && slab.len() == 14);
        assert!(!Slab::<u32, ()>::new(1).make_room(8, |()| 0.0));
    }

    #[test]
    fn sweeping_visits_everything_in_turn() {
        let mut slab = Slab::new(100);
        for key in 0..100u32 {
            slab.find_or_insert(key, 0, || ());
        }
        for _ in 0..10 {
            slab.sweep(10, |key, ()| key % 2 == 0);
        }
        assert_eq!(slab.len(), 50);
    }
}
