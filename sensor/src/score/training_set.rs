//! The rows the model learns from: a bounded sample of what looked ordinary, in which no source has too large a part.

use super::random::Random;
use hashbrown::HashMap;

/// See the module.
pub struct TrainingSet {
    rows: Vec<f32>,
    sources: Vec<u64>,
    width: usize,
    capacity: usize,
    in_window: HashMap<u64, usize>,
    drawn: HashMap<u64, usize>,
    batch: Vec<f32>,
}

impl TrainingSet {
    /// Empty; holds up to `capacity` rows of `width` features.
    pub fn new(width: usize, capacity: usize) -> TrainingSet {
        TrainingSet {
            rows: Vec::new(),
            sources: Vec::new(),
            width,
            capacity,
            in_window: HashMap::new(),
            drawn: HashMap::new(),
            batch: Vec::new(),
        }
    }

    /// Rows held.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// A new window begins: every source may add rows again.
    pub fn next_window(&mut self) {
        self.in_window.clear();
    }

    /// Offers a row of a source (by hash). Returns whether it was taken: a source adds `limit` rows per window.
    pub fn offer(
        &mut self,
        row: impl Iterator<Item = f32>,
        source: u64,
        limit: usize,
        random: &mut Random,
    ) -> bool {
        let count = self.in_window.entry(source).or_insert(0);
        if *count >= limit {
            return false;
        }
        *count += 1;
        if self.sources.len() < self.capacity {
            self.rows.extend(row);
            self.sources.push(source);
        } else {
            // Any old row makes room, so that the set slowly follows the traffic.
            let place = random.below(self.capacity);
            let old = &mut self.rows[place * self.width..(place + 1) * self.width];
            old.iter_mut().zip(row).for_each(|(old, new)| *old = new);
            self.sources[place] = source;
        }
        true
    }

    /// A batch of up to `count` rows drawn at random, of which a source has at most a quarter (while there are
    /// others).
    pub fn batch(&mut self, count: usize, random: &mut Random) -> &[f32] {
        let most = (count / 4).max(1);
        let TrainingSet { batch, drawn, .. } = self;
        batch.clear();
        drawn.clear();
        // Twice the draws, so that a batch is nearly full even when a source has most of the rows.
        for _ in 0..count * 2 {
            if self.sources.is_empty() || batch.len() >= count * self.width {
                break;
            }
            let place = random.below(self.sources.len());
            let part = drawn.entry(self.sources[place]).or_insert(0);
            if *part < most {
                *part += 1;
                batch.extend_from_slice(&self.rows[place * self.width..(place + 1) * self.width]);
            }
        }
        batch
    }

    /// All rows.
    pub fn all(&self) -> impl Iterator<Item = &[f32]> {
        self.rows.chunks_exact(self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_owns_a_batch() {
        let mut random = Random::new(1);
        let mut set = TrainingSet::new(1, 1000);
        for window in 0..20 {
            set.next_window();
            for n in 0..100 {
                let taken = set.offer([1.0].into_iter(), 7, 16, &mut random);
                assert_eq!(taken, n < 16, "window {window}");
            }
            set.offer([0.0].into_iter(), 100 + window, 16, &mut random);
        }
        let batch = set.batch(64, &mut random);
        assert!(batch.iter().filter(|&&v| v == 1.0).count() <= 16, "{batch:?}");
    }
}
