//! How what is remembered fades, and how long it is kept.

use super::damped::Scales;

/// How recent counts fade. Most entries were seen in the window before, and so fade by the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fading {
    pub(super) memory: f64,
    pub(super) latest: (u64, f64),
    pub(super) scales: Scales,
}

impl Fading {
    /// What is left after `passed` nanoseconds.
    pub(super) fn over(&mut self, passed: u64) -> f64 {
        if passed == 0 {
            return 1.0;
        }
        if self.latest.0 != passed {
            self.latest = (passed, (-(passed as f64) / self.memory).exp());
        }
        self.latest.1
    }
}

/// How long something that was never answered is kept in silence: a day while there is room (a name that is called
/// out once in an hour is an old acquaintance), `least` when half of the table is taken.
pub(super) fn patience(taken: usize, room: usize, least: u64) -> u64 {
    let hour = 3600 * crate::flow::SECOND;
    match (taken.saturating_mul(4) < room, taken.saturating_mul(2) < room) {
        (true, _) => 24 * hour,
        (false, true) => hour,
        (false, false) => least,
    }
}
