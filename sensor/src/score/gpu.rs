//! The GPU, or whatever device stands for it in a test: one thread owns it, and whoever asks it for something waits a
//! second at most. When it fails, it is left alone for a while and the CPU does the work; nothing depends on it.
//!
//! In: work for the owner of the device. Out: its result, or the reason why there is none, and what happened so far.
//! Never here: which device it is (`device.rs`), what is computed on it (`fused.rs`).

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::Serialize;

use super::fused::{Fused, Part};

/// Whoever waits longer for the device goes on without it.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Jobs that may wait: one is computed, the next is there already.
const WAITING: usize = 2;
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

/// What the owner of the device has.
pub struct Owner {
    device: Device,
    /// By their handles; those whose handle is gone are removed.
    ensembles: HashMap<u64, (std::sync::Weak<()>, Fused)>,
    next: u64,
    latency: Duration,
    state: Arc<State>,
    used: Box<dyn Fn() -> u64 + Send>,
    cap: u64,
}

/// An ensemble on the device, for as long as this lives.
pub struct Handle {
    number: u64,
    alive: Arc<()>,
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
        let thread = std::thread::Builder::new().name("gpu".to_owned());
        thread.spawn(move || own_device(open, &queue, &own, limits, &decided)).ok()?;
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

    /// Hands work to the owner of the device. It waits behind at most one other piece of work.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Owner) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Pending<T>, Failure> {
        if !self.ready() {
            return Err(Failure::Broken("it is not in use".to_owned()));
        }
        let (reply, result) = sync_channel(1);
        let job: Job = Box::new(move |owner| {
            let done = guarded(|| work(owner));
            if let Err(failure) = &done {
                owner.state.lose(&failure.to_string());
            }
            // Whoever asked may have gone on without it.
            let _nobody = reply.try_send(done);
        });
        match self.jobs.try_send(job) {
            Ok(()) => Ok(Pending(result)),
            Err(_full_or_gone) => Err(self.lost("it takes no work")),
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

/// The first line of what a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it gave up without a word");
    crate::telemetry::printable(text.lines().next().unwrap_or_default(), 300)
}

fn own_device(
    mut open: impl FnMut() -> Result<Opened, Failure>,
    queue: &Receiver<Job>,
    state: &Arc<State>,
    limits: Limits,
    decided: &SyncSender<bool>,
) {
    loop {
        let opened = guarded(&mut open).and_then(|opened| {
            guarded(|| super::self_test::passes(&opened.device))?;
            Ok(opened)
        });
        match opened {
            Ok(opened) => {
                state.words(|words| *words = (opened.name.clone(), String::new()));
                state.cap.store(opened.cap, Ordering::Relaxed);
                state.memory.store((opened.used)(), Ordering::Relaxed);
                tracing::info!(gpu = opened.name, "the model runs on the GPU");
                let mut owner = Owner {
                    device: opened.device,
                    ensembles: HashMap::new(),
                    next: 0,
                    latency: limits.latency,
                    state: Arc::clone(state),
                    used: opened.used,
                    cap: opened.cap,
                };
                state.lost.store(false, Ordering::Release);
                state.ready.store(true, Ordering::Release);
                let _first = decided.try_send(true);
                let more = serve(queue, &mut owner);
                // What is left of a lost device may complain when it is given back.
                let _complaint = guarded(|| {
                    drop(owner);
                    Ok(())
                });
                if more.is_none() {
                    return;
                }
            }
            Err(Failure::Absent(reason)) => {
                tracing::info!("the model runs on the CPU: {reason}");
                let _first = decided.try_send(false);
                // Where it worked before, a driver is being replaced.
                if !state.lost.load(Ordering::Acquire) {
                    return;
                }
            }
            Err(Failure::Broken(reason)) => {
                if state.words(|(_, why)| *why != reason) {
                    tracing::warn!(reason, "the GPU does not work: the model runs on the CPU");
                }
                state.words(|(_, why)| *why = reason);
                let _first = decided.try_send(true);
            }
        }
        if !left_alone(queue, limits.retry) {
            return;
        }
    }
}

/// Does what is asked for until the device fails; `None` when nobody will ask any more.
fn serve(queue: &Receiver<Job>, owner: &mut Owner) -> Option<()> {
    while let Ok(job) = queue.recv() {
        job(owner);
        // It failed, or somebody waited too long: then it is suspect, though it did come to an end.
        if !owner.state.ready.load(Ordering::Acquire) {
            return Some(());
        }
        owner.ensembles.retain(|_, (alive, _)| alive.strong_count() > 0);
    }
    None
}

/// Lets so much time pass; what is asked for meanwhile is not done. Whether anybody may ask again.
fn left_alone(queue: &Receiver<Job>, time: Duration) -> bool {
    let end = now() + time;
    loop {
        let left = end.saturating_duration_since(now());
        match queue.recv_timeout(left) {
            Ok(_given_up) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how fast a device is decides no score")]
fn now() -> Instant {
    Instant::now()
}

impl Owner {
    /// Brings an ensemble to the device.
    pub fn load(&mut self, parts: &[Part]) -> Result<Handle, Failure> {
        let fused = Fused::new(parts, &self.device).map_err(broken)?;
        let alive = Arc::new(());
        self.next += 1;
        self.ensembles.insert(self.next, (Arc::downgrade(&alive), fused));
        Ok(Handle { number: self.next, alive })
    }

    fn ensemble(&mut self, number: u64) -> Result<&mut Fused, Failure> {
        let found = self.ensembles.get_mut(&number).map(|(_, fused)| fused);
        found.ok_or_else(|| Failure::Broken("the model is not on it any more".to_owned()))
    }

    /// See [`Fused::score`]; takes the time, and makes batches larger or smaller for the next time.
    pub fn score(&mut self, number: u64, rows: &[f32]) -> Result<Vec<f32>, Failure> {
        let begun = now();
        let fused = self.ensemble(number)?;
        let (count, each) = (rows.len() / fused.width(), fused.bytes_per_row());
        let values = fused.score(rows).map_err(broken)?;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Failure::Broken("a score is no number".to_owned()));
        }
        self.state.rows.fetch_add(count as u64, Ordering::Relaxed);
        self.note_memory();
        // Two batches, for buffers that are freed late. Memory in use is measured, but others may use it.
        let most = ((self.cap / 2 / each as u64) as usize).clamp(LEAST_ROWS, MOST_ROWS);
        let (took, now) = (begun.elapsed(), self.state.batch_rows.load(Ordering::Relaxed));
        let next = match () {
            () if took > self.latency => now / 2,
            () if took < self.latency / 4 && count >= now => now * 2,
            () => now,
        };
        self.state.batch_rows.store(next.clamp(LEAST_ROWS, most), Ordering::Relaxed);
        Ok(values)
    }

    /// One step of [`Fused::train`].
    pub fn train(&mut self, number: u64, rows: &[f32], trim: f64, rate: f64) -> Result<(), Failure> {
        self.ensemble(number)?.train(rows, trim, rate).map_err(broken)?;
        self.state.steps.fetch_add(1, Ordering::Relaxed);
        self.note_memory();
        Ok(())
    }

    /// See [`Fused::weights`].
    pub fn weights(&mut self, number: u64) -> Result<Vec<super::weights::Weights>, Failure> {
        let weights = self.ensemble(number)?.weights().map_err(broken)?;
        let numbers = || weights.iter().flat_map(|weights| weights.tensors.iter().flatten().flatten());
        if !numbers().all(|value| value.is_finite()) {
            return Err(Failure::Broken("a weight is no number".to_owned()));
        }
        Ok(weights)
    }

    fn note_memory(&self) {
        self.state.memory.store((self.used)(), Ordering::Relaxed);
    }
}

impl Handle {
    /// For the owner.
    pub fn number(&self) -> u64 {
        debug_assert_eq!(Arc::strong_count(&self.alive), 1, "a handle has one holder");
        self.number
    }
}

/// The first line of an error: where there are backtraces, they are part of it.
pub(super) fn broken(error: candle_core::Error) -> Failure {
    let text = error.to_string();
    Failure::Broken(crate::telemetry::printable(text.lines().next().unwrap_or_default(), 300))
}

#[cfg(test)]
mod tests;
