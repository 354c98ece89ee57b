//! The threshold: the score that ordinary traffic exceeds no more often than the alarm budget allows.
//!
//! Peaks over threshold, as in SPOT (Siffer et al., KDD 2017, after McNeil and Frey 2000): the excesses over the
//! 90 % quantile follow a generalised Pareto distribution, fitted by probability-weighted moments (Hosking and Wallis
//! 1987), which need no iteration and behave with few points. On log scores, whose tail is lighter.

/// Part of the scores that counts as the tail.
const TAIL: f64 = 0.1;
/// Fewer excesses than this are not fitted.
const LEAST: usize = 10;

/// The limits a threshold stays within, whatever the fit says.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Never below.
    pub floor: f64,
    /// At least so many times the highest score seen.
    pub margin: f64,
    /// At most so many times the highest score seen, or the floor.
    pub limit: f64,
}

/// The score that a part `probability` of the rows exceeds. Scores that are not finite are left out.
pub fn threshold(scores: &[f32], probability: f64, limits: Limits) -> f64 {
    let mut logs: Vec<f64> =
        scores.iter().filter(|s| s.is_finite()).map(|s| f64::from(s.max(0.0)).ln_1p()).collect();
    logs.sort_unstable_by(f64::total_cmp);
    let Some(&highest) = logs.last() else {
        return limits.floor;
    };
    let highest = highest.exp_m1();
    let wanted = quantile(&logs, probability).unwrap_or(highest);
    let least = (highest * limits.margin).max(limits.floor);
    let most = (highest * limits.limit).max(least);
    wanted.clamp(least, most)
}

fn quantile(logs: &[f64], probability: f64) -> Option<f64> {
    let count = ((logs.len() as f64 * TAIL) as usize).min(logs.len().saturating_sub(1));
    if count < LEAST {
        return None;
    }
    let cut = logs[logs.len() - count - 1];
    let excesses = logs[logs.len() - count..].iter().map(|log| log - cut);
    let n = count as f64;
    let (mut a0, mut a1) = (0.0, 0.0);
    for (rank, excess) in excesses.enumerate() {
        a0 += excess / n;
        a1 += excess * (1.0 - (rank as f64 + 0.65) / n) / n;
    }
    let spread = a0 - 2.0 * a1;
    if spread <= 0.0 || a0 <= 0.0 {
        return None;
    }
    // Few points give wild shapes; outside these bounds they are noise.
    let shape = (2.0 - a0 / spread).clamp(-0.5, 0.25);
    let scale = a0 * (1.0 - shape);
    let ratio = (probability * logs.len() as f64 / n).max(1e-12);
    let beyond =
        if shape.abs() < 1e-6 { -scale * ratio.ln() } else { scale / shape * (ratio.powf(-shape) - 1.0) };
    Some((cut + beyond.max(0.0)).exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::random::Random;

    const FREE: Limits = Limits { floor: 0.0, margin: 1.0, limit: 1e9 };

    #[test]
    fn finds_a_far_quantile_of_a_known_tail() {
        // Scores whose logs are exponential: the quantile of p is exp(-ln p / 2) - 1.
        let mut random = Random::new(11);
        let scores: Vec<f32> = (0..20_000)
            .map(|_| {
                let uniform = (f64::from(random.symmetric()) + 1.0) / 2.0;
                ((-(uniform.max(1e-9)).ln() / 2.0).exp_m1()) as f32
            })
            .collect();
        let found = threshold(&scores, 1e-6, FREE).ln_1p();
        let expected = -(1e-6f64.ln()) / 2.0;
        assert!((found / expected - 1.0).abs() < 0.25, "{found} {expected}");
    }

    #[test]
    fn stays_within_its_limits() {
        let limits = Limits { floor: 4.0, margin: 1.5, limit: 3.0 };
        assert_eq!(threshold(&[], 1e-6, limits), 4.0);
        assert_eq!(threshold(&[f32::NAN, 0.1], 1e-6, limits), 4.0);
        let scores: Vec<f32> = (1..=1000).map(|n| n as f32 / 100.0).collect();
        let found = threshold(&scores, 1e-9, limits);
        assert!((15.0..=30.0).contains(&found), "{found}");
    }
}
