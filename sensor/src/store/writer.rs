//! The one thread that writes. Whatever waits when a commit is due shares it: a sync of the disk costs milliseconds, a
//! row microseconds.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::watch;

use super::StoreError;
use super::events::newest;

/// Writes that wait; a further one waits for a place.
const WAITING: usize = 1024;
/// Writes in one commit.
const TOGETHER: usize = 256;

/// Told the outcome of the commit.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A write; undone by itself if it fails.
type Job = Box<dyn FnOnce(&Transaction<'_>) -> Answer + Send>;

pub(super) struct Writer {
    jobs: SyncSender<Job>,
}

impl Writer {
    pub(super) fn start(connection: Connection, told: watch::Sender<i64>) -> Result<Writer, StoreError> {
        let (jobs, waiting) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || run(connection, &waiting, &told))
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
            let written = alone(transaction, write);
            Box::new(move |committed| {
                // Nobody waits any more: what was written stays written.
                let _gone = answer.send(committed.and_then(|()| written.map_err(StoreError::from)));
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

fn run(mut connection: Connection, waiting: &Receiver<Job>, told: &watch::Sender<i64>) {
    while let Ok(first) = waiting.recv() {
        let jobs =
            std::iter::once(first).chain(std::iter::from_fn(|| waiting.try_recv().ok()).take(TOGETHER - 1));
        let mut answers = Vec::new();
        let committed = commit(&mut connection, jobs, &mut answers);
        let why = committed.err().map(|error| error.to_string());
        for answer in answers {
            answer(why.clone().map_or(Ok(()), |why| Err(StoreError::Commit(why))));
        }
        if why.is_none()
            && let Ok(id) = newest(&connection)
        {
            told.send_if_modified(|last| std::mem::replace(last, id) != id);
        }
    }
}

fn commit(
    connection: &mut Connection,
    jobs: impl Iterator<Item = Job>,
    answers: &mut Vec<Answer>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    answers.extend(jobs.map(|job| job(&transaction)));
    transaction.commit()
}
