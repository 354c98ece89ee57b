//! The thread of one sink: takes alerts from its queue in order, tries, waits, tries again, gives up.

use std::sync::Arc;
use std::time::Duration;

use super::jsonl::JsonLines;
use super::queue::{Fate, Queue};
use super::webhook::Webhook;

/// Waits do not grow beyond this.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// What one attempt came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Delivered,
    /// Worth another attempt, after the peer's own wish if it had one.
    Retry {
        reason: String,
        after: Option<Duration>,
    },
    /// Will never be taken.
    Refused {
        reason: String,
    },
}

/// Where alerts end.
#[derive(Debug)]
pub(super) enum Target {
    File(JsonLines),
    Http(Webhook),
}

/// How often and how fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For one attempt.
    pub timeout: Duration,
    /// Further attempts after the first.
    pub retries: u32,
    /// Before the first retry.
    pub backoff: Duration,
}

/// Runs until the queue is stopped and empty, or closed.
pub(super) fn run(name: &str, mut target: Target, patience: Patience, queue: &Arc<Queue>) {
    while let Some(letter) = queue.next() {
        let Some(fate) = deliver(name, &mut target, patience, queue, &letter.id, &letter.json) else {
            break;
        };
        queue.settle(fate);
    }
    queue.set_idle();
}

/// `None` when there was no time left.
fn deliver(
    name: &str,
    target: &mut Target,
    patience: Patience,
    queue: &Queue,
    id: &str,
    json: &str,
) -> Option<Fate> {
    for attempt in 0..=patience.retries {
        let timeout = queue.patience(patience.timeout);
        if timeout.is_zero() {
            return None;
        }
        let outcome = match target {
            Target::File(file) => file.append(json),
            Target::Http(webhook) => webhook.post(json, timeout),
        };
        let (reason, after) = match outcome {
            Outcome::Delivered => return Some(Fate::Delivered),
            Outcome::Refused { reason } => {
                queue.failed(&reason);
                tracing::error!(sink = name, id, reason, "the sink refused the alert: it is a dead letter");
                return Some(Fate::Refused);
            }
            Outcome::Retry { reason, after } => (reason, after),
        };
        queue.failed(&reason);
        if attempt == patience.retries {
            tracing::error!(
                sink = name,
                id,
                attempts = attempt + 1,
                reason,
                "gave up: the alert is a dead letter"
            );
            break;
        }
        let wait = after.unwrap_or_else(|| backoff(patience.backoff, attempt, id));
        tracing::warn!(
            sink = name,
            id,
            attempt = attempt + 1,
            wait_ms = wait.as_millis() as u64,
            reason,
            "will retry"
        );
        if !queue.pause(wait) {
            return None;
        }
    }
    Some(Fate::RetriesSpent)
}

/// Doubles with each attempt; between 75 and 125 % of that by the alert's id, so that sensors do not march in step.
fn backoff(first: Duration, attempt: u32, id: &str) -> Duration {
    let doubled = first.saturating_mul(1 << attempt.min(16)).min(LONGEST_BACKOFF);
    // FNV-1a.
    let hash = id.bytes().chain([attempt as u8]).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    doubled.mul_f64(0.75 + (hash >> 48) as f64 / f64::from(u16::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_bounds_and_are_the_same_each_time() {
        for (attempt, seconds) in [(0, 1.0), (1, 2.0), (2, 4.0), (10, 30.0), (99, 30.0)] {
            let wait = backoff(Duration::from_secs(1), attempt, "THREAT_20260101_001");
            assert!((seconds * 0.749..=seconds * 1.251).contains(&wait.as_secs_f64()), "{attempt}: {wait:?}");
            assert_eq!(wait, backoff(Duration::from_secs(1), attempt, "THREAT_20260101_001"));
        }
        let ids: std::collections::BTreeSet<_> =
            (0..20).map(|n| backoff(Duration::from_secs(1), 0, &format!("THREAT_20260101_{n:03}"))).collect();
        assert!(ids.len() > 10);
    }
}
