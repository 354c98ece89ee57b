//! Writes what was learned while the sensor runs, on a thread of its own: the analysis hands a copy over and goes on.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::request::Mailbox;
use super::store::{LIVE, Store};
use crate::analysis::{Analysis, Learned};
use crate::score::ScoreConfig;

/// How the saving goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelStatus {
    /// Models saved since the start.
    pub saved: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Times one was due and the one before was still being written.
    pub skipped: u64,
    /// Snapshots on disk.
    pub snapshots: u64,
    /// Requests to go on with another model that were granted.
    pub promoted: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// When the latest one was saved, nanoseconds since the Unix epoch on the clock of the traffic; 0 before.
    pub saved_at: u64,
    /// Its training steps.
    pub generation: u64,
    /// Why the latest attempt failed; empty when it did not.
    pub failing: String,
}

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    learned: SyncSender<Learned>,
    /// Closed when the thread is done.
    done: Receiver<()>,
    status: Arc<Mutex<ModelStatus>>,
    /// Nanoseconds from one to the next.
    every: u64,
    /// When it was due last, and whether the model was active then.
    latest: Option<(u64, bool)>,
    /// Where another model comes from.
    pub mailbox: Arc<Mailbox>,
}

impl Keeper {
    /// Starts the thread.
    pub fn start(state_dir: &Path, config: &ScoreConfig) -> std::io::Result<Keeper> {
        // A model that is put aside, and the one that takes its place.
        let (sender, waiting) = sync_channel::<Learned>(2);
        let most = config.snapshots;
        let (alive, done) = sync_channel(1);
        let store = Store::new(state_dir);
        let status = Arc::new(Mutex::new(on_disk(&store)));
        let shared = Arc::clone(&status);
        thread::Builder::new().name("model".to_owned()).spawn(move || {
            for learned in waiting {
                save(&store, &learned, most, &shared);
            }
            drop(alive);
        })?;
        let every = u64::try_from(config.snapshot_every.as_nanos()).unwrap_or(u64::MAX);
        Ok(Keeper { learned: sender, done, status, every, latest: None, mailbox: Arc::default() })
    }

    /// Between two windows: takes up the model that somebody asked for, and saves what was learned when it is due.
    pub fn tend(&mut self, analysis: &mut Analysis, now: u64) {
        let active = analysis.state().name() == "active";
        if let Some(asked) = self.mailbox.take() {
            self.exchange(analysis, asked);
        } else if self.is_due(now, active) {
            self.save_of(analysis);
        }
    }

    /// The model there was is saved first, so that there is a way back.
    fn exchange(&mut self, analysis: &mut Analysis, asked: Learned) {
        self.save_of(analysis);
        let about = asked.about();
        let granted = analysis.take_up(asked);
        let mut status = lock(&self.status);
        match granted {
            Ok(()) => {
                status.promoted += 1;
                tracing::warn!(generation = about.generation, "going on with the model that was asked for");
            }
            Err(error) => {
                status.refused += 1;
                tracing::error!(%error, "the model that was asked for does not fit: going on with the present one");
            }
        }
        drop(status);
        self.save_of(analysis);
    }

    fn save_of(&self, analysis: &Analysis) {
        match analysis.learned() {
            Ok(learned) => self.save(learned),
            Err(error) => fail(&self.status, &error.to_string()),
        }
    }

    /// Whether a model should be saved at `now`: some time after the latest, and as soon as it is active.
    fn is_due(&mut self, now: u64, active: bool) -> bool {
        let (at, was_active) = *self.latest.get_or_insert((now, active));
        let due = now.saturating_sub(at) >= self.every || (active && !was_active);
        if due {
            self.latest = Some((now, active));
        }
        due
    }

    /// Takes a copy to save. Never waits.
    fn save(&self, learned: Learned) {
        match self.learned.try_send(learned) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                lock(&self.status).skipped += 1;
                tracing::warn!("what was learned is not saved this time: the disk does not keep up");
            }
            Err(TrySendError::Disconnected(_)) => fail(&self.status, "its thread has ended"),
        }
    }

    /// How it goes.
    pub fn status(&self) -> ModelStatus {
        lock(&self.status).clone()
    }

    /// Saves the last one, for at most `patience`.
    pub fn stop(self, analysis: &Analysis, patience: Duration) -> ModelStatus {
        // There is room unless the disk stands still; then one more would not help.
        self.save_of(analysis);
        let Keeper { learned, done, status, .. } = self;
        drop(learned);
        // Nothing is ever sent: the end is that the other side is gone.
        if done.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            fail(&status, "it took too long");
        }
        lock(&status).clone()
    }
}

/// What an earlier run left.
fn on_disk(store: &Store) -> ModelStatus {
    let saved = fs::metadata(store.path(LIVE)).and_then(|live| live.modified());
    let saved = saved.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    ModelStatus {
        snapshots: store.snapshots().map_or(0, |all| all.len() as u64),
        saved_at: u64::try_from(saved.as_nanos()).unwrap_or(0),
        ..ModelStatus::default()
    }
}

fn save(store: &Store, learned: &Learned, most: usize, status: &Mutex<ModelStatus>) {
    let about = learned.about();
    let saved = learned.encode().map_err(|error| error.to_string());
    let saved = saved.and_then(|bytes| store.save(&bytes).map_err(|error| error.to_string()));
    if let Err(error) = saved {
        return fail(status, &error);
    }
    let mut now = lock(status);
    now.saved += 1;
    now.failing.clear();
    (now.saved_at, now.generation) = (about.saved_at, about.generation);
    drop(now);
    // Of a model that knows nothing yet there is nothing to go back to.
    if about.state == "active" && most > 0 {
        let kept = store.snapshot(&about, most).and_then(|_| store.snapshots());
        match kept {
            Ok(all) => lock(status).snapshots = all.len() as u64,
            Err(error) => fail(status, &format!("snapshot: {error}")),
        }
    }
}

fn fail(status: &Mutex<ModelStatus>, why: &str) {
    tracing::error!("what was learned could not be saved: {why}; check that state_dir has room");
    let mut status = lock(status);
    status.failed += 1;
    why.clone_into(&mut status.failing);
}

/// The counters are plain numbers: they are sound after a panic elsewhere.
fn lock(status: &Mutex<ModelStatus>) -> MutexGuard<'_, ModelStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
