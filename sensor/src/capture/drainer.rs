//! The thread that drains the flow table: it owns the program and its maps, and does whatever is to be done to them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use super::buffers::Buffers;
use super::clock::{Clock, monotonic};
use super::counters::CaptureCounters;
use super::drain::Drain;
use super::error::CaptureError;
use super::flood::{Flood, FloodWatch};
use super::listed::Turning;
use super::pins::Leftover;
use super::program::Program;
use super::receive::Queued;
use super::steering::Governor;
use super::xsk::StatisticsReader;
use super::{Event, FLOW_BATCH, FlowDelta, Tick};

/// What the drain thread owns.
pub(super) struct Drainer {
    pub(super) program: Program,
    pub(super) drain: Drain,
    pub(super) statistics: Vec<StatisticsReader>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<CaptureCounters>,
    pub(super) buffers: Buffers,
    pub(super) governor: Governor,
    pub(super) flood: FloodWatch,
    /// Asks for the other trie of listed addresses.
    pub(super) turning: Turning,
    /// What was asked for and is not done yet.
    pub(super) turning_to: Option<u32>,
    /// Maps of an earlier sensor that are to be drained first.
    pub(super) leftovers: Vec<Leftover>,
    /// Samples of these maps that earlier processes accounted for.
    pub(super) accounted: u64,
    /// The program is to choose no samples any more.
    pub(super) quiet: bool,
    /// The second of the latest look at what changes slowly.
    pub(super) second: u64,
}

impl Drainer {
    /// Drains at every multiple of `interval` until told to stop.
    pub(super) fn run(
        mut self,
        stop: &AtomicBool,
        events: &SyncSender<Queued>,
        interval: Duration,
        interface: &str,
    ) -> Drainer {
        let interval = interval.as_nanos() as u64;
        while !stop.load(Relaxed) {
            let now = self.clock.now();
            thread::sleep(Duration::from_nanos(interval - now % interval));
            match self.drain(events) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    if self.counters.drain_errors.fetch_add(1, Relaxed) == 0 {
                        tracing::error!(%error, "reading the flow table failed; trying again every interval");
                    }
                }
            }
            if !self.program.attached() {
                self.counters.detached(interface);
            }
        }
        self
    }

    /// Drains the flow table into the event queue. False when nobody reads events any more.
    pub(super) fn drain(&mut self, events: &SyncSender<Queued>) -> Result<bool, CaptureError> {
        let now = monotonic();
        let buffers = self.buffers.clone();
        let mut outlet =
            FlowOutlet { batch: buffers.flows(), buffers: &buffers, events, state: Sent::AtOnce };
        for mut leftover in std::mem::take(&mut self.leftovers) {
            let drained = leftover.drain(self.clock.offset, |delta| outlet.push(delta));
            let generation = leftover.number();
            leftover.end(&self.program.about);
            tracing::info!(
                generation,
                packets = drained.packets,
                "the maps of the sensor before are drained"
            );
        }
        if let Some((trie, set)) = self.turning.wish() {
            self.turning_to = Some(trie);
            // Before any flow that was looked up there: whoever reads this knows what the marks mean.
            outlet.hand_on(Event::Lists(set));
        }
        if let Some(trie) = self.turning_to {
            self.program.set_listed(trie)?;
        }
        self.drain.drain(&mut self.program, now, self.clock.offset, true, |delta| outlet.push(delta))?;
        outlet.send();
        if let Some(trie) = self.turning_to.take() {
            // The drain waited until no program was running that had begun before.
            self.turning.turned(trie);
        }
        if !self.drain.listed.is_empty() {
            outlet.hand_on(Event::Listed(std::mem::take(&mut self.drain.listed)));
        }
        if !self.drain.tunnels.is_empty() {
            outlet.hand_on(Event::Tunnels(std::mem::take(&mut self.drain.tunnels)));
        }
        // The order makes every reading an upper bound of the one before: what the table and the sockets gave was
        // counted in the totals first.
        for (reader, queue) in self.statistics.iter().zip(&self.counters.queues) {
            if let Ok(statistics) = reader.read() {
                *queue.statistics.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
            }
        }
        let samples = self.counters.sample_bins();
        self.program.about.account(self.accounted + samples.delivered + samples.lost());
        let flood = self.each_second(now, samples.shed_queue_full)?;
        let tick = Tick { time: now + self.clock.offset, totals: self.program.totals()?, samples, flood };
        *self.counters.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            (tick.time, tick.totals.seen.packets);
        outlet.hand_on(Event::Tick(tick));
        self.counters.flow_map_entries.store(self.drain.entries() as u64, Relaxed);
        self.counters.drains_delayed.fetch_add(u64::from(outlet.state == Sent::Delayed), Relaxed);
        Ok(outlet.state != Sent::Gone)
    }

    /// What changes slowly; the sketches are read before the totals, which hold what they hold.
    fn each_second(&mut self, now: u64, shed: u64) -> Result<Option<Flood>, CaptureError> {
        let second = now / 1_000_000_000;
        if second == self.second {
            return Ok(None);
        }
        self.second = second;
        self.program.flush_log();
        if !self.quiet {
            self.governor.turn(&mut self.program, shed, now)?;
        }
        self.counters.sampling_halved.store(u64::from(self.governor.steps), Relaxed);
        Ok(Some(self.flood.read(&self.program.table)))
    }
}

/// How batches and tick of a drain went to the event queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    AtOnce,
    /// The analysis was behind, and the drain waited.
    Delayed,
    /// Nobody reads events any more.
    Gone,
}

/// Hands flows on in batches.
struct FlowOutlet<'a> {
    batch: Vec<FlowDelta>,
    buffers: &'a Buffers,
    events: &'a SyncSender<Queued>,
    state: Sent,
}

impl FlowOutlet<'_> {
    fn push(&mut self, delta: FlowDelta) {
        self.batch.push(delta);
        if self.batch.len() >= FLOW_BATCH {
            self.send();
        }
    }

    fn send(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::replace(&mut self.batch, self.buffers.flows());
            self.hand_on(Event::Flows(batch));
        }
    }

    fn hand_on(&mut self, event: Event) {
        match self.events.try_send(Queued::drained(event)) {
            Ok(()) => {}
            Err(TrySendError::Full(queued)) => {
                // Forgetting it would lose its counts, so this thread waits. The table goes on counting.
                self.state = Sent::Delayed;
                if self.events.send(queued).is_err() {
                    self.state = Sent::Gone;
                }
            }
            Err(TrySendError::Disconnected(_)) => self.state = Sent::Gone,
        }
    }
}
