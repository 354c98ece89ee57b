//! The queue in front of one sink, and the bins of every alert that entered it. One lock guards both, so that
//! `stored = delivered + pending + dead letters + expired` holds in every snapshot, not only at rest.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// An alert on its way out.
#[derive(Debug)]
pub(super) struct Letter {
    /// `threat_id` of the alert.
    pub id: String,
    /// The alert as JSON, without a newline.
    pub json: String,
}

/// How an alert leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// The sink will never take it.
    Refused,
    /// It was tried as often as is allowed.
    RetriesSpent,
}

/// The bins of one sink. `stored` is the sum of all the others but `attempts_failed`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// Label.
    pub name: String,
    /// Alerts handed to this sink.
    pub stored: u64,
    /// Alerts the sink took.
    pub delivered: u64,
    /// Alerts that wait, the one being tried included.
    pub pending: u64,
    /// Alerts given up: the sink refused them.
    pub dead_letter_refused: u64,
    /// Alerts given up: all attempts failed.
    pub dead_letter_retries_spent: u64,
    /// Alerts never tried: the queue was full.
    pub expired_queue_full: u64,
    /// Alerts that were still waiting when the sensor had to stop.
    pub expired_shutdown: u64,
    /// Attempts that failed, retries included.
    pub attempts_failed: u64,
    /// Why the latest attempt failed; empty when it did not.
    pub failing: String,
}

impl SinkStatus {
    /// stored - delivered - pending - dead letters - expired: 0 is the promise.
    pub fn residue(&self) -> i64 {
        let binned = self.delivered
            + self.pending
            + self.dead_letter_refused
            + self.dead_letter_retries_spent
            + self.expired_queue_full
            + self.expired_shutdown;
        self.stored.wrapping_sub(binned).cast_signed()
    }
}

#[derive(Debug)]
struct Inside {
    waiting: VecDeque<Arc<Letter>>,
    status: SinkStatus,
    /// Set by stop: no waiting beyond this.
    deadline: Option<Instant>,
    /// Set at the deadline: what is still under way no longer counts.
    closed: bool,
    /// The thread is done with everything.
    idle: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Queue {
    inside: Mutex<Inside>,
    changed: Condvar,
    limit: usize,
}

impl Queue {
    pub(super) fn new(name: String, limit: usize) -> Queue {
        let status = SinkStatus { name, ..SinkStatus::default() };
        let inside = Inside { waiting: VecDeque::new(), status, deadline: None, closed: false, idle: false };
        Queue { inside: Mutex::new(inside), changed: Condvar::new(), limit }
    }

    /// Takes an alert, or counts it as expired. Never waits for the sink.
    pub(super) fn push(&self, letter: Arc<Letter>) {
        let mut inside = self.lock();
        inside.status.stored += 1;
        if inside.closed || inside.waiting.len() >= self.limit {
            inside.status.expired_queue_full += 1;
            let name = inside.status.name.clone();
            drop(inside);
            tracing::warn!(sink = name, id = letter.id, "queue full: the alert will not reach this sink");
            return;
        }
        inside.waiting.push_back(letter);
        inside.status.pending += 1;
        drop(inside);
        self.changed.notify_all();
    }

    /// The oldest alert, which stays pending; waits for one. `None` when stopped and empty.
    pub(super) fn next(&self) -> Option<Arc<Letter>> {
        let mut inside = self.lock();
        loop {
            if inside.closed {
                return None;
            }
            if let Some(letter) = inside.waiting.front() {
                return Some(Arc::clone(letter));
            }
            if inside.deadline.is_some() {
                return None;
            }
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Removes the alert that `next` gave out and counts what became of it.
    pub(super) fn settle(&self, fate: Fate) {
        let mut inside = self.lock();
        if inside.closed || inside.waiting.pop_front().is_none() {
            return;
        }
        let status = &mut inside.status;
        status.pending -= 1;
        match fate {
            Fate::Delivered => {
                status.delivered += 1;
                status.failing.clear();
            }
            Fate::Refused => status.dead_letter_refused += 1,
            Fate::RetriesSpent => status.dead_letter_retries_spent += 1,
        }
    }

    /// Counts a failed attempt.
    pub(super) fn failed(&self, reason: &str) {
        let mut inside = self.lock();
        inside.status.attempts_failed += 1;
        reason.clone_into(&mut inside.status.failing);
    }

    /// Waits before a retry, at most until the deadline. False when there is no time left for one.
    pub(super) fn pause(&self, wait: Duration) -> bool {
        let until = clock() + wait;
        let mut inside = self.lock();
        loop {
            let now = clock();
            if inside.closed || inside.deadline.is_some_and(|deadline| now >= deadline) {
                return false;
            }
            let until = inside.deadline.map_or(until, |deadline| until.min(deadline));
            if now >= until {
                return true;
            }
            let waited = self.changed.wait_timeout(inside, until - now);
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Time that an attempt may take now.
    pub(super) fn patience(&self, timeout: Duration) -> Duration {
        let deadline = self.lock().deadline;
        deadline.map_or(timeout, |deadline| timeout.min(deadline.saturating_duration_since(clock())))
    }

    /// The thread has nothing left to do.
    pub(super) fn set_idle(&self) {
        self.lock().idle = true;
        self.changed.notify_all();
    }

    /// Asks the thread to finish by `deadline`.
    pub(super) fn stop(&self, deadline: Instant) {
        self.lock().deadline = Some(deadline);
        self.changed.notify_all();
    }

    /// Waits for the thread until the deadline of `stop`, then counts and returns what was not delivered.
    pub(super) fn close(&self) -> Vec<Arc<Letter>> {
        let mut inside = self.lock();
        while let Some(deadline) = inside.deadline
            && !inside.idle
        {
            let left = deadline.saturating_duration_since(clock());
            if left.is_zero() {
                break;
            }
            inside = self.changed.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inside.closed = true;
        let expired: Vec<_> = inside.waiting.drain(..).collect();
        inside.status.expired_shutdown += expired.len() as u64;
        inside.status.pending = 0;
        drop(inside);
        self.changed.notify_all();
        expired
    }

    pub(super) fn status(&self) -> SinkStatus {
        self.lock().status.clone()
    }

    /// The counters are plain numbers, changed in one step each: they are sound after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waiting for a peer is about real time; no alert depends on it.
#[expect(clippy::disallowed_methods, reason = "sinks are the edge: retries and deadlines are real time")]
pub(super) fn clock() -> Instant {
    Instant::now()
}
