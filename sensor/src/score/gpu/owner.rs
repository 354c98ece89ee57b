//! The thread that owns the device: opens it, tests it, works on it, and leaves it alone for a while after a failure.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::super::fused::{Fused, Part};
use super::super::{self_test, weights};
use super::{FIRST_ROWS, Failure, Job, LEAST_ROWS, Limits, MOST_ROWS, Opened, State, apart, broken, guarded};

/// An ensemble's number begins with how often the device was opened, so that no two ever have the same one: what was brought
/// to a device that failed must not be taken for what another model has there now.
const OPENED: u32 = 32;
const NOT_THERE: &str = "the model is not on it any more";

/// What the owner of the device has.
pub struct Owner {
    opened: Opened,
    /// By their handles; those whose handle is gone are removed.
    ensembles: HashMap<u64, (std::sync::Weak<()>, Fused)>,
    next: u64,
    latency: Duration,
    pub(super) state: Arc<State>,
}

/// An ensemble on the device, for as long as this lives.
pub struct Handle {
    number: u64,
    alive: Arc<()>,
}

/// Opens the device, and does what is asked for, until nobody will ask any more.
pub(super) fn own_device(
    mut open: impl FnMut() -> Result<Opened, Failure>,
    queue: &Receiver<Job>,
    state: &Arc<State>,
    limits: Limits,
    decided: &SyncSender<bool>,
) {
    loop {
        let opened =
            guarded(&mut open).and_then(|opened| match guarded(|| self_test::passes(&opened.device)) {
                Ok(()) => Ok(opened),
                Err(failure) => {
                    opened.give_back();
                    Err(failure)
                }
            });
        match opened {
            Ok(opened) => {
                state.words(|words| *words = (opened.name.clone(), String::new()));
                state.cap.store(opened.cap, Ordering::Relaxed);
                state.memory.store((opened.used)(), Ordering::Relaxed);
                tracing::info!(gpu = opened.name, "the model runs on the GPU");
                let times = state.opened.fetch_add(1, Ordering::AcqRel) + 1;
                // What was too much for it before it failed may be too much still.
                state.batch_rows.store(FIRST_ROWS, Ordering::Relaxed);
                let mut owner = Owner {
                    opened,
                    ensembles: HashMap::new(),
                    next: times << OPENED,
                    latency: limits.latency,
                    state: Arc::clone(state),
                };
                state.lost.store(false, Ordering::Release);
                state.ready.store(true, Ordering::Release);
                let _first = decided.try_send(true);
                let more = serve(queue, &mut owner);
                apart(owner.ensembles);
                owner.opened.give_back();
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
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Owner {
    /// Brings an ensemble to the device.
    pub fn load(&mut self, parts: &[Part]) -> Result<Handle, Failure> {
        let fused = Fused::new(parts, &self.opened.device).map_err(broken)?;
        self.state.batch_rows.fetch_min(self.most(&fused), Ordering::Relaxed);
        let alive = Arc::new(());
        self.next += 1;
        self.ensembles.insert(self.next, (Arc::downgrade(&alive), fused));
        Ok(Handle { number: self.next, alive })
    }

    fn ensemble(&self, number: u64) -> Result<&Fused, Failure> {
        let found = self.ensembles.get(&number).map(|(_, fused)| fused);
        found.ok_or_else(|| Failure::Broken(NOT_THERE.to_owned()))
    }

    /// Rows of a batch that the memory allows: of two, for the buffers of one may be freed late.
    fn most(&self, fused: &Fused) -> usize {
        ((self.opened.cap / 2 / fused.bytes_per_row() as u64) as usize).clamp(LEAST_ROWS, MOST_ROWS)
    }

    /// See [`Fused::squares`]; takes the time, and makes batches larger or smaller for the next time.
    pub fn score(&mut self, number: u64, rows: &[f32]) -> Result<Vec<f32>, Failure> {
        let begun = now();
        let fused = self.ensemble(number)?;
        let (count, most) = (rows.len() / fused.width(), self.most(fused));
        let squares = fused.batch(rows).and_then(|rows| fused.squares(&rows)).map_err(broken)?;
        // Now, while the device works: when it has done so, what it needed for that is free again.
        self.note_memory();
        let values = squares.flatten_all().and_then(|squares| squares.to_vec1::<f32>()).map_err(broken)?;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Failure::Broken("a score is no number".to_owned()));
        }
        self.state.rows.fetch_add(count as u64, Ordering::Relaxed);
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
        let found = self.ensembles.get_mut(&number).map(|(_, fused)| fused);
        let fused = found.ok_or_else(|| Failure::Broken(NOT_THERE.to_owned()))?;
        fused.train(rows, trim, rate).map_err(broken)?;
        self.state.steps.fetch_add(1, Ordering::Relaxed);
        self.note_memory();
        Ok(())
    }

    /// See [`Fused::weights`].
    pub fn weights(&mut self, number: u64) -> Result<Vec<weights::Weights>, Failure> {
        let weights = self.ensemble(number)?.weights().map_err(broken)?;
        let numbers = || weights.iter().flat_map(|weights| weights.tensors.iter().flatten().flatten());
        if !numbers().all(|value| value.is_finite()) {
            return Err(Failure::Broken("a weight is no number".to_owned()));
        }
        Ok(weights)
    }

    fn note_memory(&self) {
        self.state.memory.store((self.opened.used)(), Ordering::Relaxed);
    }
}

impl Handle {
    /// For how many times the device had been opened when this was brought there.
    pub(super) fn opened(&self) -> u64 {
        self.number >> OPENED
    }

    /// For the owner.
    pub fn number(&self) -> u64 {
        debug_assert_eq!(Arc::strong_count(&self.alive), 1, "a handle has one holder");
        self.number
    }
}
