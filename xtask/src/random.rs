//! Seeded randomness for the lab: the same seed gives the same traffic, as far as the network allows.

/// SplitMix64: one word of state, good enough for jitter and sizes.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of one role of one run.
    pub fn new(seed: u64, role: &str) -> Random {
        // FNV-1a of the role, so that every worker has its own sequence.
        let hash = role.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Random(seed ^ hash)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly in `from..to`.
    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// Evenly in `0..below`; 0 when `below` is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        if below == 0 { 0 } else { self.bits() % below }
    }

    /// Pareto with shape 1.2, the heavy tail of web objects: most near `least`, none above `most`.
    pub fn heavy_tailed(&mut self, least: f64, most: f64) -> u64 {
        (least / (1.0 - self.unit()).powf(1.0 / 1.2)).min(most) as u64
    }

    /// Exponential: the time to the next event of a Poisson process with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_role_give_the_same_sequence_and_another_role_another() {
        let draw = |seed, role| {
            (0..4).map({
                let mut random = Random::new(seed, role);
                move |_| random.bits()
            })
        };
        assert!(draw(7, "web").eq(draw(7, "web")));
        assert!(!draw(7, "web").eq(draw(7, "dns")));
        assert!(!draw(7, "web").eq(draw(8, "web")));
    }

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut random = Random::new(1, "bounds");
        for _ in 0..10_000 {
            assert!((0.0..1.0).contains(&random.unit()));
            assert!((200..=9_000).contains(&random.heavy_tailed(200.0, 9_000.0)));
            assert!(random.exponential(2.0) >= 0.0);
            assert_eq!(random.below(0), 0);
            assert!(random.below(3) < 3);
        }
    }
}
