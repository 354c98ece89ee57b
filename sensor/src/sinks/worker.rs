//! The thread of one sink: reads what it has yet to be told, tries in order, waits, tries again, gives up.
//!
//! Order: the oldest message is tried until it arrives or is given up, and the others wait behind it. Only when it failed
//! often is the next one tried in its place; if that one arrives, the peer is well and it is the message that is not, and
//! from then on it waits by itself.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backoff::{as_nanoseconds, backoff, nanoseconds};
use super::{Limits, Message, Outcome, Sink, SinkStatus, Target};
use crate::store::ingest::now;
use crate::store::outbox::{self, Pending, Settle};
use crate::store::{Store, StoreError};

/// From so many failed attempts on, the fault may be the message's.
const SUSPECT: u32 = 5;
/// Suspects that wait by themselves.
const MOST_ASIDE: usize = 1000;
/// Messages that were taken before and are looked at again at the start.
const REMEMBERED: usize = 10_000;
/// The thread looks at least so often: another process may have asked for dead letters to be tried again.
const LOOK: Duration = Duration::from_secs(1);

/// A sink that runs.
#[derive(Debug)]
pub(super) struct Handle {
    bell: SyncSender<()>,
    shared: Arc<Shared>,
    /// Closed when the thread is done.
    done: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct Shared {
    status: Mutex<SinkStatus>,
    /// Set by stop: nothing begins after this.
    deadline: Mutex<Option<Instant>>,
}

impl Handle {
    pub(super) fn start(sink: Sink, store: &Store) -> std::io::Result<Handle> {
        let status = SinkStatus { name: sink.name.clone(), ..SinkStatus::default() };
        let shared = Arc::new(Shared { status: Mutex::new(status), deadline: Mutex::default() });
        let (bell, rung) = sync_channel(1);
        let (alive, done) = sync_channel(1);
        store.ring(bell.clone());
        let mut worker = Worker {
            name: sink.name,
            target: sink.target,
            limits: sink.limits,
            store: store.clone(),
            shared: Arc::clone(&shared),
            rung,
            failures: 0,
            not_before: 0,
            aside: BTreeSet::new(),
            ticked: None,
            tick_failed: None,
            round_failed: None,
        };
        worker.look();
        // Not joined: at the deadline of `stop` an attempt may still be under way, and must not hold the process.
        std::thread::Builder::new().name(format!("sink-{}", worker.name)).spawn(move || {
            worker.run();
            drop(alive);
        })?;
        Ok(Handle { bell, shared, done: Mutex::new(done) })
    }

    pub(super) fn status(&self) -> SinkStatus {
        lock(&self.shared.status).clone()
    }

    pub(super) fn stop(&self, deadline: Instant) {
        *lock(&self.shared.deadline) = Some(deadline);
        // A bell that rings already will do.
        let _rings = self.bell.try_send(());
    }

    pub(super) fn join(&self, deadline: Instant) -> SinkStatus {
        let left = deadline.saturating_duration_since(clock());
        // Nothing is ever sent: the end is that the other side is gone.
        let _ended_or_late = lock(&self.done).recv_timeout(left);
        self.status()
    }
}

/// What the locks guard is replaced in one step each: sound after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    name: String,
    target: Box<dyn Target>,
    limits: Limits,
    store: Store,
    shared: Arc<Shared>,
    rung: Receiver<()>,
    /// Attempts in a row that failed.
    failures: u32,
    /// No attempt before, nanoseconds since the Unix epoch.
    not_before: i64,
    /// Messages that wait by themselves.
    aside: BTreeSet<i64>,
    ticked: Option<Instant>,
    /// Why the latest tick failed.
    tick_failed: Option<String>,
    /// Why the latest round failed, which is the store's fault.
    round_failed: Option<String>,
}

/// How a round went.
enum Round {
    /// Something was settled: there may be more.
    Moved,
    /// Nothing is due for so long.
    Idle(Duration),
}

impl Worker {
    fn run(&mut self) {
        self.remember();
        loop {
            let deadline = *lock(&self.shared.deadline);
            let (round, failed) = match self.round() {
                Ok(round) => (round, None),
                Err(error) => (Round::Idle(LOOK), Some(error.to_string())),
            };
            let before = std::mem::replace(&mut self.round_failed, failed);
            self.told(before, &self.round_failed);
            self.look();
            match (round, deadline) {
                (Round::Idle(_), Some(_)) => return,
                (_, Some(deadline)) if clock() >= deadline => return,
                (Round::Moved, _) => {}
                (Round::Idle(wait), None) => match self.rung.recv_timeout(wait.min(LOOK)) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
                },
            }
        }
    }

    fn remember(&mut self) {
        let memory = self.target.memory();
        if memory.is_zero() {
            return;
        }
        let (name, since) = (self.name.clone(), now().saturating_sub(as_nanoseconds(memory)));
        match self.store.read(|connection| outbox::taken(connection, &name, since, REMEMBERED)) {
            Ok(taken) => self.target.remember(&taken),
            Err(error) => {
                tracing::warn!(sink = self.name, %error, "what the sink took before is not known")
            }
        }
    }

    fn round(&mut self) -> Result<Round, StoreError> {
        self.tick();
        self.expire()?;
        let now = now();
        if now < self.not_before {
            return Ok(Round::Idle(nanoseconds(self.not_before - now)));
        }
        let due = self.due(now)?;
        let Some(first) = due.first() else { return Ok(Round::Idle(LOOK)) };
        if first.next_at > now {
            return Ok(Round::Idle(nanoseconds(first.next_at - now)));
        }
        let suspect = due.len() == 1 && first.attempts >= SUSPECT && !self.aside.contains(&first.message.id);
        let arrived = self.attempt(&due)?;
        if suspect && !arrived && self.aside.len() < MOST_ASIDE {
            self.probe(first)?;
        }
        Ok(Round::Moved)
    }

    /// What is to be tried next, in order: as many as the target takes at once, or one that was tried before.
    fn due(&mut self, now: i64) -> Result<Vec<Pending>, StoreError> {
        let (name, batch) = (self.name.clone(), self.target.batch().max(1));
        let limit = batch + self.aside.len();
        let mut rows = self.store.read(|connection| outbox::pending(connection, &name, 0, limit))?;
        if let Some(waited) =
            rows.iter().position(|row| self.aside.contains(&row.message.id) && row.next_at <= now)
        {
            return Ok(vec![rows.swap_remove(waited)]);
        }
        rows.retain(|row| !self.aside.contains(&row.message.id));
        // What failed is tried alone, so that it takes nothing along.
        let alone = rows.first().is_some_and(|row| row.attempts > 0);
        rows.truncate(if alone { 1 } else { batch });
        if let Some(later) = rows.iter().position(|row| row.attempts > 0 && row.next_at > now) {
            rows.truncate(later.max(1));
        }
        Ok(rows)
    }

    /// Tries the message behind one that failed often: does the peer take anything?
    fn probe(&mut self, stuck: &Pending) -> Result<(), StoreError> {
        let (name, after, limit) = (self.name.clone(), stuck.message.id, 1 + self.aside.len());
        let rows = self.store.read(|connection| outbox::pending(connection, &name, after, limit))?;
        let Some(next) = rows.into_iter().find(|row| !self.aside.contains(&row.message.id)) else {
            return Ok(());
        };
        if next.next_at > now() {
            return Ok(());
        }
        if self.attempt(&[next])? {
            let id = stuck.message.id;
            tracing::warn!(
                sink = self.name,
                id,
                about = stuck.message.about,
                "others arrive, this message does not: it waits by itself"
            );
            self.aside.insert(id);
        }
        Ok(())
    }

    /// Delivers and settles. Whether all of them arrived.
    fn attempt(&mut self, due: &[Pending]) -> Result<bool, StoreError> {
        let messages: Vec<Message> = due.iter().map(|pending| pending.message.clone()).collect();
        let mut timeout = self.limits.timeout;
        if let Some(deadline) = *lock(&self.shared.deadline) {
            timeout = timeout.min(deadline.saturating_duration_since(clock()));
            if timeout.is_zero() {
                return Ok(false);
            }
        }
        let mut outcomes = self.target.deliver(&messages, timeout);
        outcomes.resize(due.len(), Outcome::Retry { error: "no outcome".to_owned(), after: None });
        let now = now();
        let mut settled = Vec::new();
        let mut arrived = true;
        for (pending, outcome) in due.iter().zip(outcomes) {
            arrived &= outcome == Outcome::Delivered;
            if let Some(settle) = self.judge(pending, outcome, now) {
                if !matches!(settle, Settle::Again { .. }) {
                    self.aside.remove(&pending.message.id);
                }
                settled.push((pending.message.id, settle));
            }
        }
        self.write(settled)?;
        Ok(arrived)
    }

    fn judge(&mut self, pending: &Pending, outcome: Outcome, now: i64) -> Option<Settle> {
        let message = &pending.message;
        let (sink, id, about) = (self.name.as_str(), message.id, message.about.as_str());
        match outcome {
            Outcome::Delivered => {
                (self.failures, self.not_before) = (0, 0);
                lock(&self.shared.status).failing.clear();
                Some(Settle::Delivered)
            }
            Outcome::Wait { after } => {
                self.not_before = now.saturating_add(as_nanoseconds(after));
                None
            }
            Outcome::Refused { error } => {
                tracing::error!(sink, id, about, error, "the sink refused the message: it is a dead letter");
                self.failing(&error);
                Some(Settle::Dead { refused: true, error })
            }
            Outcome::Retry { error, after } => {
                self.failing(&error);
                let given_up = as_nanoseconds(self.limits.give_up_after);
                if now.saturating_sub(pending.since) >= given_up {
                    let (sink, attempts) = (self.name.as_str(), pending.attempts + 1);
                    tracing::error!(
                        sink,
                        id,
                        about,
                        attempts,
                        error,
                        "gave up: the message is a dead letter"
                    );
                    return Some(Settle::Dead { refused: false, error });
                }
                let wait = after.unwrap_or_else(|| backoff(self.limits.backoff, pending.attempts, id));
                let (sink, wait_ms) = (self.name.as_str(), wait.as_millis() as u64);
                tracing::warn!(sink, id, about, attempt = pending.attempts + 1, wait_ms, error, "will retry");
                self.failures = self.failures.saturating_add(1);
                let next_at = now.saturating_add(as_nanoseconds(wait));
                if !self.aside.contains(&id) {
                    self.not_before = next_at;
                }
                Some(Settle::Again { next_at, error })
            }
        }
    }

    /// Until it is written down the message is not tried again: the sink has it, and the disk may be full.
    fn write(&mut self, settled: Vec<(i64, Settle)>) -> Result<(), StoreError> {
        if settled.is_empty() {
            return Ok(());
        }
        let settled = Arc::new(settled);
        let mut wait = Duration::from_millis(100);
        loop {
            let (again, name, now) = (Arc::clone(&settled), self.name.clone(), now());
            let written = self.store.write(move |tx| {
                again.iter().try_for_each(|(id, settle)| outbox::settle(tx, &name, *id, settle, now))
            });
            match written {
                Err(error) if !matches!(error, StoreError::Closed) && !self.ending() => {
                    self.failing(&error.to_string())
                }
                written => return written,
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_secs(10));
        }
    }

    fn ending(&self) -> bool {
        lock(&self.shared.deadline).is_some_and(|deadline| clock() >= deadline)
    }

    fn expire(&mut self) -> Result<(), StoreError> {
        if lock(&self.shared.status).pending <= self.limits.queue as u64 {
            return Ok(());
        }
        let (name, queue) = (self.name.clone(), self.limits.queue);
        let expired = self.store.write(move |tx| outbox::expire_beyond(tx, &name, queue, now()))?;
        if let (Some(first), Some(last)) = (expired.first(), expired.last()) {
            tracing::warn!(
                sink = self.name,
                messages = expired.len(),
                "more than {queue} messages wait: the oldest (events {first} to {last}) will not reach this sink"
            );
        }
        Ok(())
    }

    /// Brings the status up to date: one reading of the store, so that its bins add up.
    fn look(&mut self) {
        let name = self.name.clone();
        match self.store.read(|connection| outbox::status(connection, &name)) {
            Ok(read) => {
                let mut status = lock(&self.shared.status);
                *status = SinkStatus { failing: std::mem::take(&mut status.failing), ..read };
            }
            Err(error) => self.failing(&error.to_string()),
        }
    }

    fn tick(&mut self) {
        let at = clock();
        if self.ticked.is_none_or(|last| at.duration_since(last) >= LOOK) {
            self.ticked = Some(at);
            let failed = self.target.tick(now().max(0).cast_unsigned()).err();
            let before = std::mem::replace(&mut self.tick_failed, failed);
            self.told(before, &self.tick_failed);
        }
    }

    /// Says what fails now; what failed before and no longer does is taken back, but not what a delivery said since.
    fn told(&self, before: Option<String>, now: &Option<String>) {
        let failing = &mut lock(&self.shared.status).failing;
        match (before, now) {
            (_, Some(error)) => error.clone_into(failing),
            (Some(error), None) if *failing == error => failing.clear(),
            _ => {}
        }
    }

    fn failing(&self, reason: &str) {
        reason.clone_into(&mut lock(&self.shared.status).failing);
    }
}

/// Waiting for a peer is about real time; no alert depends on it.
#[expect(clippy::disallowed_methods, reason = "sinks are the edge: retries and deadlines are real time")]
pub(super) fn clock() -> Instant {
    Instant::now()
}
