//! A connection, as routes may treat it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};

/// One client's connection; in the extensions of its requests.
#[derive(Debug)]
pub(super) struct Connection {
    slot: Mutex<Option<OwnedSemaphorePermit>>,
    long: AtomicBool,
    cut: Notify,
}

impl Connection {
    pub(super) fn new(slot: OwnedSemaphorePermit) -> Connection {
        Connection { slot: Mutex::new(Some(slot)), long: AtomicBool::new(false), cut: Notify::new() }
    }

    /// It is for a live stream, which counts its clients itself: it may live on and needs no slot.
    pub(super) fn stays(&self) {
        self.takes_long();
        drop(self.slot.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// It may live longer than others: an upload has limits of its own.
    pub(super) fn takes_long(&self) {
        // Read once, long after, by the task that ends the connection: no order is needed.
        self.long.store(true, Relaxed);
    }

    /// Whether it may live longer than others.
    pub(super) fn is_long(&self) -> bool {
        self.long.load(Relaxed)
    }

    /// Ends it at once.
    pub(super) fn cut(&self) {
        self.cut.notify_one();
    }

    /// When it was cut.
    pub(super) async fn was_cut(&self) {
        self.cut.notified().await;
    }
}
