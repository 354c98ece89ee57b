//! What the routes share.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::captures::Captures;
use super::counts::Counts;
use super::history::History;
use super::live::Hub;
use super::problem::Problem;
use super::standing::Standing;
use crate::config::Config;
use crate::incidents::Index;
use crate::model::Mailbox;
use crate::reload::Reloaded;
use crate::status::{Shared, SharedTop};
use crate::store::Store;

/// Asks for the configuration to be read again; answered with what came of it, or what is wrong with it.
pub type Reload = oneshot::Sender<Result<Reloaded, String>>;

/// What the sensor gives the API.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// What happened before, for comparisons.
    pub index: Arc<Index>,
    /// The latest snapshot.
    pub status: Arc<Shared>,
    /// The top flows and hosts.
    pub top: Arc<SharedTop>,
    /// The configuration that the sensor started with.
    pub config: Config,
    /// Where a model waits for the analysis.
    pub mailbox: Arc<Mailbox>,
    /// To whoever reads the configuration.
    pub reload: mpsc::Sender<Reload>,
    /// This program, which analyses uploaded captures in a process of its own.
    pub program: PathBuf,
}

/// What the routes share.
#[derive(Debug)]
pub struct App {
    pub(super) store: Store,
    pub(super) index: Arc<Index>,
    pub(super) status: Arc<Shared>,
    pub(super) top: Arc<SharedTop>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) reload: mpsc::Sender<Reload>,
    pub(super) hub: Hub,
    pub(super) history: History,
    pub(super) captures: Captures,
    pub(super) counts: Counts,
    pub(super) standing: Standing,
    /// One test of a sink at a time.
    pub(super) tests: Semaphore,
    config: RwLock<Arc<Config>>,
}

impl App {
    /// Puts it together; nothing runs yet.
    pub fn new(parts: Parts) -> Arc<App> {
        let Parts { store, index, status, top, config, mailbox, reload, program } = parts;
        Arc::new(App {
            hub: Hub::new(store.clone(), config.api.live_clients as usize),
            captures: Captures::new(&config, program),
            history: History::default(),
            counts: Counts::default(),
            standing: Standing::default(),
            tests: Semaphore::new(1),
            store,
            index,
            status,
            top,
            mailbox,
            reload,
            config: RwLock::new(Arc::new(config)),
        })
    }

    /// The configuration that runs.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another configuration runs now.
    pub fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Reads from the store, off the API's threads.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        blocking(move || store.read(read)).await?.map_err(Problem::from)
    }

    /// Writes to the store, off the API's threads.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        blocking(move || store.write(write)).await?.map_err(Problem::from)
    }
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "api: a request's work ended early");
        Problem::internal("the work for this request ended early")
    })
}

/// Nanoseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "requests and changes happen in real time")]
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
