//! Whether a value is new, for a bounded time and in a fixed size.

use crate::features::sketch::Distinct;

/// Values are remembered for one to two of these, nanoseconds.
const KEPT: u64 = 600 * crate::flow::SECOND;
/// Or until so many bits are set, so that new values are still told from old ones.
const FULL: u32 = 200;

/// Two bitmaps: of now, and of before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rolling {
    sets: [Distinct; 2],
    since: u64,
}

impl Rolling {
    /// Adds a value by its hash. 0 if it is known; else for how many new values it stands: the inverse of the chance
    /// that a new one would have been told from the old ones (Cohen, "All-Distances Sketches, Revisited: HIP Estimators",
    /// PODS 2014), so that the sum over all is right however full the bitmaps are.
    pub fn add(&mut self, hash: u64, now: u64) -> f32 {
        let age = now.saturating_sub(self.since);
        if age > KEPT || self.sets[0].ones() >= FULL {
            let before = if age > 2 * KEPT { Distinct::default() } else { self.sets[0] };
            self.sets = [Distinct::default(), before];
            self.since = now;
        }
        let both = self.sets[0].union(&self.sets[1]);
        self.sets[0].add(hash);
        if both.has(hash) { 0.0 } else { 1.0 / (1.0 - both.ones() as f32 / Distinct::BITS as f32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::sketch::mix;

    #[test]
    fn new_values_are_counted_once_and_in_any_number() {
        for distinct in [10u64, 100, 1000, 20_000] {
            let mut rolling = Rolling::default();
            let sum: f32 = (0..distinct).map(|n| rolling.add(mix(1, n), 5) + rolling.add(mix(1, n), 6)).sum();
            assert!((sum / distinct as f32 - 1.0).abs() < 0.12, "{distinct}: {sum}");
        }
    }

    #[test]
    fn what_was_silent_for_long_is_new_again() {
        let mut rolling = Rolling::default();
        assert_eq!(rolling.add(9, 1), 1.0);
        assert_eq!(rolling.add(9, KEPT + 10), 0.0);
        assert_eq!(rolling.add(9, 4 * KEPT), 1.0);
    }
}
