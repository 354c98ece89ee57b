//! What must survive: alerts, what sinks have yet to be told, incidents, captures, who changed what.
//!
//! One SQLite file with a write-ahead log and `synchronous = FULL`: what a call has returned from is on disk. One thread
//! writes, and commits whatever waits together; readers have connections of their own and wait for nobody. Every event of
//! a commit has its outbox rows in the same commit. Never here: what any of it means.

pub mod alerts;
mod args;
pub mod audit;
pub mod command;
mod config;
pub mod events;
pub mod evidence;
pub mod ingest;
pub mod list;
mod open;
pub mod outbox;
pub mod pcapng;
pub mod retention;
mod summary;
pub mod verify;
mod writer;

use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::{Connection, Transaction};
use tokio::sync::watch;

pub use args::{AlertsArgs, AlertsCommand, FilterArgs};
pub use config::StoreConfig;
pub use ingest::{Ingest, IngestStatus};
pub use open::StoreError;
pub use outbox::Recipient;

use writer::Writer;

/// Connections kept for the next reader.
const READERS: usize = 4;

/// The store; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    path: std::path::PathBuf,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    newest: watch::Receiver<i64>,
    told: Arc<Told>,
}

/// Whom the writer has to think of.
#[derive(Default)]
struct Told {
    /// Sinks, for the rows of the outbox.
    recipients: RwLock<Vec<Recipient>>,
    /// Threads that wait for new events.
    bells: Mutex<Vec<SyncSender<()>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.0.path).finish()
    }
}

impl Store {
    /// Opens the store in the state folder, makes it if there is none, and brings an older one up to date. A file that is
    /// no sound database is set aside, which the second value tells.
    pub fn open(config: &StoreConfig, state_dir: &Path) -> Result<(Store, Option<String>), StoreError> {
        let path = state_dir.join(&config.path);
        let (connection, notice) = open::open(&path)?;
        let (told, newest) = watch::channel(events::newest(&connection)?);
        let whom = Arc::new(Told::default());
        let writer = Writer::start(connection, told, Arc::clone(&whom), &path)?;
        let inner = Inner { path, writer, readers: Mutex::default(), newest, told: whom };
        Ok((Store(Arc::new(inner)), notice))
    }

    /// Reads, on a connection of its own, one state of the store. Blocks the thread: not for a task of the API.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let readers = || self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = readers().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.0.path)?,
        };
        let result = connection.transaction().and_then(|transaction| read(&transaction));
        let mut readers = readers();
        if readers.len() < READERS {
            readers.push(connection);
        }
        result.map_err(StoreError::from)
    }

    /// Writes, and returns once it is on disk: all of what `write` did, or, if it or the commit failed, nothing. Others'
    /// writes share the commit. Blocks the thread: not for a task of the API.
    pub fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.0.writer.write(write)
    }

    /// From now on every event has an outbox row for each of these that wants it.
    pub fn set_recipients(&self, recipients: Vec<Recipient>) {
        *self.0.told.recipients.write().unwrap_or_else(PoisonError::into_inner) = recipients;
    }

    /// Rings after each commit that added an event; a bell that rings already is left alone.
    pub fn ring(&self, bell: SyncSender<()>) {
        self.0.told.bells.lock().unwrap_or_else(PoisonError::into_inner).push(bell);
    }

    /// Tells the id of the newest event after each commit that added one.
    pub fn newest_event(&self) -> watch::Receiver<i64> {
        self.0.newest.clone()
    }
}

#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
mod ingest_tests;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod retention_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
