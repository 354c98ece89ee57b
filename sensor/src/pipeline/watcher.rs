//! The analysis thread of a live sensor: takes events from the queue, alone touches flow table, model and ledger, and writes
//! the snapshot that the control plane reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Receiver;

use crate::alert::condition::Condition;
use crate::alert::{Alert, Raised, ThreatType};
use crate::analysis::{Analysis, Output};
use crate::capture::flood::Flood;
use crate::capture::{
    Buffers, CaptureCounters, Clock, Event, FlowDelta, Live, QueueCounters, Queued, Steering, Target, Tick,
    XdpAttached,
};
use crate::config::Config;
use crate::incidents::Advice;
use crate::intel;
use crate::ledger::{Earlier, Ledger, Residue};
use crate::reload::Waiting;
use crate::score::ScoreError;
use crate::status::top::SharedTop;
use crate::status::{CaptureStatus, FlowStatus, Latency, Reading, Shared, Status};

use super::Outlets;

/// What the analysis thread looks at of a running capture.
pub(super) struct Watched {
    pub(super) clock: Clock,
    pub(super) counters: Arc<CaptureCounters>,
    pub(super) buffers: Buffers,
    pub(super) steering: Steering,
    pub(super) earlier: Earlier,
    /// What stays as it was at the start.
    pub(super) capture: CaptureStatus,
}

impl Watched {
    pub(super) fn of(live: &Live, config: &Config) -> Watched {
        Watched {
            clock: live.clock,
            counters: live.counters.clone(),
            buffers: live.buffers.clone(),
            steering: live.steering.clone(),
            earlier: live.earlier,
            capture: CaptureStatus {
                interface: live.interface.clone(),
                mode: config.capture.mode,
                native: live.attached == XdpAttached::Native,
                zero_copy: live.queues.iter().map(|queue| queue.zero_copy).collect(),
                queues: live.queues.clone(),
                ..CaptureStatus::default()
            },
        }
    }
}

/// The analysis thread.
pub(super) struct Watcher {
    analysis: Analysis,
    outlets: Outlets,
    shared: Arc<Shared>,
    pub(super) top: Arc<SharedTop>,
    pub(super) waiting: Arc<Waiting>,
    clock: Clock,
    counters: Arc<CaptureCounters>,
    buffers: Buffers,
    pub(super) capture: CaptureStatus,
    ledger: Ledger,
    started: u64,
    first_packet: u64,
    last_packet: u64,
    latency_score: Latency,
    latency_alert: Latency,
    threats: BTreeMap<ThreatType, u64>,
    score_errors: u64,
    flow_limit: u64,
    state_dir: PathBuf,
    /// How the lists are, where there are any.
    pub(super) lists: Option<intel::StatusReader>,
    steering: Steering,
    /// New flows a second that the flow table takes.
    admitted: u32,
    /// The latest second's.
    flood: Flood,
    /// Packets that never reached XDP, and failures of the GPU, as far as they were told.
    missed: u64,
    gpu_failures: u64,
    pub(super) advice: Option<Arc<Advice>>,
    /// In words, what was set aside when the store was opened; told once.
    pub(super) set_aside: Option<String>,
    /// What a person should know for as long as the sensor runs.
    warnings: Vec<String>,
    /// Nothing is in flight any more.
    at_rest: bool,
    /// Whether packets rest too when capture is gone: the program does not stay on the interface.
    pub(super) rest: Arc<AtomicBool>,
    /// Counters at the latest publication.
    published: Reading,
}

impl Watcher {
    pub(super) fn new(
        mut analysis: Analysis,
        outlets: Outlets,
        watched: Watched,
        config: &Config,
        shared: Arc<Shared>,
    ) -> Watcher {
        let Watched { clock, counters, buffers, steering, earlier, capture } = watched;
        if earlier.taken_over {
            analysis.resume();
        }
        Watcher {
            analysis,
            outlets,
            shared,
            top: Arc::default(),
            waiting: Arc::default(),
            clock,
            counters,
            buffers,
            capture,
            ledger: Ledger::after(&earlier),
            rest: Arc::new(AtomicBool::new(true)),
            started: clock.now(),
            first_packet: 0,
            last_packet: 0,
            latency_score: Latency::default(),
            latency_alert: Latency::default(),
            threats: BTreeMap::new(),
            score_errors: 0,
            flow_limit: config.flow.max_flows as u64,
            state_dir: config.state_dir.clone(),
            lists: None,
            steering,
            admitted: config.capture.admitted(),
            flood: Flood::default(),
            missed: 0,
            gpu_failures: 0,
            advice: None,
            set_aside: None,
            warnings: Vec::new(),
            at_rest: false,
            published: Reading {
                time: clock.now(),
                packets: earlier.totals.seen.packets,
                bytes: earlier.totals.seen.bytes,
                ..Reading::default()
            },
        }
    }

    /// Reads events until capture is gone; gives back what outlives it.
    pub(super) fn run(mut self, events: &Receiver<Queued>) -> (Analysis, Outlets) {
        self.publish();
        for queued in events {
            match queued.event {
                Event::Samples(ref samples) => self.analysis.samples(samples),
                Event::Flows(ref deltas) => self.flows(deltas),
                Event::Tunnels(ref tunnels) => self.analysis.tunnels(tunnels),
                Event::Listed(ref listed) => self.analysis.listed(listed),
                Event::Lists(ref set) => self.analysis.lists(set.clone()),
                Event::Tick(ref tick) => self.tick(tick),
                // Of replays that are asked for them.
                Event::Packets(_) => {}
            }
            self.buffers.give_back(queued.event);
        }
        let output = self.analysis.finish(self.clock.now());
        self.hand_on(output);
        self.at_rest = true;
        self.publish();
        (self.analysis, self.outlets)
    }

    pub(super) fn flows(&mut self, deltas: &[FlowDelta]) {
        self.ledger.flows(deltas);
        for delta in deltas {
            if self.first_packet == 0 || delta.grown.first < self.first_packet {
                self.first_packet = delta.grown.first;
            }
            self.last_packet = self.last_packet.max(delta.grown.last);
        }
        self.analysis.flows(deltas);
    }

    pub(super) fn tick(&mut self, tick: &Tick) {
        self.ledger.drained(tick);
        if let Some(flood) = tick.flood {
            self.flood = flood;
        }
        let output = self.analysis.tick(tick);
        self.hand_on(output);
        self.outlets.keeper.tend(&mut self.analysis, tick.time);
        if let Some(alert) = self.waiting.take() {
            self.analysis.reconfigure(&alert);
        }
        if tick.time >= self.published.time + 1_000_000_000 {
            self.publish();
        }
    }

    /// Alerts to the sinks and the log; how long it took to the histograms.
    fn hand_on(&mut self, output: Result<Output, ScoreError>) {
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                // Counting goes on; the next window is tried again.
                if self.score_errors == 0 {
                    tracing::error!(%error, "a window could not be scored");
                }
                self.score_errors += 1;
                return;
            }
        };
        let now = self.clock.now();
        for latest in &output.latest {
            self.latency_score.record(now.saturating_sub(*latest));
        }
        for notice in &output.notices {
            tracing::info!("{notice}");
        }
        let newest = output.latest.iter().copied().max().unwrap_or(now);
        for host in &output.suspects {
            self.steering.raise(Target::Host(*host));
        }
        for raised in output.alerts {
            self.latency_alert.record(now.saturating_sub(newest));
            self.raise(raised);
        }
        for update in output.updates {
            self.outlets.ingest.offer_update(update);
        }
        for evidence in output.evidence {
            self.outlets.ingest.offer_evidence(evidence.threat_id, evidence.packets);
        }
        self.outlets.journal.record(output.journal);
        if let Some(top) = output.top {
            self.top.publish(top);
        }
    }

    fn raise(&mut self, raised: Raised) {
        let alert = &raised.alert;
        *self.threats.entry(alert.threat_type).or_default() += 1;
        tracing::warn!(
            id = alert.threat_id,
            "alert: {:?}, {:?}: {}",
            alert.threat_type,
            alert.severity,
            alert.details.narrative
        );
        self.outlets.ingest.offer(raised);
    }

    /// What the counters say that a person must know of.
    fn conditions(&mut self, residue: &Residue) -> Vec<Condition> {
        let (mut conditions, interface) = (Vec::new(), || self.capture.interface.clone());
        // A hundredth of what is admitted: a bucket that happens to be full is no flood.
        if self.flood.packets > u64::from(self.admitted / 100) {
            conditions.push(Condition::Flood { flood: self.flood, admitted: self.admitted });
        }
        if !residue.is_zero() {
            let left = residue.equations().into_iter().filter(|(_, left)| *left != 0).collect();
            conditions.push(Condition::Ledger { left });
        }
        if let Some(notice) = self.set_aside.take() {
            self.warnings.push(notice.clone());
            conditions.push(Condition::SetAside { notice });
        }
        if self.at_rest {
            return conditions;
        }
        if !self.counters.attached.load(Relaxed) {
            conditions.push(Condition::Detached { interface: interface() });
        } else if !self.counters.link_up.load(Relaxed) {
            conditions.push(Condition::LinkDown { interface: interface() });
        }
        let missed = self.counters.nic().never_reached_xdp();
        if missed > self.missed {
            conditions.push(Condition::Missed { interface: interface(), packets: missed - self.missed });
            self.missed = missed;
        }
        if let Some(gpu) = self.analysis.gpu().filter(|gpu| gpu.failures > self.gpu_failures) {
            self.gpu_failures = gpu.failures;
            let reason = if gpu.reason.is_empty() { "it works again".to_owned() } else { gpu.reason };
            conditions.push(Condition::Gpu { reason });
        }
        conditions
    }

    /// The analysis' part of the ledger.
    fn fill_bins(&mut self) {
        let (samples, scoring, alerts) = self.analysis.bins();
        self.ledger.samples.parsed = samples.parsed;
        self.ledger.samples.shed_not_in_flow = samples.shed_not_in_flow;
        self.ledger.delivered_latest = self.counters.sample_bins().delivered;
        self.ledger.scoring = scoring;
        self.ledger.alerts = alerts;
    }

    /// Replaces the snapshot that the control plane reads.
    fn publish(&mut self) {
        let now = self.clock.now();
        self.fill_bins();
        let residue = if self.at_rest && self.rest.load(Relaxed) {
            self.ledger.residue_at_rest()
        } else {
            self.ledger.residue()
        };
        self.analysis.set_ledger_off(!residue.is_zero());
        for condition in self.conditions(&residue) {
            if let Some(alert) = self.analysis.condition(&condition, now) {
                self.raise(without_evidence(alert));
            }
        }
        self.fill_bins();
        let tables = self.analysis.tables();
        let reading = Reading {
            time: now,
            packets: self.ledger.totals.seen.packets,
            bytes: self.ledger.totals.seen.bytes,
            flows: tables.flows_created,
        };
        let rates = reading.since(&self.published);
        self.published = reading;
        let capture = CaptureStatus {
            link_up: self.counters.link_up.load(Relaxed),
            attached: self.counters.attached.load(Relaxed),
            xsk: self
                .counters
                .queues
                .iter()
                .take(self.capture.zero_copy.len())
                .map(QueueCounters::statistics)
                .collect(),
            flow_map_entries: self.counters.flow_map_entries.load(Relaxed),
            drains_delayed: self.counters.drains_delayed.load(Relaxed),
            drain_errors: self.counters.drain_errors.load(Relaxed),
            sampling_halved: self.counters.sampling_halved.load(Relaxed),
            flood: self.flood,
            nic: self.counters.nic(),
            last_packet_age: (self.last_packet != 0).then(|| now.saturating_sub(self.last_packet)),
            ..self.capture.clone()
        };
        let mut warnings = self.warnings.clone();
        if self.score_errors > 0 {
            warnings.push(format!("{} windows could not be scored: see the log", self.score_errors));
        }
        let (incidents, language) = self.advice.as_ref().map(|advice| advice.status()).unzip();
        self.shared.publish(Status {
            time: now,
            started: self.started,
            first_packet: self.first_packet,
            last_packet: self.last_packet,
            ledger: self.ledger.clone(),
            residue,
            capture: Some(capture),
            flow: FlowStatus {
                entries: tables.flows as u64,
                limit: self.flow_limit,
                total: tables.flows_created,
                refused: tables.flow_overflow_packets,
            },
            links: tables.links,
            score: self.analysis.state().into(),
            model_name: self.analysis.model_name(),
            drift: self.analysis.drift(),
            app: tables.app,
            rates,
            threats: self.threats.clone(),
            budget_per_hour: self.analysis.budget_per_hour(),
            score_failed: self.score_errors,
            latency_score: self.latency_score.clone(),
            latency_alert: self.latency_alert.clone(),
            store: Some(self.outlets.ingest.status()),
            sinks: self.outlets.sinks.status(),
            journal: self.outlets.journal.status(),
            incidents,
            language: language.flatten(),
            model: self.outlets.keeper.status(),
            intel: self.lists.as_ref().map(intel::StatusReader::read).filter(|lists| !lists.feeds.is_empty()),
            intel_counts: self.analysis.intel().clone(),
            gpu: self.analysis.gpu(),
            shadow: self.analysis.agreement(),
            state_dir: self.state_dir.clone(),
            truncated: false,
            warnings,
        });
    }
}

/// What counters say has no packets.
fn without_evidence(alert: Alert) -> Raised {
    Raised { alert, fingerprint: Vec::new(), evidence: Vec::new() }
}
