//! Alerts to people and systems: a file of JSON lines and HTTP webhooks.
//!
//! In come alerts, out go files and requests. Each sink has a queue and a thread of its own, so a slow one
//! delays neither the analysis nor the others. What cannot be delivered is counted and logged with its id,
//! never dropped in silence.

mod config;
mod jsonl;
mod queue;
mod webhook;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use config::{JsonlConfig, SinksConfig, WebhookConfig};
pub use queue::SinkStatus;
pub use webhook::redacted;

use crate::alert::Alert;
use crate::telemetry::is_hostile;
use queue::{Letter, Queue, clock};
use worker::{Patience, Target};

/// The file is quick and its lines are small: this many wait through a stall of the disk.
const JSONL_QUEUE: usize = 10_000;
const JSONL_PATIENCE: Patience =
    Patience { timeout: Duration::from_secs(10), retries: 3, backoff: Duration::from_millis(200) };

/// All sinks, running.
#[derive(Debug)]
pub struct Sinks {
    queues: Vec<Arc<Queue>>,
}

/// A sink that could not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start a thread for sink {name}: {source}; the limit of threads (ulimit -u, TasksMax) may be too low"
)]
pub struct SinksError {
    name: String,
    source: std::io::Error,
}

impl Sinks {
    /// Starts a thread for each sink. Relative paths start at `state_dir`.
    pub fn start(config: &SinksConfig, state_dir: &Path) -> Result<Sinks, SinksError> {
        let mut sinks = Sinks { queues: Vec::new() };
        if config.jsonl.enabled {
            let file = jsonl::JsonLines::new(state_dir.join(&config.jsonl.path), config.jsonl.rotate_bytes);
            sinks.add("jsonl".to_owned(), JSONL_QUEUE, JSONL_PATIENCE, Target::File(file))?;
        }
        for (name, webhook) in config.named_webhooks() {
            let patience =
                Patience { timeout: webhook.timeout, retries: webhook.retries, backoff: webhook.backoff };
            sinks.add(name, webhook.queue, patience, Target::Http(webhook::Webhook::new(webhook)))?;
        }
        Ok(sinks)
    }

    fn add(
        &mut self,
        name: String,
        limit: usize,
        patience: Patience,
        target: Target,
    ) -> Result<(), SinksError> {
        let queue = Arc::new(Queue::new(name.clone(), limit));
        let (thread_queue, thread_name) = (Arc::clone(&queue), name.clone());
        // Not joined: at the deadline of `stop` an attempt may still be under way, and must not hold the process.
        std::thread::Builder::new()
            .name(format!("sink-{name}"))
            .spawn(move || worker::run(&thread_name, target, patience, &thread_queue))
            .map_err(|source| SinksError { name, source })?;
        self.queues.push(queue);
        Ok(())
    }

    /// Hands an alert to every sink. Never waits for one.
    pub fn send(&self, alert: &Alert) {
        let json = match serde_json::to_string(alert) {
            Ok(json) => harmless(json),
            // Only a map with keys that are not text can fail, and an alert has none.
            Err(error) => {
                tracing::error!(id = alert.threat_id, %error, "alert is not JSON");
                return;
            }
        };
        let letter = Arc::new(Letter { id: alert.threat_id.clone(), json });
        for queue in &self.queues {
            queue.push(Arc::clone(&letter));
        }
    }

    /// What became of the alerts, by sink.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.queues.iter().map(|queue| queue.status()).collect()
    }

    /// Delivers what waits, for at most `patience`; the rest expires, is counted and logged. Returns the final bins.
    pub fn stop(self, patience: Duration) -> Vec<SinkStatus> {
        let deadline = clock() + patience;
        for queue in &self.queues {
            queue.stop(deadline);
        }
        for queue in &self.queues {
            let expired = queue.close();
            let sink = queue.status().name;
            for letter in expired {
                tracing::error!(sink, id = letter.id, "stopped before the alert was delivered");
            }
        }
        self.status()
    }
}

/// JSON escapes the lower control characters only; these would act on a terminal that shows the line. They can
/// stand in strings alone, where an escape means the same.
fn harmless(json: String) -> String {
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

#[cfg(test)]
mod tests;
