//! Joins the stages after capture: flow, features, score, alert. One thread owns it; it never blocks, does no
//! I/O and reads no clock, so a replay of the same events gives the same alerts.

mod saved;
mod scored;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traffic;

pub use scored::ScoredWindow;

use crate::alert::Alert;
use crate::alert::book::Book;
use crate::alert::candidate::{Candidate, candidates};
use crate::alert::condition::Condition;
use crate::alert::config::AlertConfig;
use crate::capture::{FlowDelta, Outer, Sample, Tick};
use crate::features::config::FeaturesConfig;
use crate::features::rows::{Features, Window, pair_key};
use crate::features::sketch::byte_entropy;
use crate::flow::SECOND;
use crate::flow::config::FlowConfig;
use crate::flow::record::FlowRecord;
use crate::flow::table::{Flow, FlowTable};
use crate::ledger::{AlertBins, SampleBins, ScoringBins};
use crate::score::ScoreError;
use crate::score::config::ScoreConfig;
use crate::score::scorer::{Phase, ScoreState, Scorer};

/// Features named in an alert.
const EXPLAINED: usize = 5;
/// Flows beyond the flow table that one window still accounts to their hosts.
const BEYOND: usize = 200_000;

/// The configuration of the stages.
#[derive(Clone, Debug, Default)]
pub struct AnalysisConfig {
    /// Section `flow`.
    pub flow: FlowConfig,
    /// Section `features`.
    pub features: FeaturesConfig,
    /// Section `score`.
    pub score: ScoreConfig,
    /// Section `alert`.
    pub alert: AlertConfig,
}

impl AnalysisConfig {
    /// What is wrong with the values, each with its remedy.
    pub fn problems(&self) -> Vec<String> {
        let sections =
            [self.flow.problems(), self.features.problems(), self.score.problems(), self.alert.problems()];
        sections.concat()
    }
}

/// What a tick brought about.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// New alerts, to be sent.
    pub alerts: Vec<Alert>,
    /// Standing alerts whose count grew, each told every few seconds at most.
    pub updates: Vec<Alert>,
    /// Scored flow windows, in time order.
    pub scores: Vec<ScoredWindow>,
    /// Flows that ended.
    pub ended: Vec<FlowRecord>,
    /// Windows closed.
    pub windows: u64,
    /// Initiators of what the score found, whether or not it was told: worth a closer look.
    pub suspects: Vec<[u8; 16]>,
    /// Changes of state, for the log.
    pub notices: Vec<String>,
}

impl Output {
    /// Adds what came after.
    fn append(&mut self, later: Output) {
        self.alerts.extend(later.alerts);
        self.updates.extend(later.updates);
        self.scores.extend(later.scores);
        self.ended.extend(later.ended);
        self.windows += later.windows;
        self.notices.extend(later.notices);
    }
}

/// See the module.
pub struct Analysis {
    flows: FlowTable,
    features: Features,
    scorer: Scorer,
    book: Book,
    alert: AlertConfig,
    samples: SampleBins,
    window_start: Option<u64>,
    now: u64,
    /// A flow that grew later than this is the first sign of a silence, or of a drain that came late; the end of
    /// time once there was one, until the next tick.
    silence_after: u64,
    /// What a window closed by such a sign brought about: told with the next tick.
    early: Option<Result<Output, ScoreError>>,
    beyond: Vec<Flow>,
    beyond_lost: u64,
}

impl Analysis {
    /// Knows nothing yet.
    pub fn new(config: &AnalysisConfig) -> Result<Analysis, ScoreError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(ScoreError::Config(problems.join("; ")));
        }
        Ok(Analysis {
            flows: FlowTable::new(&config.flow),
            features: Features::new(&config.features),
            scorer: Scorer::new(&config.score, config.alert.budget_per_hour)?,
            book: Book::new(&config.alert),
            alert: config.alert.clone(),
            samples: SampleBins::default(),
            window_start: None,
            now: 0,
            silence_after: u64::MAX,
            early: None,
            beyond: Vec::new(),
            beyond_lost: 0,
        })
    }

    /// Looks into samples: detail for the flows they belong to.
    pub fn samples(&mut self, samples: &[Sample]) {
        for sample in samples {
            let frame: &[u8] = &sample.frame;
            match sample.link.parse(frame) {
                Ok(packet) => {
                    self.samples.parsed += 1;
                    let payload = frame.get(usize::from(packet.payload_at)..).unwrap_or_default();
                    if let Some(entropy) = byte_entropy(payload) {
                        self.flows.note_entropy(&packet.key, entropy);
                    }
                }
                Err(_) => self.samples.shed_not_in_flow += 1,
            }
        }
    }

    /// Applies what flows grew by, at once and in this order.
    pub fn flows(&mut self, deltas: &[FlowDelta]) {
        let span = |(low, high): (u64, u64), delta: &FlowDelta| {
            (low.min(delta.grown.last), high.max(delta.grown.last))
        };
        let (earliest, latest) = deltas.iter().fold((u64::MAX, 0), span);
        if latest > self.silence_after {
            self.begin_after_silence(earliest.max(self.now));
        } else if self.silence_after == u64::MAX {
            // More of the same drain.
            self.window_start = self.window_start.map(|start| start.min(earliest.max(self.now)));
        }
        for delta in deltas {
            if let Some(flow) = self.flows.apply(&delta.key, &delta.grown) {
                if self.beyond.len() < BEYOND {
                    self.beyond.push(flow);
                } else {
                    self.beyond_lost += 1;
                }
            }
        }
    }

    /// Notes what new flows were wrapped in.
    pub fn tunnels(&mut self, tunnels: &[Outer]) {
        for tunnel in tunnels {
            self.flows.note_outer(&tunnel.key, tunnel.addresses);
        }
    }

    /// A drain is complete; when a whole second has passed, closes the window.
    pub fn tick(&mut self, tick: &Tick) -> Result<Output, ScoreError> {
        let mut output = self.early.take().unwrap_or_else(|| Ok(Output::default()))?;
        let time = self.now.max(tick.time);
        if time - self.now > SECOND && self.silence_after != u64::MAX {
            // Nothing grew since, or only what belongs to the open window.
            self.begin_after_silence(time);
            output.append(self.early.take().unwrap_or_else(|| Ok(Output::default()))?);
        }
        let start = *self.window_start.get_or_insert(time);
        self.now = time;
        if self.now / SECOND > start / SECOND {
            self.close_window(Window { start, end: self.now }, &mut output)?;
            self.window_start = Some(self.now);
        }
        self.silence_after = self.now.saturating_add(SECOND);
        self.flows.expire(self.now);
        output.ended = self.flows.take_ended();
        Ok(output)
    }

    /// Silence, or a drain that came late: what went before is a window, and the next begins where its packets do.
    fn begin_after_silence(&mut self, first: u64) {
        self.silence_after = u64::MAX;
        if let Some(start) = self.window_start.filter(|start| self.now > *start) {
            let mut output = Output::default();
            let closed = self.close_window(Window { start, end: self.now }, &mut output);
            self.early = Some(closed.map(|()| output));
        }
        self.window_start = Some(first);
    }

    /// The input ended: closes the open window and all flows.
    pub fn finish(&mut self, time: u64) -> Result<Output, ScoreError> {
        let mut output = self.early.take().unwrap_or_else(|| Ok(Output::default()))?;
        self.now = self.now.max(time);
        if let Some(start) = self.window_start.take() {
            self.close_window(Window { start, end: self.now }, &mut output)?;
        }
        self.flows.end_all();
        output.ended = self.flows.take_ended();
        Ok(output)
    }

    /// Samples (parsed and not in a flow only), rows and alerts, each in one bin.
    pub fn bins(&self) -> (SampleBins, ScoringBins, AlertBins) {
        (self.samples, self.scorer.bins(), self.book.bins())
    }

    /// Takes what the counters say: the alert of a condition that is new.
    pub fn condition(&mut self, condition: &Condition, now: u64) -> Option<Alert> {
        self.book.condition(condition, now)
    }

    /// Where the model stands.
    pub fn state(&self) -> ScoreState {
        self.scorer.state()
    }

    /// How full the bounded tables are, and what they had no room for.
    pub fn tables(&self) -> Tables {
        Tables {
            flows: self.flows.len(),
            flows_created: self.flows.created(),
            flow_overflow_packets: self.flows.overflow().packets,
            flows_beyond_lost: self.beyond_lost,
            hosts: self.features.hosts.len(),
            host_overflow: self.features.hosts.overflow,
            pairs: self.features.memory.pairs_len(),
            memory_overflow: self.features.memory.overflow,
        }
    }

    fn close_window(&mut self, window: Window, output: &mut Output) -> Result<(), ScoreError> {
        let rows = self.features.close(window, &self.flows.active(), &self.beyond);
        self.beyond.clear();
        self.flows.next_window();
        let scores = self.scorer.score(window, &rows)?;

        let active = self.scorer.phase == Phase::Active;
        let thresholds = [self.scorer.flow.threshold, self.scorer.host.threshold];
        let mut found: Vec<Candidate> = Vec::new();
        if active {
            found = candidates(&rows, &scores, thresholds, &self.alert);
            for candidate in &mut found {
                candidate.tunnel = candidate.key.as_ref().and_then(|key| self.flows.tunnel(key));
            }
            let model = self.scorer.name();
            output.suspects.extend(found.iter().filter_map(|candidate| candidate.verdict.source));
            for candidate in &found {
                let scorer = &self.scorer;
                let explain = |candidate: &Candidate| {
                    let matrix = if candidate.is_host { &rows.host_matrix } else { &rows.flow_matrix };
                    scorer.explain(matrix.row(candidate.row), candidate.is_host, EXPLAINED)
                };
                let alert = self.book.consider(candidate, window.end, &model, explain)?;
                if alert.is_some() && !candidate.is_host {
                    self.features.memory.suspect(&pair_key(&rows.flows[candidate.row]));
                }
                output.alerts.extend(alert);
            }
        }
        scored::scored(window, &rows, &scores, &self.scorer.state(), &found, &mut output.scores);

        let attackers = self.book.attackers(window.end);
        let suspect = |address: &[u8; 16]| attackers.contains(address);
        self.features.absorb(&rows, |row| {
            let facts = &rows.flows[row];
            let ordinary = !active || f64::from(scores.flows[row]) <= thresholds[0];
            ordinary && !suspect(&facts.src) && !suspect(&facts.dst)
        });
        if let Some(notice) = self.scorer.learn(&rows, &scores, suspect)? {
            self.features.memory.warming = false;
            if self.scorer.phase == Phase::Active {
                // Whatever was seen up to here is familiar.
                self.features.memory.learned_until = window.end + 1;
            }
            output.notices.push(notice);
        }
        output.updates.extend(self.book.updates(window.end));
        output.windows += 1;
        Ok(())
    }
}

/// How full the bounded tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tables {
    /// Flows held.
    pub flows: usize,
    /// Flows seen.
    pub flows_created: u64,
    /// Packets of flows the table had no room for.
    pub flow_overflow_packets: u64,
    /// Flows that were not even accounted to their hosts: too many beyond the table in one window.
    pub flows_beyond_lost: u64,
    /// Hosts remembered.
    pub hosts: usize,
    /// Times a host was not accounted for.
    pub host_overflow: u64,
    /// Pairs remembered.
    pub pairs: usize,
    /// Times a pair or service was not remembered.
    pub memory_overflow: u64,
}
