//! The one thread that writes. Whatever waits when a commit is due shares it: a sync of the disk costs milliseconds, a
//! row microseconds.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::watch;

use super::events::{self, newest};
use super::{StoreError, Told, open, outbox};

/// Writes that wait; a further one waits for a place.
const WAITING: usize = 1024;
/// Writes in one commit.
const TOGETHER: usize = 256;

/// Told the outcome of the commit.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A write; undone by itself if it fails. Without a transaction it does nothing, and its answer is that of the commit.
type Job = Box<dyn FnOnce(Option<&Transaction<'_>>) -> Answer + Send>;

pub(super) struct Writer {
    jobs: SyncSender<Job>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        told: watch::Sender<i64>,
        whom: Arc<Told>,
        path: &Path,
    ) -> Result<Writer, StoreError> {
        let (jobs, waiting) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn({
                let path = path.to_owned();
                move || run(connection, &path, &waiting, &told, &whom)
            })
            .map_err(|source| StoreError::Io { path: "a thread for the store".into(), source })?;
        Ok(Writer { jobs })
    }

    pub(super) fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |transaction| {
            let written = transaction.map(|transaction| alone(transaction, write));
            Box::new(move |committed| {
                let written = committed.and_then(|()| match written {
                    Some(written) => written.map_err(StoreError::from),
                    None => Err(StoreError::Commit("no transaction could be begun".to_owned())),
                });
                // Nobody waits any more: what was written stays written.
                let _gone = answer.send(written);
            })
        });
        self.jobs.send(job).map_err(|_closed| StoreError::Closed)?;
        answered.recv().map_err(|_closed| StoreError::Closed)?
    }
}

/// Runs one write so that its failure undoes it and nothing else.
fn alone<T>(
    transaction: &Transaction<'_>,
    write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    transaction.execute_batch("SAVEPOINT job")?;
    let written = write(transaction);
    let end = if written.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    transaction.execute_batch(end)?;
    written
}

fn run(
    mut connection: Connection,
    path: &Path,
    waiting: &Receiver<Job>,
    told: &watch::Sender<i64>,
    whom: &Told,
) {
    while let Ok(first) = waiting.recv() {
        let jobs =
            std::iter::once(first).chain(std::iter::from_fn(|| waiting.try_recv().ok()).take(TOGETHER - 1));
        let mut answers = Vec::new();
        let committed = commit(&mut connection, jobs, &mut answers, whom);
        let why = committed.err().map(|error| {
            distrust(&error, path, &mut connection);
            error.to_string()
        });
        for answer in answers {
            answer(why.clone().map_or(Ok(()), |why| Err(StoreError::Commit(why))));
        }
        if why.is_none()
            && let Ok(id) = newest(&connection)
        {
            let more = told.send_if_modified(|last| std::mem::replace(last, id) != id);
            if more {
                ring(whom);
            }
        }
    }
}

fn commit(
    connection: &mut Connection,
    jobs: impl Iterator<Item = Job>,
    answers: &mut Vec<Answer>,
    whom: &Told,
) -> rusqlite::Result<()> {
    let begun =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            let before = newest(&transaction)?;
            Ok((transaction, before))
        });
    let (transaction, before) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            // Each must hear why.
            answers.extend(jobs.map(|job| job(None)));
            return Err(error);
        }
    };
    // A full or failing disk may have ended the transaction: then nobody writes outside of one.
    answers.extend(jobs.map(|job| job((!transaction.is_autocommit()).then_some(&transaction))));
    if transaction.is_autocommit() {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT);
        return Err(rusqlite::Error::SqliteFailure(
            code,
            Some("a write failed and ended its commit".to_owned()),
        ));
    }
    let recipients = whom.recipients.read().unwrap_or_else(PoisonError::into_inner).clone();
    let mut last = before;
    while !recipients.is_empty() {
        let events = events::after(&transaction, last, 1000)?;
        let Some(event) = events.last() else { break };
        last = event.id;
        for event in &events {
            outbox::enqueue(&transaction, &recipients, event)?;
        }
    }
    transaction.commit()
}

/// After a failed sync nobody knows what a connection holds that the disk does not: the next write has a new one. Where
/// the file is damaged, the next start looks at all of it.
fn distrust(error: &rusqlite::Error, path: &Path, connection: &mut Connection) {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => open::suspect(path),
        Some(ErrorCode::SystemIoFailure) => {}
        _ => return,
    }
    match open::second_writer(path) {
        Ok(new) => *connection = new,
        Err(error) => tracing::error!(%error, "the store could not be opened again"),
    }
}

/// Threads that are gone have no bell any more.
fn ring(whom: &Told) {
    let mut bells = whom.bells.lock().unwrap_or_else(PoisonError::into_inner);
    bells.retain(|bell| !matches!(bell.try_send(()), Err(TrySendError::Disconnected(()))));
}
