//! Many messages as one where a storm would drown people, and not more of them a minute than is wanted.
//!
//! One rule: a message goes out when the last one is `group_for` ago and fewer than `per_minute` went out in the last
//! minute. The first is told at once. When the time comes, a single waiting message is told as it is, several become
//! one summary with exact counts, and all of them count as delivered. What waits stays in the outbox, so a restart
//! loses none.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::summary::Summary;
use super::{Message, Outcome, Target, clock, together};

/// Messages in one summary; further ones are in the next.
const LARGEST_SUMMARY: usize = 1000;
const MINUTE: Duration = Duration::from_secs(60);

/// A medium that tells one message, or a summary of several.
pub trait Notify: Send {
    /// Tells one.
    fn one(&mut self, message: &Message, timeout: Duration) -> Outcome;
    /// Tells several as one.
    fn summary(&mut self, summary: &Summary, timeout: Duration) -> Outcome;
}

/// See the head of this file.
#[derive(Debug)]
pub struct Paced<N> {
    medium: N,
    group_for: Duration,
    per_minute: usize,
    /// When messages went out in the last minute.
    sent: VecDeque<Instant>,
}

impl<N: Notify> Paced<N> {
    /// No grouping with zero, no limit with zero.
    pub fn new(medium: N, group_for: Duration, per_minute: u32) -> Paced<N> {
        Paced { medium, group_for, per_minute: per_minute as usize, sent: VecDeque::new() }
    }

    fn is_plain(&self) -> bool {
        self.group_for.is_zero() && self.per_minute == 0
    }

    /// How long to wait yet.
    fn wait(&mut self, now: Instant) -> Duration {
        while self
            .sent
            .front()
            .is_some_and(|sent| now.saturating_duration_since(*sent) >= MINUTE.max(self.group_for))
        {
            self.sent.pop_front();
        }
        let since = |sent: &Instant| now.saturating_duration_since(*sent);
        let group =
            self.sent.back().map_or(Duration::ZERO, |last| self.group_for.saturating_sub(since(last)));
        let in_minute: Vec<&Instant> = self.sent.iter().filter(|sent| since(sent) < MINUTE).collect();
        let limit = match in_minute.len().checked_sub(self.per_minute) {
            Some(beyond) if self.per_minute > 0 => {
                in_minute.get(beyond).map_or(Duration::ZERO, |sent| MINUTE.saturating_sub(since(sent)))
            }
            _ => Duration::ZERO,
        };
        group.max(limit)
    }

    fn deliver_at(&mut self, messages: &[Message], timeout: Duration, now: Instant) -> Vec<Outcome> {
        if self.is_plain() {
            return messages.iter().map(|message| self.medium.one(message, timeout)).collect();
        }
        let wait = self.wait(now);
        if !wait.is_zero() {
            return vec![Outcome::Wait { after: wait }; messages.len()];
        }
        let outcome = match messages {
            [] => return Vec::new(),
            [one] => self.medium.one(one, timeout),
            several => self.medium.summary(&Summary::of(several), timeout),
        };
        if outcome == Outcome::Delivered {
            self.sent.push_back(now);
        }
        together(outcome, messages.len())
    }
}

impl<N: Notify> Target for Paced<N> {
    fn deliver(&mut self, messages: &[Message], timeout: Duration) -> Vec<Outcome> {
        self.deliver_at(messages, timeout, clock())
    }

    fn batch(&self) -> usize {
        if self.is_plain() { 1 } else { LARGEST_SUMMARY }
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
