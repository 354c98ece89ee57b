//! What a host did in the open window.

use super::facts::HostFacts;
use super::majority::Majority;
use super::pool::{NONE, Pool};
use super::sketch::{Distinct, Spread};
use super::waiting::Waiting;

/// A host's part of the open window.
#[derive(Clone)]
pub(super) struct Sums {
    /// Where the host is remembered.
    pub(super) slot: u32,
    pub(super) facts: HostFacts,
    pub(super) peers: Values,
    pub(super) ports: Values,
    pub(super) port_spread: Buckets,
    pub(super) target: Majority<[u8; 16]>,
    pub(super) target_port: Majority<u16>,
    pub(super) failing_peers: Values,
    pub(super) tried_ports: Values,
    pub(super) sources: Values,
    pub(super) failing_sources: Values,
    pub(super) failing_ports: Values,
    pub(super) unasked_sources: Values,
    pub(super) waiting: Waiting,
    pub(super) source: Majority<[u8; 16]>,
    pub(super) port: Majority<u16>,
}

impl Sums {
    pub(super) fn new(slot: u32, address: [u8; 16]) -> Sums {
        Sums {
            slot,
            facts: HostFacts { address, seen: [u64::MAX, 0], ..HostFacts::default() },
            peers: Values::default(),
            ports: Values::default(),
            port_spread: Buckets::default(),
            target: Majority::default(),
            target_port: Majority::default(),
            failing_peers: Values::default(),
            tried_ports: Values::default(),
            sources: Values::default(),
            failing_sources: Values::default(),
            failing_ports: Values::default(),
            unasked_sources: Values::default(),
            waiting: Waiting::default(),
            source: Majority::default(),
            port: Majority::default(),
        }
    }

    /// The facts that come of sketches, for a window of so many seconds.
    pub(super) fn finish(mut self, seconds: f64, sketches: &Sketches) -> (u32, HostFacts) {
        let count = |values: Values| values.count(&sketches.distinct);
        let facts = &mut self.facts;
        facts.seconds = seconds;
        facts.one_sided_out += self.waiting.never(0);
        facts.one_sided_in += self.waiting.never(1);
        facts.peers = count(self.peers);
        facts.ports = count(self.ports);
        facts.port_entropy = self.port_spread.entropy(&sketches.spread);
        facts.target = self.target.value();
        facts.target_port = self.target_port.value();
        facts.failing_peers = count(self.failing_peers);
        facts.tried_ports = count(self.tried_ports);
        facts.sources = count(self.sources);
        facts.failing_sources = count(self.failing_sources);
        facts.failing_ports = count(self.failing_ports);
        facts.unasked_sources = count(self.unasked_sources);
        facts.source = self.source.value();
        facts.port = self.port.value();
        (self.slot, self.facts)
    }
}

/// The sketches of a window.
#[derive(Default)]
pub(super) struct Sketches {
    pub(super) distinct: Pool<Distinct>,
    pub(super) spread: Pool<Spread>,
}

impl Sketches {
    pub(super) fn clear(&mut self) {
        self.distinct.clear();
        self.spread.clear();
    }
}

/// Distinct values as [`Distinct`] counts them. Of most hosts there is one in a window: then its bit is held, and the
/// sketch is made with the second.
#[derive(Clone, Copy)]
pub(super) struct Values {
    first: Option<u16>,
    sketch: u32,
}

impl Default for Values {
    fn default() -> Values {
        Values { first: None, sketch: NONE }
    }
}

impl Values {
    /// Adds a value by its hash.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, pool: &mut Pool<Distinct>) {
        let bit = Distinct::bit(hash);
        match self.first {
            None => self.first = Some(bit),
            Some(first) if first == bit && self.sketch == NONE => {}
            Some(first) => {
                let sketch = pool.get_or_add(&mut self.sketch);
                sketch.set(first);
                sketch.set(bit);
            }
        }
    }

    fn count(self, pool: &Pool<Distinct>) -> f64 {
        match (pool.get(self.sketch), self.first) {
            (Some(sketch), _) => sketch.count(),
            (None, Some(_)) => Distinct::ONE,
            (None, None) => 0.0,
        }
    }
}

/// How values spread over the buckets of [`Spread`], likewise made with the second bucket.
#[derive(Clone, Copy)]
pub(super) struct Buckets {
    first: Option<u8>,
    values: u32,
    sketch: u32,
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets { first: None, values: 0, sketch: NONE }
    }
}

impl Buckets {
    /// Adds a value by its hash.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, pool: &mut Pool<Spread>) {
        let bucket = Spread::bucket(hash);
        let first = *self.first.get_or_insert(bucket);
        if self.sketch == NONE {
            if bucket == first {
                self.values = self.values.saturating_add(1);
                return;
            }
            pool.get_or_add(&mut self.sketch).put(first, self.values);
        }
        pool.get_or_add(&mut self.sketch).put(bucket, 1);
    }

    fn entropy(self, pool: &Pool<Spread>) -> f64 {
        pool.get(self.sketch).map_or(0.0, Spread::entropy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sketch::mix;
    use super::*;

    #[test]
    fn they_say_what_the_sketches_would() {
        for distinct in [0u64, 1, 2, 3, 50] {
            let mut sketches = Sketches::default();
            let (mut values, mut buckets) = (Values::default(), Buckets::default());
            let (mut plain, mut spread) = (Distinct::default(), Spread::default());
            for hash in (0..distinct).chain(0..distinct).map(|value| mix(3, value)) {
                values.add(hash, &mut sketches.distinct);
                buckets.add(hash, &mut sketches.spread);
                plain.set(Distinct::bit(hash));
                spread.put(Spread::bucket(hash), 1);
            }
            assert_eq!(values.count(&sketches.distinct), plain.count(), "{distinct}");
            assert_eq!(buckets.entropy(&sketches.spread), spread.entropy(), "{distinct}");
        }
    }
}
