//! Where alerts end: one file a kind of sink. In come messages in the order in which things happened, out goes what
//! became of each. Never here: the outbox, waiting, giving up; see `sinks::worker`.

mod alertmanager;
mod email;
mod eve;
mod files;
mod http;
mod jsonl;
mod kafka;
mod note;
#[cfg(test)]
mod outage_tests;
mod pace;
mod reach;
mod secret;
mod slack;
mod summary;
mod syslog;
#[cfg(test)]
pub(crate) mod testing;
mod webhook;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use http::{is_forbidden, is_loopback, redacted};
pub use reach::{Reach, Reached, reach};

use crate::sinks::Sink;
use crate::sinks::config::SinksConfig;
pub use crate::sinks::config::{Limits, Only, Told};
use crate::telemetry::is_hostile;
use pace::Paced;

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

    /// How far back it is to be told at its start what it took before; zero is not at all.
    fn memory(&self) -> Duration {
        Duration::ZERO
    }

    /// What it took, and when (nanoseconds since the Unix epoch), the oldest first.
    fn remember(&mut self, _taken: &[(Message, u64)]) {}

    /// Called about once a second at `now`, nanoseconds since the Unix epoch, for what must be sent again or flushed.
    fn tick(&mut self, _now: u64) -> Result<(), String> {
        Ok(())
    }
}

/// Every sink of the settings, which were checked. Relative paths start at `state_dir`. Nothing is connected yet.
pub fn all(config: &SinksConfig, state_dir: &Path, sensor: &str) -> Vec<Sink> {
    let mut sinks = Vec::new();
    let mut add =
        |name: String, limits: Limits, target: Box<dyn Target>| sinks.push(Sink { name, limits, target });
    let console = config.console_url.as_str();
    if config.jsonl.enabled {
        let file = jsonl::JsonLines::new(state_dir.join(&config.jsonl.path), config.jsonl.rotate_bytes);
        add("jsonl".to_owned(), config.jsonl.limits(), Box::new(file));
    }
    if config.eve.enabled {
        let file = eve::Eve::new(state_dir.join(&config.eve.path), config.eve.rotate_bytes);
        add("eve".to_owned(), config.eve.limits(), Box::new(file));
    }
    for (name, sink) in config.named_webhooks() {
        let paced = Paced::new(webhook::Webhook::new(sink, sensor), sink.group_for, sink.per_minute);
        add(name, sink.limits(), Box::new(paced));
    }
    for (name, sink) in config.named_slacks() {
        let paced = Paced::new(slack::Slack::new(sink, sensor, console), sink.group_for, sink.per_minute);
        add(name, sink.limits(), Box::new(paced));
    }
    for (name, sink) in config.named_alertmanagers() {
        add(name, sink.limits(), Box::new(alertmanager::Alertmanager::new(sink, sensor, console)));
    }
    for (name, sink) in config.named_syslogs() {
        let paced = Paced::new(syslog::Syslog::new(sink, sensor), sink.group_for, sink.per_minute);
        add(name, sink.limits(), Box::new(paced));
    }
    for (name, sink) in config.named_emails() {
        let paced = Paced::new(email::Email::new(sink, sensor, console), sink.group_for, sink.per_minute);
        add(name, sink.limits(), Box::new(paced));
    }
    for (name, sink) in config.named_kafkas() {
        add(name, sink.limits(), Box::new(kafka::Kafka::new(sink, sensor)));
    }
    sinks
}

/// The outcome of messages that were sent together. When it failed, only the first has a failed attempt: what failed
/// is tried alone, and the others are to stay together.
fn together(outcome: Outcome, messages: usize) -> Vec<Outcome> {
    let others = match &outcome {
        Outcome::Retry { .. } => Outcome::Wait { after: Duration::ZERO },
        outcome => outcome.clone(),
    };
    let mut outcomes = vec![others; messages];
    if let Some(first) = outcomes.first_mut() {
        *first = outcome;
    }
    outcomes
}

/// JSON escapes the lower control characters only; these would act on a terminal that shows the line. They can
/// stand in strings alone, where an escape means the same.
pub fn harmless(json: String) -> String {
    if !json.chars().any(is_hostile) {
        return json;
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        // All of them lie below U+10000: one escape each.
        if is_hostile(c) { safe.push_str(&format!("\\u{:04x}", u32::from(c))) } else { safe.push(c) }
    }
    safe
}

#[expect(clippy::disallowed_methods, reason = "sinks are the edge: peers want to know when")]
fn wall() -> SystemTime {
    SystemTime::now()
}

#[expect(clippy::disallowed_methods, reason = "sinks are the edge: pauses between messages are real time")]
fn clock() -> Instant {
    Instant::now()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
