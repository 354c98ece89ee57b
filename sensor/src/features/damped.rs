//! What is usual at several time scales: damped incremental statistics (Mirsky et al., "Kitsune: An Ensemble of
//! Autoencoders for Online Network Intrusion Detection", NDSS 2018, section IV-B), of windows instead of packets.
//!
//! A window's rates are a pair of logarithms: packets and bytes a second. At each scale a weight, their means, variances
//! and covariance are kept; before a window is added all older ones lose weight by `2^(-passed / half-life)`. Logarithms,
//! because rates of traffic spread over magnitudes: one burst must not make every later one look small. The covariance
//! gives the deviation of the packet size, a difference of the two, with nothing more to keep.

use super::matrix::ln;
use super::pool::{NONE, Pool};
use serde::{Deserialize, Serialize};

/// Scales.
pub const SCALES: usize = 4;
/// Half-lives, seconds. Windows are a second: at the scale of a second, which packets allow, there would be nothing to
/// compare with.
pub const HALF_LIFE: [f64; SCALES] = [10.0, 60.0, 600.0, 3600.0];

/// Below this weight, in windows, nothing is known.
const LEAST_WEIGHT: f32 = 0.5;
/// The variance that is supposed until windows say otherwise, as so many windows: twice or half as much as usual is
/// ordinary.
const SUPPOSED: f32 = 2.0;
const SUPPOSED_VARIANCE: f32 = std::f32::consts::LN_2 * std::f32::consts::LN_2;

/// What is left of a weight at each scale after some time.
pub type Fades = [f32; SCALES];

/// Fades of a silence. Most entries were seen in the window before, and so fade by the same: one exponential a scale
/// serves them all.
#[derive(Clone, Copy, Debug)]
pub struct Scales {
    latest: (u64, Fades),
}

impl Default for Scales {
    fn default() -> Scales {
        Scales { latest: (0, [1.0; SCALES]) }
    }
}

impl Scales {
    /// What is left after `passed` nanoseconds.
    #[inline]
    pub fn over(&mut self, passed: u64) -> &Fades {
        if self.latest.0 != passed {
            let seconds = passed as f64 / 1e9;
            self.latest = (passed, HALF_LIFE.map(|half_life| (-seconds / half_life).exp2() as f32));
        }
        &self.latest.1
    }
}

/// Logarithms of packets and bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates([f32; 2]);

impl Rates {
    /// Less than one a second counts as one.
    #[inline]
    pub fn new(packets: f32, bytes: f32) -> Rates {
        Rates([ln(packets.max(1.0)), ln(bytes.max(1.0))])
    }
}

/// How far a window is from what was usual, in deviations, at each scale; 0 where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviations {
    /// Of the bytes a second.
    pub rate: [f32; SCALES],
    /// Of the bytes a packet.
    pub size: [f32; SCALES],
}

/// A number for each scale: a vector of the machines that every 64-bit x86 is.
type Lanes = [f32; SCALES];

/// Moments at all scales: 96 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Multi {
    weight: Lanes,
    packets: Lanes,
    bytes: Lanes,
    packets_variance: Lanes,
    bytes_variance: Lanes,
    covariance: Lanes,
}

impl Multi {
    /// Loads it; the value means nothing.
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        u64::from(self.weight[0].to_bits() ^ self.covariance[0].to_bits())
    }

    /// Time passed.
    #[inline]
    pub fn fade(&mut self, fades: &Fades) {
        self.weight = std::array::from_fn(|scale| self.weight[scale] * fades[scale]);
    }

    /// Adds a window, of weight 1. The paper's sums, as means: its linear sum over the weight, and so on; sums of
    /// squares would cancel in single precision.
    #[inline]
    pub fn add(&mut self, Rates([packets, bytes]): Rates) {
        for scale in 0..SCALES {
            let weight = self.weight[scale] + 1.0;
            let part = 1.0 / weight;
            let rest = 1.0 - part;
            let (dp, db) = (packets - self.packets[scale], bytes - self.bytes[scale]);
            self.weight[scale] = weight;
            self.packets[scale] += part * dp;
            self.bytes[scale] += part * db;
            self.packets_variance[scale] = rest * (self.packets_variance[scale] + part * dp * dp);
            self.bytes_variance[scale] = rest * (self.bytes_variance[scale] + part * db * db);
            self.covariance[scale] = rest * (self.covariance[scale] + part * dp * db);
        }
    }

    /// How unusual a window is that was not added yet. The variance is the one seen and the one supposed, by their
    /// weights; and the mean is itself uncertain by a window's deviation over the root of the weight.
    #[inline]
    pub fn deviations(&self, Rates([packets, bytes]): Rates) -> Deviations {
        let mut found = Deviations::default();
        for scale in 0..SCALES {
            let weight = self.weight[scale];
            let known = if weight < LEAST_WEIGHT { 0.0 } else { 1.0 };
            let weight = weight.max(LEAST_WEIGHT);
            // Of a variance in all: what it is multiplied by, and what is added.
            let uncertain = (1.0 + 1.0 / weight) / (weight + SUPPOSED);
            let per = |variance: f32| {
                known / (uncertain * (weight * variance.max(0.0) + SUPPOSED * SUPPOSED_VARIANCE)).sqrt()
            };
            let variance = self.bytes_variance[scale];
            let size_variance = self.packets_variance[scale] + variance - 2.0 * self.covariance[scale];
            let rate = bytes - self.bytes[scale];
            let size = rate - (packets - self.packets[scale]);
            found.rate[scale] = rate.abs() * per(variance);
            found.size[scale] = size.abs() * per(size_variance);
        }
        found
    }
}

/// The latest window, and what was usual before it.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// Packets and bytes a second in the latest window.
    window: [f32; 2],
    /// Number of a [`Multi`], once a second window began: most pairs of a scan or a flood have one window.
    past: u32,
}

impl Default for Usual {
    fn default() -> Usual {
        Usual { window: [0.0; 2], past: NONE }
    }
}

impl Usual {
    /// A window begins: the latest one is past, and time went by since.
    #[inline]
    pub(super) fn next_window(&mut self, fades: &Fades, pool: &mut Pool<Multi>) {
        let past = pool.get_or_add(&mut self.past);
        if self.window[0] > 0.0 {
            past.add(Rates::new(self.window[0], self.window[1]));
        }
        self.window = [0.0; 2];
        past.fade(fades);
    }

    /// Adds to the latest window: packets and bytes a second.
    #[inline]
    pub(super) fn add(&mut self, rates: [f32; 2]) {
        self.window[0] += rates[0];
        self.window[1] += rates[1];
    }

    /// How unusual the latest window is.
    #[inline]
    pub(super) fn deviations(&self, pool: &Pool<Multi>) -> Deviations {
        let Some(past) = pool.get(self.past) else {
            return Deviations::default();
        };
        past.deviations(Rates::new(self.window[0], self.window[1]))
    }

    /// Number of what was usual before.
    pub(super) fn past(&self) -> u32 {
        self.past
    }

    /// The entry is gone.
    pub(super) fn release(&self, pool: &mut Pool<Multi>) {
        pool.release(self.past);
    }
}

/// Mean and variance in which older values fade by number, not by age: the weight of a new one is 1/n, a tenth at least.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Damped {
    /// Values so far.
    pub n: u32,
    mean: f32,
    variance: f32,
}

impl Damped {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.n = self.n.saturating_add(1);
        let weight = if self.n < 10 { 1.0 / self.n as f32 } else { 0.1 };
        let difference = value as f32 - self.mean;
        self.mean += weight * difference;
        self.variance = (1.0 - weight) * (self.variance + weight * difference * difference);
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        f64::from(self.mean)
    }

    /// Deviation over mean; 0 while there is no mean.
    pub fn variation(&self) -> f64 {
        if self.mean > 0.0 { f64::from(self.variance.max(0.0).sqrt() / self.mean) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::SECOND;
    use crate::score::random::Random;

    /// The paper's sums in double precision, all windows kept.
    fn reference(windows: &[(u64, [f64; 2])], now: u64, half_life: f64) -> (f64, [f64; 2], [f64; 2], f64) {
        let weights: Vec<f64> =
            windows.iter().map(|(at, _)| (-((now - at) as f64 / 1e9) / half_life).exp2()).collect();
        let sum: f64 = weights.iter().sum();
        let over = |of: &dyn Fn(&[f64; 2]) -> f64| -> f64 {
            windows.iter().zip(&weights).map(|((_, value), weight)| weight * of(value)).sum::<f64>() / sum
        };
        let mean = [over(&|v| v[0]), over(&|v| v[1])];
        let variance = [0, 1].map(|i| over(&|v| v[i] * v[i]) - mean[i] * mean[i]);
        (sum, mean, variance, over(&|v| v[0] * v[1]) - mean[0] * mean[1])
    }

    #[test]
    fn moments_agree_with_sums_over_all_windows() {
        let mut random = Random::new(5);
        let (mut multi, mut scales) = (Multi::default(), Scales::default());
        let (mut windows, mut now): (Vec<(u64, [f64; 2])>, u64) = (Vec::new(), 1_767_225_600 * SECOND);
        for round in 0..2_000u64 {
            let passed = if round % 50 == 49 { 90 } else { 1 + round % 3 } * SECOND;
            now += passed;
            multi.fade(scales.over(passed));
            let packets = 1.0 + 1e4 * f64::from(random.symmetric().abs());
            let bytes = packets * (60.0 + 1400.0 * f64::from(random.symmetric().abs()));
            multi.add(Rates::new(packets as f32, bytes as f32));
            windows.push((now, [packets.ln(), bytes.ln()]));
        }
        for (scale, half_life) in HALF_LIFE.into_iter().enumerate() {
            let (weight, mean, variance, covariance) = reference(&windows, now, half_life);
            let pairs = [
                (multi.weight[scale], weight),
                (multi.packets[scale], mean[0]),
                (multi.bytes[scale], mean[1]),
                (multi.packets_variance[scale], variance[0]),
                (multi.bytes_variance[scale], variance[1]),
                (multi.covariance[scale], covariance),
            ];
            for (seen, expected) in pairs {
                assert!(
                    (f64::from(seen) - expected).abs() < 1e-3 * expected.abs().max(0.1),
                    "{seen} {expected}"
                );
            }
        }
    }

    #[test]
    fn what_is_usual_depends_on_the_scale() {
        let (mut multi, mut scales) = (Multi::default(), Scales::default());
        let mut window = |multi: &mut Multi, bytes: f32| {
            multi.fade(scales.over(SECOND));
            multi.add(Rates::new(bytes / 100.0, bytes));
        };
        assert_eq!(multi.deviations(Rates::new(10.0, 1e9)), Deviations::default(), "nothing is known");
        (0..7200).for_each(|_| window(&mut multi, 10_000.0));
        let burst = Rates::new(10_000.0, 1e6);
        let first = multi.deviations(burst);
        assert!(first.rate.iter().all(|rate| *rate > 10.0), "{first:?}");
        assert!(first.size.iter().all(|size| *size < 0.1), "packets as large as ever: {first:?}");
        assert!(multi.deviations(Rates::new(100.0, 1e6)).size[0] > 10.0, "larger packets");
        // A minute of bursts: usual for now, not over ten minutes or an hour.
        (0..60).for_each(|_| window(&mut multi, 1e6));
        let later = multi.deviations(burst);
        assert!(later.rate[0] < 0.5 && later.rate[2] > 2.0, "{later:?}");
        assert!(later.rate.is_sorted(), "{later:?}");
        // An hour of silence: the short scales have forgotten.
        multi.fade(scales.over(3600 * SECOND));
        let stale = multi.deviations(burst);
        assert!(stale.rate[0] == 0.0 && stale.rate[1] == 0.0 && stale.rate[3] > 0.0, "{stale:?}");
    }

    #[test]
    fn every_value_is_bounded() {
        let mut multi = Multi::default();
        for value in [0.0, f32::MAX, f32::INFINITY, f32::NAN, -1.0, 1e-30] {
            let found = multi.deviations(Rates::new(value, value));
            assert!(
                found.rate.iter().chain(&found.size).all(|x| x.is_finite() && *x >= 0.0),
                "{value}: {found:?}"
            );
            multi.add(Rates::new(value, value));
        }
        assert_eq!(size_of::<Multi>(), 96);
    }

    #[test]
    fn damped_mean_follows_and_variation_tells_regular_from_irregular() {
        let mut regular = Damped::default();
        let mut irregular = Damped::default();
        for n in 0..20u32 {
            regular.add(1.0 + 0.01 * f64::from(n % 2));
            irregular.add(f64::from(1 + n % 7));
        }
        assert!(regular.variation() < 0.01 && (regular.mean() - 1.0).abs() < 0.02);
        assert!(irregular.variation() > 0.3);
    }
}
