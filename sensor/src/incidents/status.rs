//! Counters of what the incidents were asked.

use std::sync::atomic::{AtomicU64, Ordering};

/// What there is and what was done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IncidentsStatus {
    /// Incidents that people here made or imported.
    pub own: u64,
    /// Incidents that came with the sensor.
    pub starter: u64,
    /// Alerts with a recommendation.
    pub recommended: u64,
    /// Alerts that no incident was like.
    pub not_recommended: u64,
    /// Anomalies of other systems that an incident matched.
    pub decisions_matched: u64,
    /// Anomalies of other systems that none matched.
    pub decisions_unmatched: u64,
}

/// Counted by whoever asks; relaxed, for nothing is read by them but the numbers.
#[derive(Debug, Default)]
pub(super) struct Counts {
    recommended: [AtomicU64; 2],
    decided: [AtomicU64; 2],
}

impl Counts {
    pub(super) fn recommended(&self, found: bool) {
        self.recommended[usize::from(found)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn decided(&self, matched: bool) {
        self.decided[usize::from(matched)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn status(&self, own: u64, starter: u64) -> IncidentsStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IncidentsStatus {
            own,
            starter,
            recommended: read(&self.recommended[1]),
            not_recommended: read(&self.recommended[0]),
            decisions_matched: read(&self.decided[1]),
            decisions_unmatched: read(&self.decided[0]),
        }
    }
}
