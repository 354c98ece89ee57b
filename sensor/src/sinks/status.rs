//! The bins of one sink.

use serde::Serialize;

/// What became of a sink's messages since the database began, over every restart. `stored` is the sum of all the others
/// but `attempts_failed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// Label.
    pub name: String,
    /// Messages for this sink.
    pub stored: u64,
    /// Messages the sink took.
    pub delivered: u64,
    /// Messages that wait, the one being tried included.
    pub pending: u64,
    /// Messages given up: the sink refused them.
    pub dead_letter_refused: u64,
    /// Messages given up: they were tried for as long as is allowed.
    pub dead_letter_retries_spent: u64,
    /// The oldest of too many that waited.
    pub expired_queue_full: u64,
    /// What waited when the sink left the configuration.
    pub expired_removed: u64,
    /// Dead letters whose event retention removed.
    pub expired_retention: u64,
    /// Attempts that failed, retries included.
    pub attempts_failed: u64,
    /// Why the latest attempt failed; empty when it did not.
    pub failing: String,
}

impl SinkStatus {
    /// Messages given up that can be tried again.
    pub fn dead_letters(&self) -> u64 {
        self.dead_letter_refused + self.dead_letter_retries_spent
    }

    /// Messages that nobody tries any more, and cannot.
    pub fn expired(&self) -> u64 {
        self.expired_queue_full + self.expired_removed + self.expired_retention
    }

    /// stored - delivered - pending - dead letters - expired: 0 is the promise.
    pub fn residue(&self) -> i64 {
        let binned = self.delivered + self.pending + self.dead_letters() + self.expired();
        self.stored.wrapping_sub(binned).cast_signed()
    }
}
