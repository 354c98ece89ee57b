//! From a member's value to time: how long ordinary traffic takes to show such a value again.
//!
//! Peaks over threshold (Pickands 1975; streaming use as in SPOT, Siffer et al., KDD 2017) on the maxima of blocks of
//! time: rows of a window go together, windows of one cause too, and an alarm budget is a number an hour, not a part
//! of rows. The shape is fitted by probability-weighted moments (Hosking and Wallis 1987), which need no iteration.
//! What was not seen yet is allowed for: an exponential tail whose scale is known from `k` values only is predicted as a
//! Pareto tail of shape `1/k`, to which what is believed beforehand adds as many values as it is worth. So a short
//! calibration makes a careful sensor, and a long one a sharp one.

use serde::{Deserialize, Serialize};

/// Part of the blocks that counts as the tail.
const TAIL: f64 = 0.1;
/// At least so many blocks count as the tail, while that is at most half of them.
const LEAST: usize = 20;
/// Blocks kept. When there are more, two become one of twice the length.
const BLOCKS: usize = 4096;
/// Blocks are at most so long, seconds; from then on the oldest is forgotten.
const LONGEST: f64 = 64.0;
/// Below this a value is none.
const NOTHING: f64 = 1e-6;
/// That the least scale is the right one is believed as if so many values had shown it.
const BELIEF: f64 = 4.0;
/// So many values are enough to say how often there is one as high.
const ENOUGH: usize = 5;
/// Heavier tails than this are noise of few points; lighter ones than exponential are not believed.
const HEAVIEST: f64 = 0.25;
/// The live fit may be above the reference by so much: cut by so many reference scales, scale by such a factor.
const CREEP: f64 = 1.0;
const STRETCH: f64 = 1.5;
/// Told apart, decades of seconds: beyond 30,000 years every value is the same.
const MOST: f64 = 12.0;

/// The fitted tail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Where the tail begins.
    pub cut: f64,
    /// Its scale.
    pub scale: f64,
    /// Its shape: 0 is exponential.
    pub shape: f64,
    /// Blocks a second that exceed the cut.
    pub rate: f64,
}

/// Maxima of blocks of time, and the tail fitted to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    blocks: Vec<f32>,
    /// Length of a block, seconds.
    length: f64,
    /// The open block: its maximum and length so far.
    open: (f32, f64),
    /// No scale is below this, however calm it was.
    least: f64,
    /// The values are surprises, nats: how the tail falls off is known, only where it lies is fitted.
    nats: bool,
    /// The tail.
    pub fit: Fit,
    /// The tail when it was first fitted, or since confirmed: what the live one must stay near.
    pub reference: Option<Fit>,
    /// How often the reference was taken.
    pub confirmed: u32,
}

impl Tail {
    /// Knows nothing; no scale will be below `least`.
    pub fn new(least: f64) -> Tail {
        let fit = Fit { cut: 0.0, scale: least, shape: 0.0, rate: 1.0 };
        Tail {
            blocks: Vec::new(),
            length: 1.0,
            open: (0.0, 0.0),
            least,
            nats: false,
            fit,
            reference: None,
            confirmed: 0,
        }
    }

    /// Knows nothing; the values will be surprises, nats.
    pub fn of_nats() -> Tail {
        Tail { nats: true, ..Tail::new(1.0) }
    }

    /// Blocks kept.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Adds the highest ordinary value of a window of so many seconds; what is not finite counts as 0.
    pub fn add(&mut self, highest: f32, seconds: f64) {
        let highest = if highest.is_finite() { highest.max(0.0) } else { 0.0 };
        self.open.0 = self.open.0.max(highest);
        self.open.1 += seconds.clamp(0.0, LONGEST * BLOCKS as f64);
        while self.open.1 >= self.length * 0.999 {
            self.push(self.open.0);
            // What is left of a long window is silence.
            self.open = (0.0, (self.open.1 - self.length).max(0.0));
        }
    }

    fn push(&mut self, highest: f32) {
        if self.blocks.len() >= BLOCKS {
            if self.length < LONGEST {
                self.blocks =
                    self.blocks.chunks(2).map(|pair| pair.iter().copied().fold(0.0, f32::max)).collect();
                self.length *= 2.0;
            } else {
                self.blocks.remove(0);
            }
        }
        self.blocks.push(highest);
    }

    /// Fits the tail to the blocks so far, near the reference if there is one.
    pub fn refit(&mut self) {
        let Some(mut fit) = self.fitted() else {
            return;
        };
        if let Some(reference) = self.reference.filter(|_| !self.nats) {
            fit = fit.near(&reference, 1.0);
        }
        self.fit = fit;
    }

    /// The tail as it is now is what later ones must stay near. What a reference may differ from the one before
    /// shrinks as they get older: the first hours of a network may teach much that is new, but whoever adds a little
    /// every day gets as far in a month as in the first four days together.
    pub fn confirm(&mut self) {
        let fit = self.fitted().unwrap_or(self.fit);
        let reference = match self.reference.filter(|_| !self.nats) {
            Some(before) => fit.near(&before, 1.0 / f64::from(self.confirmed.max(1))),
            None => fit,
        };
        self.reference = Some(reference);
        self.confirmed = self.confirmed.saturating_add(1);
        self.refit();
    }

    /// Whether the numbers are possible.
    pub fn is_sound(&self) -> bool {
        let fits = [Some(self.fit), self.reference].into_iter().flatten().all(|fit| fit.is_sound());
        let lengths =
            [self.length, self.open.1, self.least].iter().all(|value| value.is_finite() && *value >= 0.0);
        let values = self.blocks.iter().chain([&self.open.0]).all(|value| value.is_finite());
        fits && lengths && values && self.length >= 1.0 && self.least > 0.0 && self.blocks.len() <= BLOCKS
    }

    fn fitted(&self) -> Option<Fit> {
        let mut sorted: Vec<f64> = self.blocks.iter().map(|&block| f64::from(block)).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len();
        if self.nats {
            return self.fitted_nats(&sorted);
        }
        if n < 2 {
            return None;
        }
        // Where mostly nothing is seen, what is seen is the tail.
        let something = sorted.iter().filter(|value| **value > NOTHING).count();
        let count = ((n as f64 * TAIL) as usize).max(LEAST.min(n / 2)).min(something);
        if count == 0 {
            let rate = 1.0 / (n as f64 * self.length);
            return Some(Fit { cut: 0.0, scale: self.least, shape: 1.0 / BELIEF, rate });
        }
        let cut = (n - count).checked_sub(1).map_or(0.0, |place| sorted[place]);
        let k = count as f64;
        let (mut a0, mut a1) = (0.0, 0.0);
        for (rank, value) in sorted[n - count..].iter().enumerate() {
            a0 += (value - cut) / k;
            a1 += (value - cut) * (1.0 - (rank as f64 + 0.65) / k) / k;
        }
        let spread = a0 - 2.0 * a1;
        let shape = if spread > 0.0 && a0 > 0.0 { (2.0 - a0 / spread).clamp(0.0, HEAVIEST) } else { 0.0 };
        // A few points give wild shapes.
        let trust = k / (k + 2.0 * LEAST as f64);
        let scale = (a0 * (1.0 - shape * trust)).max(self.least);
        Some(Fit {
            cut,
            scale,
            shape: shape * trust + 1.0 / (k + BELIEF),
            rate: k / (n as f64 * self.length),
        })
    }

    /// A surprise of so many nats is e times as rare as one of a nat less, if its chances are right. How rare one is at
    /// all is what the blocks say: from the fifth highest on.
    fn fitted_nats(&self, sorted: &[f64]) -> Option<Fit> {
        let cut = sorted.len().checked_sub(ENOUGH).map_or(0.0, |place| sorted[place]);
        let above = sorted.iter().filter(|value| **value >= cut.max(f64::MIN_POSITIVE)).count();
        let seconds = sorted.len() as f64 * self.length;
        (seconds > 0.0).then(|| Fit { cut, scale: 1.0, shape: 0.0, rate: (above + 1) as f64 / seconds })
    }
}

impl Fit {
    /// No further above another fit than a part of what is allowed. What is above the cut that is allowed is excess: else
    /// whoever piles up values at one height would make a tail that falls off at once, and everybody else unusual.
    fn near(self, other: &Fit, part: f64) -> Fit {
        let cut = self.cut.min(other.cut + other.scale * CREEP * part);
        let scale = (self.scale + self.cut - cut).min(other.scale * STRETCH.powf(part));
        Fit { scale, cut, ..self }
    }

    /// Decades of seconds that ordinary traffic takes to show such a value, or a higher one, again. Below the cut the
    /// tail goes on as an exponential one, so that common values keep their order.
    pub fn decades(&self, value: f64) -> f64 {
        let over = (value - self.cut) / self.scale;
        let nats =
            if over <= 0.0 || self.shape < 1e-6 { over } else { (over * self.shape).ln_1p() / self.shape };
        ((nats - self.rate.ln()) * std::f64::consts::LOG10_E).clamp(-MOST, MOST)
    }

    /// The value of so many decades: what [`Fit::decades`] is the other way round.
    pub fn value(&self, decades: f64) -> f64 {
        let nats = decades / std::f64::consts::LOG10_E + self.rate.ln();
        let over =
            if nats <= 0.0 || self.shape < 1e-6 { nats } else { (nats * self.shape).exp_m1() / self.shape };
        self.cut + over * self.scale
    }

    /// Whether the numbers are possible.
    pub fn is_sound(&self) -> bool {
        let numbers = [self.cut, self.scale, self.shape, self.rate];
        numbers.iter().all(|number| number.is_finite())
            && self.scale > 0.0
            && self.rate > 0.0
            && self.shape >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::random::Random;

    fn uniform(random: &mut Random) -> f64 {
        (f64::from(random.symmetric()) + 1.0) / 2.0
    }

    /// Highest of a window whose values are exponential: the return period of a value is known.
    fn calm(seconds: usize, seed: u64) -> Tail {
        let mut random = Random::new(seed);
        let mut tail = Tail::new(0.01);
        for _ in 0..seconds {
            tail.add(-(uniform(&mut random).max(1e-9)).ln() as f32, 1.0);
        }
        tail.refit();
        tail
    }

    #[test]
    fn a_known_tail_is_seen_as_often_as_it_says() {
        for seconds in [1000, 4000, 20_000] {
            let tail = calm(seconds, 7);
            for value in [4.0, 8.0, 12.0] {
                let expected = value * std::f64::consts::LOG10_E;
                let found = tail.fit.decades(value);
                assert!(
                    (found - expected).abs() < 0.35 + expected * 0.12,
                    "{seconds} {value}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn surprises_are_as_rare_as_they_say_from_what_was_seen_on() {
        let mut tail = Tail::of_nats();
        (0..1000).for_each(|_| tail.add(0.0, 1.0));
        tail.confirm();
        assert!((tail.fit.decades(0.1) - 3.0).abs() < 0.1, "nothing in a thousand seconds");
        assert!(tail.fit.decades(10.0) > 7.0);
        for _ in 0..10 {
            tail.add(9.0, 10.0);
        }
        tail.refit();
        assert!((tail.fit.decades(9.0) - 2.0).abs() < 0.1, "ten in a thousand seconds: {:?}", tail.fit);
        assert!(tail.fit.decades(20.0) > 6.5);
    }

    #[test]
    fn few_points_make_careful() {
        let (short, long) = (calm(10, 3).fit.decades(15.0), calm(4000, 3).fit.decades(15.0));
        assert!(short < long - 1.0, "{short} {long}");
    }

    #[test]
    fn a_month_takes_no_more_room_than_an_hour() {
        let mut tail = Tail::new(0.1);
        for n in 0..3_000_000u64 {
            tail.add((n % 7) as f32, 1.0);
        }
        assert!(tail.blocks() <= BLOCKS);
        tail.add(1.0, 1e12);
        assert!(tail.blocks() <= BLOCKS);
        tail.refit();
        assert!(tail.fit.is_sound(), "{:?}", tail.fit);
    }

    #[test]
    fn it_creeps_no_further_than_the_reference_allows() {
        let mut tail = calm(1000, 5);
        tail.confirm();
        let before = tail.fit.decades(18.0);
        for _ in 0..100_000 {
            tail.add(18.0, 1.0);
        }
        tail.refit();
        assert!(tail.fit.decades(18.0) > before / 2.0, "{} {before}", tail.fit.decades(18.0));
        let level = tail.fit.value(4.0);
        tail.confirm();
        assert!(tail.fit.value(4.0) > level, "what was confirmed counts");
    }

    #[test]
    fn a_month_of_renewals_leads_little_further_than_the_first_days() {
        let mut tail = calm(1000, 5);
        tail.confirm();
        let mut random = Random::new(3);
        let mut levels = vec![tail.fit.value(4.0)];
        for _ in 0..60 {
            // One window in five nearly is an alert.
            for n in 0..8192 {
                let ordinary = -uniform(&mut random).max(1e-9).ln() as f32;
                tail.add(if n % 5 == 0 { tail.fit.value(3.9) as f32 } else { ordinary }, 1.0);
            }
            tail.confirm();
            levels.push(tail.fit.value(4.0));
        }
        let moved = |day: usize| levels[day] / levels[0];
        assert!(moved(1) > 1.0 && moved(60) < 1.5 * moved(30), "{levels:?}");
        assert!(moved(30) < 4.0 * moved(3), "{levels:?}");
    }

    #[test]
    fn common_values_keep_their_order_and_nonsense_is_nothing() {
        let mut tail = calm(100, 2);
        tail.add(f32::NAN, 1.0);
        tail.add(f32::INFINITY, f64::MAX);
        tail.refit();
        let all: Vec<f64> = (0..400).map(|n| tail.fit.decades(f64::from(n) / 20.0)).collect();
        assert!(all.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(all.iter().all(|value| value.is_finite()));
        for decades in [-2.0, 0.5, 3.0, 5.0] {
            assert!((tail.fit.decades(tail.fit.value(decades)) - decades).abs() < 1e-9);
        }
    }
}
