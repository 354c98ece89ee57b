//! How long things take: recorded by the pipeline in full resolution, exported in a few buckets.

use hdrhistogram::Histogram;

/// Upper bounds of the exported buckets, seconds. The promise is one second from packet to score, so the
/// bounds are densest around it.
pub const BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0];
/// Nanoseconds; longer ones are counted as this.
const LONGEST: u64 = 3_600_000_000_000;

/// Durations in nanoseconds, to two digits, up to an hour. Empty it takes no room.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    histogram: Option<Histogram<u64>>,
    /// Nanoseconds, exact.
    sum: u64,
}

impl Latency {
    /// Records that something took `nanoseconds`.
    pub fn record(&mut self, nanoseconds: u64) {
        let value = nanoseconds.min(LONGEST);
        let histogram = match &mut self.histogram {
            Some(histogram) => histogram,
            // The bounds are constants that the constructor accepts.
            None => match Histogram::new_with_bounds(1_000, LONGEST, 2) {
                Ok(empty) => self.histogram.insert(empty),
                Err(_) => return,
            },
        };
        histogram.saturating_record(value);
        self.sum = self.sum.saturating_add(value);
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// Their sum, seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum as f64 / 1e9
    }

    /// The duration that the share `quantile` (0 to 1) stayed below, nanoseconds; 0 when there is none.
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.histogram.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile))
    }

    /// For each of [`BUCKETS`], how many took at most that long.
    pub fn cumulative(&self) -> [u64; BUCKETS.len()] {
        BUCKETS.map(|seconds| {
            self.histogram.as_ref().map_or(0, |histogram| histogram.count_between(0, (seconds * 1e9) as u64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_only_grow_and_end_at_the_count() {
        let mut latency = Latency::default();
        assert_eq!((latency.count(), latency.cumulative()), (0, [0; BUCKETS.len()]));
        for millis in [0, 3, 300, 900, 9_000, 100_000_000] {
            latency.record(millis * 1_000_000);
        }
        let buckets = latency.cumulative();
        assert_eq!(latency.count(), 6);
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert_eq!((buckets[0], buckets[1], buckets[9], buckets[13]), (1, 2, 4, 5));
        assert!((latency.sum_seconds() - 3610.203).abs() < 1e-6);
    }
}
