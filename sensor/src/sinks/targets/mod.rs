//! Where alerts end: one file a kind of sink. In come messages in the order in which things happened, out goes what
//! became of each. Never here: the outbox, waiting, giving up; see `sinks::worker`.

pub mod jsonl;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

/// What a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A new alert.
    Raised,
    /// An alert grew, or somebody acknowledged or reopened it.
    Updated,
    /// Somebody resolved an alert.
    Resolved,
    /// An answer to an anomaly that somebody posted.
    Decision,
    /// The sensor's own state.
    System,
}

/// One message of the outbox. It may come again with the same `id`, if it is not known whether it arrived.
#[derive(Clone, Debug)]
pub struct Message {
    /// The outbox row: grows, and is the same at every attempt.
    pub id: i64,
    /// The event.
    pub event: i64,
    /// `threat_id` of the alert or id of the decision; empty for the sensor's own state.
    pub about: String,
    /// What it tells.
    pub told: Told,
    /// One JSON object without a newline, harmless on a terminal. An alert also has `state` and who changed it.
    pub json: Arc<str>,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// Not yet, by the target's own choice (grouping, a rate limit): no failure, and no attempt is counted.
    Wait {
        /// When to come again.
        after: Duration,
    },
    /// Worth another attempt.
    Retry {
        /// Why, for people, without secrets.
        error: String,
        /// The peer's own wish when to come again.
        after: Option<Duration>,
    },
    /// It will never be taken.
    Refused {
        /// Why, for people, without secrets.
        error: String,
    },
}

/// A kind of sink. Runs on a thread of its own and may block it for about `timeout`.
pub trait Target: Send {
    /// Sends up to [`Target::batch`] messages; one outcome for each, in order. A missing outcome is a retry.
    fn deliver(&mut self, messages: &[Message], timeout: Duration) -> Vec<Outcome>;

    /// Messages that fit in one delivery.
    fn batch(&self) -> usize {
        1
    }

    /// Called about once a second at `now`, nanoseconds since the Unix epoch, for what must be sent again or flushed.
    fn tick(&mut self, _now: u64) -> Result<(), String> {
        Ok(())
    }
}
