//! Small fixed-size summaries: how many distinct values, and how evenly they spread.

/// Mixes a value with a seed (splitmix64, Steele 2014): the same in every run.
pub fn mix(seed: u64, value: u64) -> u64 {
    let mut z = value.wrapping_add(seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Mixes an address with a seed.
pub fn mix_address(seed: u64, address: &[u8; 16]) -> u64 {
    let value = u128::from_be_bytes(*address);
    mix(mix(seed, (value >> 64) as u64), value as u64)
}

const WORDS: usize = 8;
const BITS: f64 = (WORDS * 64) as f64;

/// Counts distinct values by linear counting (Whang 1990) in 512 bits: exact enough to about 2000 (a few per
/// cent), then it saturates at 3549.
#[derive(Clone, Copy, Debug, Default)]
pub struct Distinct {
    bits: [u64; WORDS],
}

impl Distinct {
    /// Bits it has.
    pub const BITS: u32 = WORDS as u32 * 64;
    /// What it says of one value.
    pub const ONE: f64 = 1.000_977_835_931_287;

    /// Whether this value, or another with the same bit, was added.
    pub fn has(&self, hash: u64) -> bool {
        self.bits[(hash >> 6) as usize % WORDS] & (1 << (hash & 63)) != 0
    }

    /// Bits that are set.
    pub fn ones(&self) -> u32 {
        self.bits.iter().map(|word| word.count_ones()).sum()
    }

    /// Adds a value by its hash.
    pub fn add(&mut self, hash: u64) {
        self.set(Distinct::bit(hash));
    }

    /// The bit of a value, by its hash.
    pub(super) fn bit(hash: u64) -> u16 {
        (hash % u64::from(Distinct::BITS)) as u16
    }

    pub(super) fn set(&mut self, bit: u16) {
        self.bits[usize::from(bit >> 6) % WORDS] |= 1 << (bit & 63);
    }

    /// About how many distinct values were added.
    pub fn count(&self) -> f64 {
        let ones = self.ones();
        if ones == 0 {
            return 0.0;
        }
        let zeros = (BITS - f64::from(ones)).max(0.5);
        BITS * (BITS / zeros).ln()
    }

    /// The values of both.
    pub fn union(&self, other: &Distinct) -> Distinct {
        Distinct { bits: std::array::from_fn(|i| self.bits[i] | other.bits[i]) }
    }
}

/// How evenly values spread over 32 hashed buckets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    buckets: [u32; 32],
}

impl Spread {
    /// The bucket of a value, by its hash.
    pub(super) fn bucket(hash: u64) -> u8 {
        (hash >> 32) as u8 % 32
    }

    /// Adds to a bucket.
    pub(super) fn put(&mut self, bucket: u8, values: u32) {
        let bucket = &mut self.buckets[usize::from(bucket) % 32];
        *bucket = bucket.saturating_add(values);
    }

    /// Entropy of the buckets, bits, 0 to 5.
    pub fn entropy(&self) -> f64 {
        let total: f64 = self.buckets.iter().map(|&n| f64::from(n)).sum();
        if total < 2.0 {
            return 0.0;
        }
        let parts = self.buckets.iter().filter(|&&n| n > 0).map(|&n| f64::from(n) / total);
        -parts.map(|p| p * p.log2()).sum::<f64>().min(0.0)
    }
}

/// Entropy of bytes, bits per byte, 0 to 8; `None` for fewer than 16, of which it says nothing.
pub fn byte_entropy(bytes: &[u8]) -> Option<f32> {
    if bytes.len() < 16 {
        return None;
    }
    let mut counts = [0u16; 256];
    let mut sum = 0.0;
    let bytes = &bytes[..bytes.len().min(usize::from(MOST))];
    let steps = PLOGS.as_slice();
    for &byte in bytes {
        let count = &mut counts[usize::from(byte)];
        sum += steps[usize::from(*count)];
        *count += 1;
    }
    let total = bytes.len() as f32;
    Some((total.log2() - sum / total).max(0.0))
}

/// Bytes that are counted: more than any sample has.
const MOST: u16 = 4096;

/// What `n log2 n` grows by from each count to the next, so that nothing is left to do for each value at the end.
static PLOGS: std::sync::LazyLock<Vec<f32>> = std::sync::LazyLock::new(|| {
    let plog = |n: u16| if n == 0 { 0.0 } else { f64::from(n) * f64::from(n).log2() };
    (0..MOST).map(|n| (plog(n + 1) - plog(n)) as f32).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_values_are_counted_within_a_tenth() {
        for expected in [0u64, 1, 10, 100, 1000, 2000] {
            let mut distinct = Distinct::default();
            for value in 0..expected {
                distinct.add(mix(7, value));
                distinct.add(mix(7, value));
            }
            let error = (distinct.count() - expected as f64).abs();
            assert!(error <= expected as f64 * 0.1 + 0.1, "{expected}: {}", distinct.count());
        }
    }

    #[test]
    fn entropy_goes_from_one_value_to_all() {
        let mut one = Spread::default();
        let mut all = Spread::default();
        for value in 0..10_000 {
            one.put(Spread::bucket(mix(1, 80)), 1);
            all.put(Spread::bucket(mix(1, value)), 1);
        }
        assert_eq!(Spread::default().entropy(), 0.0);
        let mut distinct = Distinct::default();
        distinct.set(7);
        assert_eq!(distinct.count(), Distinct::ONE);
        assert_eq!(one.entropy(), 0.0);
        assert!(all.entropy() > 4.9);
        assert_eq!(byte_entropy(&[0; 100]), Some(0.0));
        assert_eq!(byte_entropy(b"short"), None);
        let every: Vec<u8> = (0..=255).collect();
        assert!(byte_entropy(&every).is_some_and(|e| (e - 8.0).abs() < 1e-4));
    }
}
