//! The GPU, or whatever device stands for it in a test: one thread owns it, and whoever asks it for something waits a
//! second at most. When it fails, it is left alone for a while and the CPU does the work; nothing depends on it.
//!
//! In: work for the owner of the device. Out: its result, or the reason why there is none, and what happened so far.
//! Never here: which device it is (`device.rs`), what is computed on it (`fused.rs`).

mod owner;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use candle_core::Device;
use serde::Serialize;

pub use owner::{Handle, Owner};

/// Name of the thread that owns the device.
pub const THREAD: &str = "gpu";
/// Whoever waits longer for the device goes on without it.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Jobs that may wait: one is computed, the next is there already.
const WAITING: usize = 2;
/// Whoever waits for room looks again after so long: less than a batch takes.
const ROOM: Duration = Duration::from_micros(100);
/// Rows of a batch, at first.
const FIRST_ROWS: usize = 8192;
/// A batch never has fewer rows: the device would wait for its next operation most of the time.
pub const LEAST_ROWS: usize = 1024;
/// Nor more: the sensor keeps what it knows of the flows of a batch, half a kilobyte each.
pub const MOST_ROWS: usize = 1 << 17;

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// This machine has none, or this program was built without it: trying again would not help.
    #[error("{0}")]
    Absent(String),
    /// It is there and does not work.
    #[error("{0}")]
    Broken(String),
}

/// A device, and how to ask for its memory.
pub struct Opened {
    /// The device.
    pub device: Device,
    /// Its name.
    pub name: String,
    /// Bytes that this process may use on it.
    pub cap: u64,
    /// Bytes in use now, as far as is known.
    pub used: Box<dyn Fn() -> u64 + Send>,
    /// What is given back after all else.
    pub last: Box<dyn Any + Send>,
}

impl Opened {
    /// Gives back what it has, see [`apart`].
    pub fn give_back(self) {
        let Opened { device, used, last, .. } = self;
        apart(device);
        apart(used);
        apart(last);
    }
}

/// How the device is to be used.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A batch should take no longer.
    pub latency: Duration,
    /// After a failure it is left alone for so long.
    pub retry: Duration,
    /// Whoever waits longer for it goes on without it.
    pub patience: Duration,
}

/// What became of the device so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GpuStatus {
    /// Its name; empty before it was opened.
    pub name: String,
    /// Whether it is in use.
    pub ready: bool,
    /// Why it is not; empty while it is.
    pub reason: String,
    /// Whether it failed while it was in use, and is not in use again.
    pub lost: bool,
    /// Times that it failed while it was in use.
    pub failures: u64,
    /// Rows scored on it.
    pub rows: u64,
    /// Training steps done on it.
    pub steps: u64,
    /// Bytes of its memory in use by this process, at the latest batch.
    pub memory: u64,
    /// Bytes that this process may use.
    pub memory_cap: u64,
    /// Rows of a batch now.
    pub batch_rows: u64,
}

#[derive(Default)]
struct State {
    ready: AtomicBool,
    lost: AtomicBool,
    failures: AtomicU64,
    rows: AtomicU64,
    steps: AtomicU64,
    memory: AtomicU64,
    cap: AtomicU64,
    batch_rows: AtomicUsize,
    /// How often it was opened.
    opened: AtomicU64,
    /// Name, and the reason why it is not in use.
    words: Mutex<(String, String)>,
}

impl State {
    fn words<T>(&self, read: impl FnOnce(&mut (String, String)) -> T) -> T {
        read(&mut self.words.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It failed while it was in use; told once, whoever notices first.
    fn lose(&self, reason: &str) {
        if self.ready.swap(false, Ordering::AcqRel) {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.lost.store(true, Ordering::Release);
            self.words(|(_, why)| reason.clone_into(why));
            tracing::error!(reason, "the GPU failed: the model goes on on the CPU");
        }
    }
}

type Job = Box<dyn FnOnce(&mut Owner) + Send>;

/// See the module.
pub struct Gpu {
    jobs: SyncSender<Job>,
    state: Arc<State>,
    patience: Duration,
}

/// A result to come.
pub struct Pending<T>(Receiver<Result<T, Failure>>);

impl Gpu {
    /// Opens the device on a thread of its own by `open`, which is called again after a failure. Returns when that is
    /// decided, or after `wait`: then the device is taken into use when it is ready.
    pub fn start(
        open: impl FnMut() -> Result<Opened, Failure> + Send + 'static,
        limits: Limits,
        wait: Duration,
    ) -> Option<Arc<Gpu>> {
        let (jobs, queue) = sync_channel::<Job>(WAITING);
        let (decided, decision) = sync_channel(1);
        let state = Arc::new(State::default());
        state.batch_rows.store(FIRST_ROWS, Ordering::Relaxed);
        let own = Arc::clone(&state);
        let thread = std::thread::Builder::new().name(THREAD.to_owned());
        thread.spawn(move || owner::own_device(open, &queue, &own, limits, &decided)).ok()?;
        match decision.recv_timeout(wait) {
            // It will not be there later either.
            Ok(false) | Err(RecvTimeoutError::Disconnected) => None,
            Ok(true) | Err(RecvTimeoutError::Timeout) => {
                Some(Arc::new(Gpu { jobs, state, patience: limits.patience }))
            }
        }
    }

    /// Whether it is in use.
    pub fn ready(&self) -> bool {
        self.state.ready.load(Ordering::Acquire)
    }

    /// Rows of a batch that is done within the latency that is wanted.
    pub fn batch_rows(&self) -> usize {
        self.state.batch_rows.load(Ordering::Relaxed)
    }

    /// Whether an ensemble is on it: nothing is that was brought there before it failed.
    pub fn holds(&self, ensemble: &Handle) -> bool {
        ensemble.opened() == self.state.opened.load(Ordering::Acquire)
    }

    /// What became of it so far.
    pub fn status(&self) -> GpuStatus {
        let state = &self.state;
        let (name, reason) = state.words(|words| words.clone());
        GpuStatus {
            name,
            reason,
            ready: self.ready(),
            lost: state.lost.load(Ordering::Acquire),
            failures: state.failures.load(Ordering::Relaxed),
            rows: state.rows.load(Ordering::Relaxed),
            steps: state.steps.load(Ordering::Relaxed),
            memory: state.memory.load(Ordering::Relaxed),
            memory_cap: state.cap.load(Ordering::Relaxed),
            batch_rows: state.batch_rows.load(Ordering::Relaxed) as u64,
        }
    }

    /// Hands work to the owner of the device. Where others asked for much before, waits until there is room, as long as for a
    /// result.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Owner) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Pending<T>, Failure> {
        if !self.ready() {
            return Err(Failure::Broken("it is not in use".to_owned()));
        }
        let (reply, result) = sync_channel(1);
        let mut job: Job = Box::new(move |owner| {
            let done = guarded(|| work(owner));
            if let Err(failure) = &done {
                owner.state.lose(&failure.to_string());
            }
            // Whoever asked may have gone on without it.
            let _nobody = reply.try_send(done);
        });
        let end = owner::now() + self.patience;
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => return Ok(Pending(result)),
                Err(TrySendError::Full(back)) if self.ready() && owner::now() < end => job = back,
                Err(_full_or_gone) => return Err(self.lost("it takes no work")),
            }
            std::thread::sleep(ROOM);
        }
    }

    /// Waits for a result, [`PATIENCE`] at most.
    pub fn finish<T>(&self, pending: Pending<T>) -> Result<T, Failure> {
        match pending.0.recv_timeout(self.patience) {
            Ok(done) => done,
            Err(RecvTimeoutError::Timeout) => Err(self.lost("it did not answer within a second")),
            Err(RecvTimeoutError::Disconnected) => Err(self.lost("its work was given up")),
        }
    }

    /// Both.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Owner) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.finish(self.begin(work)?)
    }

    fn lost(&self, reason: &str) -> Failure {
        self.state.lose(reason);
        Failure::Broken(reason.to_owned())
    }
}

/// Runs something that may panic: the bindings do so where a library or a function in it is missing.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Failure::Broken(said(&*panic))))
}

/// Drops a piece of a device, whatever it says. Where the device was lost it cannot take back handles of its libraries, and the
/// bindings panic in `drop`: two such pieces in one would panic twice at once, which ends the process.
pub fn apart<T>(piece: T) {
    let _complaint = guarded(|| {
        drop(piece);
        Ok(())
    });
}

/// The first line of what a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it gave up without a word");
    crate::telemetry::printable(text.lines().next().unwrap_or_default(), 300)
}

/// The first line of an error: where there are backtraces, they are part of it.
pub(super) fn broken(error: candle_core::Error) -> Failure {
    let text = error.to_string();
    Failure::Broken(crate::telemetry::printable(text.lines().next().unwrap_or_default(), 300))
}

#[cfg(test)]
mod tests;
