//! Where live clients get what is new.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::BATCH;
use crate::api::access::coarse_text;
use crate::store::{Store, StoreError, events};

/// The latest events, in memory.
const RING: usize = 4096;
/// Events that a client may catch up with from the store.
const CATCH_UP: i64 = 10_000;

/// An event as clients get it; clones share the text.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub id: i64,
    text: Utf8Bytes,
    /// For those who may only look; made when the first of them asks.
    coarse: Arc<OnceLock<Utf8Bytes>>,
}

impl Message {
    fn new(id: i64, kind: &str, data: &str) -> Message {
        let text = format!(r#"{{"type":"{kind}","id":{id},"data":{data}}}"#).into();
        Message { id, text, coarse: Arc::default() }
    }

    /// As a client gets it who is told scores exactly, or not.
    pub(super) fn text(&self, exactly: bool) -> Utf8Bytes {
        if exactly {
            return self.text.clone();
        }
        self.coarse.get_or_init(|| coarse_text(&self.text).into()).clone()
    }

    /// From the sensor itself; `id` is where the client then stands.
    pub(super) fn system(id: i64, data: &serde_json::Value) -> Message {
        Message::new(id, "system", &data.to_string())
    }
}

#[derive(Debug)]
struct Ring {
    /// The ring holds every event after this one.
    floor: i64,
    messages: VecDeque<Message>,
}

/// The ring and who waits for it.
#[derive(Debug)]
pub(in crate::api) struct Hub {
    store: Store,
    ring: RwLock<Ring>,
    newest: watch::Sender<i64>,
    places: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

impl Hub {
    pub(in crate::api) fn new(store: Store, clients: usize) -> Hub {
        let newest = *store.newest_event().borrow();
        Hub {
            store,
            ring: RwLock::new(Ring { floor: newest, messages: VecDeque::new() }),
            newest: watch::channel(newest).0,
            places: Arc::new(Semaphore::new(clients)),
            stopping: watch::channel(false).0,
        }
    }

    /// Takes what was committed into the ring, until the store is closed.
    pub(in crate::api) async fn run(&self) {
        let mut committed = self.store.newest_event();
        loop {
            let have = *self.newest.borrow();
            // Seen before it is read: what comes meanwhile wakes us again.
            if *committed.borrow_and_update() > have {
                match self.stored(have, RING).await {
                    Ok(messages) if !messages.is_empty() => self.add(messages),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, "api: live clients miss events until the store can be read");
                        tokio::time::sleep(super::STUCK).await;
                    }
                }
                continue;
            }
            if committed.changed().await.is_err() {
                return;
            }
        }
    }

    fn add(&self, messages: Vec<Message>) {
        let newest = messages.last().map(|message| message.id);
        {
            let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
            ring.messages.extend(messages);
            while ring.messages.len() > RING {
                if let Some(gone) = ring.messages.pop_front() {
                    ring.floor = gone.id;
                }
            }
        }
        if let Some(newest) = newest {
            self.newest.send_replace(newest);
        }
    }

    /// A place for one more client; `None` when all are taken.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The id of the newest event, and of those to come.
    pub(super) fn newest(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// Where a client begins that has seen events up to `since`; one that says nothing gets what is new.
    pub(super) async fn begin(&self, since: Option<u64>) -> Result<i64, StoreError> {
        let known = *self.newest.borrow();
        let Some(since) = since.map(|since| i64::try_from(since).unwrap_or(i64::MAX)) else {
            return Ok(known);
        };
        if since <= known {
            return Ok(since);
        }
        // Committed a moment ago, or of another store, whose ids may be larger than any here.
        let store = self.store.clone();
        let newest = tokio::task::spawn_blocking(move || store.read(events::newest)).await;
        Ok(since.min(newest.map_err(|_ended| StoreError::Closed)??))
    }

    /// Whether everybody is to go.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Sends every client away.
    pub(in crate::api) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// The next events after `id`, at most [`BATCH`]; none where there are none yet. Where `id` is too long ago, a message
    /// says so and the rest begins later.
    pub(super) async fn after(&self, id: i64) -> Result<Vec<Message>, StoreError> {
        let newest = *self.newest.borrow();
        if id >= newest {
            return Ok(Vec::new());
        }
        if let Some(messages) = self.recent(id) {
            return Ok(messages);
        }
        let oldest = newest - CATCH_UP;
        if id < oldest {
            let told = serde_json::json!({
                "message": format!("events up to {oldest} are too long ago: read /api/v1/alerts for what stands now"),
                "after": oldest,
            });
            return Ok(vec![Message::system(oldest, &told)]);
        }
        self.stored(id, BATCH).await
    }

    fn recent(&self, id: i64) -> Option<Vec<Message>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        if id < ring.floor {
            return None;
        }
        let begin = ring.messages.partition_point(|message| message.id <= id);
        Some(ring.messages.iter().skip(begin).take(BATCH).cloned().collect())
    }

    async fn stored(&self, id: i64, most: usize) -> Result<Vec<Message>, StoreError> {
        let store = self.store.clone();
        let read = move || store.read(|connection| events::after(connection, id, most));
        let rows = tokio::task::spawn_blocking(read).await.map_err(|_ended| StoreError::Closed)??;
        Ok(rows.iter().map(|row| Message::new(row.id, &row.kind, &row.json)).collect())
    }
}
