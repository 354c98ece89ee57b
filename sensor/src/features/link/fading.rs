//! How much of something there was lately, on three time scales at once.

use crate::flow::SECOND;

/// Time constants, seconds.
pub const SCALES: [f64; 3] = [10.0, 60.0, 600.0];
/// What is younger has no usual rate, nanoseconds.
const YOUNG: u64 = 60 * SECOND;

/// Frames and bytes that fade on each of the [`SCALES`]: the damped sums of AfterImage (Mirsky et al., 2018, IV-B), with
/// `exp(-t / scale)` for its `2^(-lambda t)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fading {
    frames: [f64; 3],
    bytes: [f64; 3],
    first: u64,
    last: u64,
}

impl Fading {
    /// Nothing yet; the first window ends at `now`.
    pub fn new(now: u64) -> Fading {
        Fading { first: now.saturating_sub(SECOND), last: now, ..Fading::default() }
    }

    /// Adds what a window that ends at `now` had.
    pub fn add(&mut self, now: u64, frames: f64, bytes: f64) {
        let passed = now.saturating_sub(self.last) as f64 / SECOND as f64;
        for (at, scale) in SCALES.iter().enumerate() {
            let left = (-passed / scale).exp();
            self.frames[at] = self.frames[at] * left + frames;
            self.bytes[at] = self.bytes[at] * left + bytes;
        }
        self.last = self.last.max(now);
    }

    /// Frames per second on a scale, as of the latest window: that of what began lately is not too low.
    pub fn rate(&self, scale: usize) -> f64 {
        let age = self.last.saturating_sub(self.first) as f64 / SECOND as f64;
        let length = SCALES[scale] * (1.0 - (-age / SCALES[scale]).exp());
        if length > 0.0 { self.frames[scale] / length } else { 0.0 }
    }

    /// How many times the usual rate a window's rate is, with a frame a second of tolerance, and by what part the mean
    /// size differs from the usual one; before the window is added. Usual is the longest scale.
    pub fn change(&self, now: u64, frames: f64, bytes: f64, seconds: f64) -> (f64, f64) {
        let [.., usual_frames] = self.frames;
        let [.., usual_bytes] = self.bytes;
        if now.saturating_sub(self.first) < YOUNG || usual_frames <= 0.0 || frames <= 0.0 {
            return (1.0, 0.0);
        }
        let passed = now.saturating_sub(self.last) as f64 / SECOND as f64;
        let usual = self.rate(2) * (-passed / SCALES[2]).exp();
        let usual_size = usual_bytes / usual_frames;
        let size = (bytes / frames - usual_size).abs() / usual_size.max(1.0);
        ((frames / seconds + 1.0) / (usual + 1.0), size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_on_every_scale_and_a_change_shows() {
        let mut fading = Fading::new(SECOND);
        for second in 1..=300u64 {
            fading.add(second * SECOND, 20.0, 20.0 * 174.0);
        }
        for scale in 0..SCALES.len() {
            assert!((fading.rate(scale) / 20.0 - 1.0).abs() < 0.06, "{scale}: {}", fading.rate(scale));
        }
        let (surge, size) = fading.change(301 * SECOND, 20.0, 20.0 * 174.0, 1.0);
        assert!((surge - 1.0).abs() < 0.05 && size < 1e-9, "{surge} {size}");
        let (surge, size) = fading.change(301 * SECOND, 200.0, 200.0 * 87.0, 1.0);
        assert!(surge > 9.0 && (size - 0.5).abs() < 1e-9, "{surge} {size}");
        fading.add(311 * SECOND, 0.0, 0.0);
        assert!(fading.rate(0) < 8.0 && fading.rate(2) > 19.0);
    }
}
