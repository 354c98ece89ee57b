//! How sure a rate is, and what an alarm is worth where attacks are rare.

/// Exact 95 % interval of the mean of a Poisson count (Garwood, Biometrika 28, 1936).
pub fn poisson_interval(count: u64) -> (f64, f64) {
    const TAIL: f64 = 0.025;
    // At most so many: the mean at which it is as rare as the tail allows.
    let upper = bisect(|mean| at_most(count, mean) > TAIL, count as f64 + 10.0 + 6.0 * (count as f64).sqrt());
    let lower = match count.checked_sub(1) {
        None => 0.0,
        Some(fewer) => bisect(|mean| 1.0 - at_most(fewer, mean) < TAIL, count as f64),
    };
    (lower, upper)
}

/// Chance that a Poisson count with this mean is at most `count`.
fn at_most(count: u64, mean: f64) -> f64 {
    let mut log_term = -mean;
    let mut sum = log_term.exp();
    for k in 1..=count {
        log_term += (mean / k as f64).ln();
        sum += log_term.exp();
    }
    sum.min(1.0)
}

/// The point in `0..high` up to which `below` holds.
fn bisect(below: impl Fn(f64) -> bool, high: f64) -> f64 {
    let (mut low, mut high) = (0.0, high);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if below(middle) { low = middle } else { high = middle }
    }
    high
}

/// Part of the alarms that are right, where `base` of the bins hold an attack: Bayes with the part of attacks that
/// are found and of benign bins that alarm (Axelsson, TISSEC 3, 2000).
pub fn precision(base: f64, found: f64, alarming: f64) -> f64 {
    let right = base * found;
    let all = right + (1.0 - base) * alarming;
    if all > 0.0 { right / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_tables() {
        for (count, low, high) in [
            (0, 0.0, 3.689),
            (1, 0.0253, 5.572),
            (2, 0.2422, 7.225),
            (10, 4.795, 18.390),
            (100, 81.36, 121.63),
        ] {
            let (found_low, found_high) = poisson_interval(count);
            assert!((found_low - low).abs() < 0.01, "{count}: {found_low} is not {low}");
            assert!((found_high - high).abs() < 0.01, "{count}: {found_high} is not {high}");
        }
    }

    #[test]
    fn rare_attacks_make_a_good_detector_cry_wolf() {
        assert!((precision(0.01, 1.0, 0.01) - 0.5025).abs() < 1e-3);
        assert!((precision(0.0001, 1.0, 0.01) - 0.0099).abs() < 1e-3);
        assert_eq!(precision(0.01, 0.0, 0.0), 0.0);
        assert_eq!(precision(0.01, 0.5, 0.0), 1.0);
    }
}
