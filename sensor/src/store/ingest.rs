//! From the analysis to the store: a bounded queue that never makes the analysis wait, and a thread that commits together
//! what waits together. What was committed is safe; what found no room is counted and named.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{ErrorCode, Transaction};
use serde::Serialize;

use super::evidence;
use super::retention::{self, Limits};
use super::{Store, StoreError, alerts};
use crate::alert::{Alert, Raised};
use crate::capture::Sample;

/// Alerts, updates and evidence that may wait.
const QUEUE: usize = 10_000;
/// In one commit.
const TOGETHER: usize = 500;
/// Waits between attempts to commit: the first, and the longest.
const BACKOFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];
/// How often retention looks.
const TEND_EVERY: Duration = Duration::from_secs(60);

/// Looks at an alert before it is stored; it may add to it.
pub type Hook = Box<dyn FnMut(&mut Raised) + Send>;

/// How it is doing. `offered = stored + suppressed + refused + waiting`, always, of new alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IngestStatus {
    /// New alerts handed over.
    pub offered: u64,
    /// New alerts on disk.
    pub stored: u64,
    /// New alerts that found no room in the queue, or no time before the end.
    pub suppressed: u64,
    /// New alerts that the store refused: the id was there already.
    pub refused: u64,
    /// New alerts that wait.
    pub waiting: u64,
    /// Changes of alerts on disk.
    pub updated: u64,
    /// Changes and evidence that were dropped.
    pub dropped: u64,
    /// Commits.
    pub commits: u64,
    /// Why the latest commit failed; empty when it did not.
    pub failing: String,
    /// Bytes of the database that are in use.
    pub bytes: u64,
    /// Bytes of evidence.
    pub evidence_bytes: u64,
    /// Events that retention removed since the start.
    pub events_removed: u64,
    /// Alerts that retention removed since the start.
    pub alerts_removed: u64,
}

impl IngestStatus {
    /// raised - stored - suppressed - refused - waiting: 0 is the promise. `raised` is what the analysis counted.
    pub fn residue(&self, raised: u64) -> i64 {
        let binned = self.stored + self.suppressed + self.refused + self.waiting;
        raised.wrapping_sub(binned).cast_signed()
    }
}

#[derive(Clone, Debug)]
enum Item {
    Raised(Box<Raised>),
    Update(Box<Alert>),
    Evidence(String, Vec<Sample>),
}

/// See the head of this file.
pub struct Ingest {
    items: Option<SyncSender<Item>>,
    /// Closed when the thread is done.
    done: Receiver<()>,
    status: Arc<Mutex<IngestStatus>>,
}

impl Ingest {
    /// Starts the thread. `hook` sees every new alert before it is stored.
    pub fn start(store: Store, limits: Limits, hook: Option<Hook>) -> std::io::Result<Ingest> {
        let (items, waiting) = sync_channel(QUEUE);
        let (alive, done) = sync_channel(1);
        let status = Arc::new(Mutex::new(IngestStatus::default()));
        let mut keeper = Keeper { store, limits, hook, status: Arc::clone(&status), tended: None };
        std::thread::Builder::new().name("ingest".to_owned()).spawn(move || {
            keeper.run(&waiting);
            drop(alive);
        })?;
        Ok(Ingest { items: Some(items), done, status })
    }

    /// Takes a new alert, or counts it as suppressed. Never waits.
    pub fn offer(&self, raised: Raised) {
        // Before it is sent: the thread may store it at once.
        let mut status = lock(&self.status);
        status.offered += 1;
        status.waiting += 1;
        let id = raised.alert.threat_id.clone();
        if !self.send(Item::Raised(Box::new(raised))) {
            status.waiting -= 1;
            status.suppressed += 1;
            drop(status);
            tracing::error!(id, "the queue to the store is full: the alert is not kept and reaches no sink");
        }
    }

    /// Takes what an alert became. Never waits.
    pub fn offer_update(&self, alert: Alert) {
        let id = alert.threat_id.clone();
        if !self.send(Item::Update(Box::new(alert))) {
            lock(&self.status).dropped += 1;
            tracing::warn!(id, "the queue to the store is full: a change of the alert is not kept");
        }
    }

    /// Takes further packets of an alert. Never waits.
    pub fn offer_evidence(&self, threat_id: String, packets: Vec<Sample>) {
        if !self.send(Item::Evidence(threat_id, packets)) {
            lock(&self.status).dropped += 1;
        }
    }

    fn send(&self, item: Item) -> bool {
        let Some(items) = &self.items else { return false };
        !matches!(items.try_send(item), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
    }

    /// How it is doing.
    pub fn status(&self) -> IngestStatus {
        lock(&self.status).clone()
    }

    /// Stores what waits, for at most `patience`; what does not reach the disk is counted.
    pub fn stop(mut self, patience: Duration) -> IngestStatus {
        self.items = None;
        // Nothing is ever sent: the end is that the other side is gone.
        let _ended_or_late = self.done.recv_timeout(patience);
        let mut status = lock(&self.status);
        if status.waiting > 0 {
            tracing::error!(alerts = status.waiting, "stopped before these alerts were stored");
        }
        status.suppressed += std::mem::take(&mut status.waiting);
        status.clone()
    }
}

/// The counters are plain numbers: they are sound after a panic elsewhere.
fn lock(status: &Mutex<IngestStatus>) -> MutexGuard<'_, IngestStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread.
struct Keeper {
    store: Store,
    limits: Limits,
    hook: Option<Hook>,
    status: Arc<Mutex<IngestStatus>>,
    tended: Option<Instant>,
}

/// What became of one item within a transaction that was committed.
enum Fate {
    Stored,
    Updated,
    Refused(String),
    Dropped,
}

impl Keeper {
    fn run(&mut self, waiting: &Receiver<Item>) {
        loop {
            self.tend();
            let first = match waiting.recv_timeout(TEND_EVERY) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let rest = std::iter::from_fn(|| waiting.try_recv().ok()).take(TOGETHER - 1);
            let mut items: Vec<Item> = std::iter::once(first).chain(rest).collect();
            if let Some(hook) = &mut self.hook {
                for item in &mut items {
                    if let Item::Raised(raised) = item {
                        hook(raised);
                    }
                }
            }
            if !self.store(&Arc::from(items)) {
                return;
            }
        }
    }

    /// Tries until the items are on disk. False when the store is gone.
    fn store(&self, items: &Arc<[Item]>) -> bool {
        let mut wait = BACKOFF[0];
        loop {
            let (again, now) = (Arc::clone(items), now());
            match self.store.write(move |tx| apply(tx, &again, now)) {
                Ok(fates) => {
                    self.count(items, &fates);
                    return true;
                }
                Err(StoreError::Closed) => return false,
                Err(error) => {
                    tracing::error!(%error, items = items.len(), "alerts could not be stored; trying again");
                    lock(&self.status).failing = error.to_string();
                }
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(BACKOFF[1]);
        }
    }

    fn count(&self, items: &[Item], fates: &[Fate]) {
        let mut status = lock(&self.status);
        status.commits += 1;
        status.failing.clear();
        for (item, fate) in items.iter().zip(fates) {
            match (item, fate) {
                (Item::Raised(_), Fate::Stored) => {
                    (status.waiting, status.stored) = moved(&status, status.stored)
                }
                (Item::Raised(raised), Fate::Refused(why)) => {
                    (status.waiting, status.refused) = moved(&status, status.refused);
                    tracing::error!(id = raised.alert.threat_id, why, "the store refused the alert");
                }
                (_, Fate::Updated) => status.updated += 1,
                _ => status.dropped += 1,
            }
        }
    }

    fn tend(&mut self) {
        let now = clock();
        if self.tended.is_some_and(|last| now.duration_since(last) < TEND_EVERY) {
            return;
        }
        self.tended = Some(now);
        match retention::sweep(&self.store, &self.limits, self::now()) {
            Ok(swept) => {
                let mut status = lock(&self.status);
                status.bytes = swept.bytes;
                status.evidence_bytes = swept.evidence_bytes;
                status.events_removed += swept.events;
                status.alerts_removed += swept.alerts;
            }
            Err(error) => tracing::error!(%error, "what is too old could not be removed from the store"),
        }
    }
}

/// One alert less waits, one more is in the bin; after the deadline of `stop` it counts there already.
fn moved(status: &IngestStatus, bin: u64) -> (u64, u64) {
    if status.waiting == 0 { (0, bin) } else { (status.waiting - 1, bin + 1) }
}

fn apply(tx: &Transaction<'_>, items: &[Item], now: i64) -> rusqlite::Result<Vec<Fate>> {
    items.iter().map(|item| apply_one(tx, item, now)).collect()
}

/// What cannot be stored must not keep out what can.
fn apply_one(tx: &Transaction<'_>, item: &Item, now: i64) -> rusqlite::Result<Fate> {
    match item {
        Item::Raised(raised) => {
            tx.execute_batch("SAVEPOINT item")?;
            let fate = match alerts::insert(tx, raised, now) {
                Ok(_event) => Fate::Stored,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    tx.execute_batch("ROLLBACK TO item")?;
                    Fate::Refused(error.to_string())
                }
                Err(error) => return Err(error),
            };
            tx.execute_batch("RELEASE item")?;
            Ok(fate)
        }
        Item::Update(alert) => {
            Ok(if alerts::update(tx, alert, now)?.is_some() { Fate::Updated } else { Fate::Dropped })
        }
        Item::Evidence(threat_id, packets) => {
            evidence::add(tx, threat_id, &evidence::of_samples(packets))?;
            Ok(Fate::Updated)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "when something was stored is wall-clock time")]
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "how often the store is tended is real time")]
fn clock() -> Instant {
    Instant::now()
}
