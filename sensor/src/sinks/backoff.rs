//! How long to wait between attempts.

use std::time::Duration;

/// Waits do not grow beyond this: after an outage the first attempt is no later than that, and a quarter of it.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Doubles with each attempt; between 75 and 125 % of that by the message's id, so that sensors do not march in step.
pub(super) fn backoff(first: Duration, attempt: u32, id: i64) -> Duration {
    let doubled = first.saturating_mul(1 << attempt.min(16)).min(LONGEST_BACKOFF);
    // FNV-1a.
    let bytes = id.to_le_bytes().into_iter().chain([attempt as u8]);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    doubled.mul_f64(0.75 + (hash >> 48) as f64 / f64::from(u16::MAX) / 2.0)
}

/// Of a difference of two times; nothing if it is negative.
pub(super) fn nanoseconds(number: i64) -> Duration {
    Duration::from_nanos(number.max(0).cast_unsigned())
}

/// For a time of the store.
pub(super) fn as_nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn waits_grow_within_bounds_and_are_the_same_each_time() {
        for (attempt, seconds) in [(0, 1.0), (1, 2.0), (2, 4.0), (10, 60.0), (99, 60.0)] {
            let wait = backoff(Duration::from_secs(1), attempt, 7);
            assert!((seconds * 0.749..=seconds * 1.251).contains(&wait.as_secs_f64()), "{attempt}: {wait:?}");
            assert_eq!(wait, backoff(Duration::from_secs(1), attempt, 7));
        }
        let ids: BTreeSet<_> = (0..20).map(|n| backoff(Duration::from_secs(1), 0, n)).collect();
        assert!(ids.len() > 10);
    }
}
