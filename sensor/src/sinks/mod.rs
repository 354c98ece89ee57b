//! Alerts to people and systems: a file of JSON lines, HTTP endpoints and others.
//!
//! In come the outbox rows of the store, out go messages; each sink has a thread of its own that reads its rows in order,
//! delivers, and writes down what became of them. A slow sink delays neither the analysis nor the others. A message may
//! come twice, with the same id, and never not at all: what cannot be delivered waits over every restart, and what nobody
//! tries any more is counted and can be tried again.

mod backoff;
pub mod config;
mod status;
pub mod targets;
pub mod trial;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use config::{JsonlConfig, Limits, Only, SinksConfig, WebhookConfig};
pub use status::SinkStatus;
pub use targets::redacted;
pub use targets::{Message, Outcome, Target, Told};

use crate::store::outbox;
use crate::store::{Recipient, Store, StoreError};
use worker::{Handle, clock};

/// A sink as the configuration has it.
pub struct Sink {
    /// Label in metrics and logs.
    pub name: String,
    /// How it is served.
    pub limits: Limits,
    /// What takes the messages.
    pub target: Box<dyn Target>,
}

/// All sinks, running; clones share them.
#[derive(Clone, Debug)]
pub struct Sinks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    /// `None` after the end.
    running: Mutex<Option<Vec<Arc<Handle>>>>,
}

/// A sink that could not start.
#[derive(Debug, thiserror::Error)]
pub enum SinksError {
    /// No thread.
    #[error(
        "cannot start a thread for sink {name}: {source}; the limit of threads (ulimit -u, TasksMax) may be too low"
    )]
    Thread {
        /// The sink.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// No store.
    #[error("sinks: {0}")]
    Store(#[from] StoreError),
}

/// The sinks of the configuration. Relative paths start at `state_dir`.
pub fn configured(config: &SinksConfig, state_dir: &Path) -> Vec<Sink> {
    targets::all(config, state_dir, &config.sensor())
}

impl Sinks {
    /// Starts a thread for each sink. What an earlier run left for a sink that is not among them expires.
    pub fn start(sinks: Vec<Sink>, store: &Store) -> Result<Sinks, SinksError> {
        let running = Mutex::new(Some(Vec::new()));
        let started = Sinks(Arc::new(Inner { store: store.clone(), running }));
        started.replace(sinks, Duration::ZERO)?;
        Ok(started)
    }

    /// Ends the sinks that run, as [`Sinks::stop`] does, and starts these. What waits for a sink that is among these too
    /// waits on; an attempt that takes longer than `patience` may be made twice, with the same id.
    pub fn replace(&self, sinks: Vec<Sink>, patience: Duration) -> Result<(), SinksError> {
        let Some(before) = self.running().clone() else { return Ok(()) };
        end(&before, patience);
        let names: Vec<String> = sinks.iter().map(|sink| sink.name.clone()).collect();
        let store = &self.0.store;
        let gone = store.write(move |tx| outbox::expire_others(tx, &names, crate::store::ingest::now()))?;
        for (sink, messages) in gone {
            tracing::warn!(
                sink,
                messages,
                "the sink is not in the configuration any more: what it had yet to be told expired"
            );
        }
        let recipient = |sink: &Sink| {
            let only = sink.limits.only.clone();
            Recipient {
                name: sink.name.clone(),
                wanted: Arc::new(move |told, alert| only.wants(told, alert)),
            }
        };
        store.set_recipients(sinks.iter().map(recipient).collect());
        let mut handles = Vec::new();
        for sink in sinks {
            let name = sink.name.clone();
            let handle = Handle::start(sink, store).map_err(|source| SinksError::Thread { name, source })?;
            handles.push(Arc::new(handle));
        }
        if let Some(running) = self.running().as_mut() {
            *running = handles;
        } else {
            // It was the end meanwhile.
            end(&handles, Duration::ZERO);
        }
        Ok(())
    }

    /// What became of the messages, by sink.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.running().iter().flatten().map(|handle| handle.status()).collect()
    }

    /// Waits for attempts under way, and delivers what is due, for at most `patience`; the rest stays pending for the
    /// next start. Returns the final bins. Nothing starts afterwards.
    pub fn stop(self, patience: Duration) -> Vec<SinkStatus> {
        let handles = self.running().take().unwrap_or_default();
        end(&handles, patience)
    }

    /// A list is replaced in one step: sound after a panic elsewhere.
    fn running(&self) -> MutexGuard<'_, Option<Vec<Arc<Handle>>>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(handles: &[Arc<Handle>], patience: Duration) -> Vec<SinkStatus> {
    let deadline = clock() + patience;
    for handle in handles {
        handle.stop(deadline);
    }
    handles.iter().map(|handle| handle.join(deadline)).collect()
}

#[cfg(test)]
mod replace_tests;
#[cfg(test)]
mod tests;
