//! The window journal: scored windows on disk, for later questions (what did this host do last night?) and for training.
//!
//! In come windows from the analysis, out go segment files in a folder of bounded size, written by a thread of its own
//! behind a bounded queue: a slow disk costs windows of the journal, which are counted, never packets. `docs/journal.md`
//! describes the files.

mod args;
mod config;
mod folder;
mod print;
mod reader;
pub mod record;
mod sample;
mod segment;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Serialize;

pub use args::JournalArgs;
pub use config::JournalConfig;
pub use print::{JournalOptions, PrintError, print};
pub use reader::{Entry, Reader, Span};
pub use record::{Key, Layout, Row, Window};
pub use sample::Sample;
pub use segment::{Found, Segment};
pub use writer::{JournalError, Limits, Writer};

/// Windows that wait for the disk: a minute's.
const QUEUE: usize = 64;
/// What was written is asked to reach the disk after so many windows: a crash of the machine loses a minute's.
const SYNC_EVERY: u32 = 60;

/// How the journal is doing. `rows_kept = rows_written + rows_pending + rows dropped`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalStatus {
    /// Rows handed to the journal.
    pub rows_kept: u64,
    /// Rows on disk, since the start.
    pub rows_written: u64,
    /// Rows that wait.
    pub rows_pending: u64,
    /// Rows of windows that found the queue full.
    pub rows_dropped_queue_full: u64,
    /// Rows of windows that could not be written.
    pub rows_dropped_write_failed: u64,
    /// Rows that still waited when the sensor had to stop.
    pub rows_dropped_shutdown: u64,
    /// Windows on disk, since the start.
    pub windows_written: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Segments removed because there was no room.
    pub segments_removed_size: u64,
    /// Segments removed because they were too old.
    pub segments_removed_age: u64,
    /// Bytes cut off at the start because they were no whole window.
    pub torn_bytes: u64,
    /// Why the latest window could not be written; empty when it was.
    pub failing: String,
}

impl JournalStatus {
    /// What is left over of the equation: 0 is the promise.
    pub fn residue(&self) -> i64 {
        let binned = self.rows_written
            + self.rows_pending
            + self.rows_dropped_queue_full
            + self.rows_dropped_write_failed
            + self.rows_dropped_shutdown;
        self.rows_kept.wrapping_sub(binned).cast_signed()
    }
}

/// A running journal.
#[derive(Debug)]
pub struct Journal {
    /// Absent where it is switched off.
    running: Option<Running>,
    status: Arc<Mutex<JournalStatus>>,
}

#[derive(Debug)]
struct Running {
    windows: SyncSender<Window>,
    /// Closed when the thread is done.
    done: Receiver<()>,
}

impl Journal {
    /// Starts the thread. A folder that cannot be written is tried again with every window. A relative path starts at
    /// `state_dir`.
    pub fn start(config: &JournalConfig, state_dir: &Path, layout: Layout) -> std::io::Result<Journal> {
        let status = Arc::new(Mutex::new(JournalStatus::default()));
        if !config.enabled {
            return Ok(Journal { running: None, status });
        }
        let (windows, waiting) = sync_channel(QUEUE);
        let (alive, done) = sync_channel(1);
        let mut keeper = Keeper {
            folder: state_dir.join(&config.path),
            limits: Limits::of(config),
            layout,
            status: Arc::clone(&status),
            writer: None,
            unsynced: 0,
        };
        thread::Builder::new().name("journal".to_owned()).spawn(move || {
            keeper.run(&waiting);
            drop(alive);
        })?;
        Ok(Journal { running: Some(Running { windows, done }), status })
    }

    /// Hands windows over, or counts them as dropped. Never waits.
    pub fn record(&self, windows: impl IntoIterator<Item = Window>) {
        let Some(running) = &self.running else { return };
        for window in windows {
            let rows = window.rows.len() as u64;
            // Before it is sent: the thread may write it at once.
            let mut status = lock(&self.status);
            status.rows_kept += rows;
            match running.windows.try_send(window) {
                Ok(()) => status.rows_pending += rows,
                Err(TrySendError::Full(_)) => status.rows_dropped_queue_full += rows,
                Err(TrySendError::Disconnected(_)) => status.rows_dropped_write_failed += rows,
            }
        }
    }

    /// How it is doing.
    pub fn status(&self) -> JournalStatus {
        lock(&self.status).clone()
    }

    /// Writes what waits, for at most `patience`; what does not reach the disk is counted.
    pub fn stop(self, patience: Duration) -> JournalStatus {
        if let Some(Running { windows, done }) = self.running {
            drop(windows);
            // Nothing is ever sent: the end is that the other side is gone.
            let _ended_or_late = done.recv_timeout(patience);
            let mut status = lock(&self.status);
            status.rows_dropped_shutdown += std::mem::take(&mut status.rows_pending);
        }
        lock(&self.status).clone()
    }
}

/// The counters are plain numbers: they are sound after a panic elsewhere.
fn lock(status: &Mutex<JournalStatus>) -> MutexGuard<'_, JournalStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread.
struct Keeper {
    folder: PathBuf,
    limits: Limits,
    layout: Layout,
    status: Arc<Mutex<JournalStatus>>,
    writer: Option<Writer>,
    unsynced: u32,
}

impl Keeper {
    fn run(&mut self, windows: &Receiver<Window>) {
        // What is too old, or torn, is dealt with before the first window.
        let mut opened = self.open();
        for window in windows {
            let result = opened.and_then(|()| self.write(&window));
            opened = Ok(());
            self.count(&window, result);
        }
        if let Some(Err(error)) = self.writer.as_mut().map(Writer::sync) {
            tracing::error!(%error, "the end of the journal may not be on the disk");
        }
    }

    fn open(&mut self) -> Result<(), JournalError> {
        if self.writer.is_none() {
            let writer = Writer::open(&self.folder, self.limits, &self.layout)?;
            for notice in &writer.notices {
                tracing::warn!("journal: {notice}");
            }
            self.writer = Some(writer);
            self.publish(&mut lock(&self.status));
        }
        Ok(())
    }

    fn write(&mut self, window: &Window) -> Result<(), JournalError> {
        self.open()?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.append(window)?;
        self.unsynced += 1;
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            writer.sync()?;
        }
        Ok(())
    }

    fn count(&self, window: &Window, result: Result<(), JournalError>) {
        let rows = window.rows.len() as u64;
        let mut status = lock(&self.status);
        // After the deadline of a stop they count as dropped already.
        let pending = rows.min(status.rows_pending);
        status.rows_pending -= pending;
        self.publish(&mut status);
        match result {
            Ok(()) => {
                status.rows_written += pending;
                status.windows_written += 1;
                if !status.failing.is_empty() {
                    status.failing.clear();
                    tracing::info!("the journal can be written again");
                }
            }
            Err(error) => {
                status.rows_dropped_write_failed += pending;
                // Once, not with every window.
                if status.failing.is_empty() {
                    tracing::error!(%error, "the journal cannot be written: its windows are dropped and counted");
                }
                status.failing = error.to_string();
            }
        }
    }

    fn publish(&self, status: &mut JournalStatus) {
        let Some(writer) = &self.writer else { return };
        status.bytes = writer.bytes();
        status.segments = writer.segments();
        status.segments_removed_size = writer.done.removed_size;
        status.segments_removed_age = writer.done.removed_age;
        status.torn_bytes = writer.done.torn_bytes;
    }
}

#[cfg(test)]
mod tests;
