//! Joins the stages after capture: flow, features, score, alert. One thread owns it; it never blocks, does no
//! I/O and reads no clock, so a replay of the same events gives the same alerts.

mod evidence;
mod exemplars;
#[cfg(test)]
mod explanations;
mod intel;
#[cfg(test)]
mod intel_tests;
pub mod journal;
#[cfg(test)]
mod poison;
mod saved;
mod scored;
mod tables;
#[cfg(test)]
mod tests;
mod top;
#[cfg(test)]
pub(crate) mod traffic;
mod window;

pub use evidence::Evidence;
pub use exemplars::Exemplar;
pub use intel::IntelCounts;
pub use saved::Learned;
pub use scored::ScoredWindow;
pub use tables::Tables;

use crate::alert::book::Book;
use crate::alert::condition::Condition;
use crate::alert::config::AlertConfig;
use crate::alert::fingerprint::Past;
use crate::alert::likeness::Head;
use crate::alert::{Alert, Raised};
use crate::capture::{FlowDelta, Outer, Sample, Tick};
use crate::config::Config;
use crate::features::config::FeaturesConfig;
use crate::features::rows::{Features, Window};
use crate::features::sketch::byte_entropy;
use crate::flow::SECOND;
use crate::flow::config::FlowConfig;
use crate::flow::record::FlowRecord;
use crate::flow::table::FlowTable;
use crate::journal::{Sample as JournalSample, Window as JournalWindow};
use crate::ledger::SampleBins;
use crate::score::ScoreError;
use crate::score::config::ScoreConfig;
use crate::score::scorer::Scorer;
use crate::score::shadow::{Agreement, Shadow};
use crate::status::top::Top;
use evidence::Witness;
use window::Workshop;

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

impl From<&Config> for AnalysisConfig {
    fn from(config: &Config) -> Self {
        AnalysisConfig {
            flow: config.flow.clone(),
            features: config.features.clone(),
            score: config.score.clone(),
            alert: config.alert.clone(),
        }
    }
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
    pub alerts: Vec<Raised>,
    /// Standing alerts whose count grew, each told every few seconds at most.
    pub updates: Vec<Alert>,
    /// Scored flow windows, in time order, where [`Keep`] asks for them.
    pub scores: Vec<ScoredWindow>,
    /// Flows that ended, where [`Keep`] asks for them.
    pub ended: Vec<FlowRecord>,
    /// Latest packets of some flows of the windows that were closed.
    pub latest: Vec<u64>,
    /// Windows closed.
    pub windows: u64,
    /// Initiators of what the score found, whether or not it was told: worth a closer look.
    pub suspects: Vec<[u8; 16]>,
    /// Packets of alerts that were told before, where [`Keep`] asks for them.
    pub evidence: Vec<Evidence>,
    /// The flows and hosts of the latest window that matter most, where [`Keep`] asks for them.
    pub top: Option<Top>,
    /// Scored windows for the journal, where [`Analysis::keep_journal`] asks for them.
    pub journal: Vec<JournalWindow>,
    /// Rows for those who teach what looks like what, where [`Keep`] asks for them.
    pub exemplars: Vec<Exemplar>,
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
        self.latest.extend(later.latest);
        self.windows += later.windows;
        self.evidence.extend(later.evidence);
        self.top = later.top.or(self.top.take());
        self.journal.extend(later.journal);
        self.exemplars.extend(later.exemplars);
        self.notices.extend(later.notices);
    }
}

/// What else is wanted: files need every flow, which costs more than the analysis itself; people who look on need
/// little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// [`Output::scores`].
    pub scores: bool,
    /// And their features.
    pub features: bool,
    /// [`Output::ended`].
    pub records: bool,
    /// [`Output::top`].
    pub top: bool,
    /// [`Output::evidence`], and the evidence of new alerts.
    pub evidence: bool,
    /// [`Output::exemplars`].
    pub exemplars: bool,
}

/// See the module.
pub struct Analysis {
    flows: FlowTable,
    features: Features,
    scorer: Scorer,
    book: Book,
    past: Past,
    witness: Witness,
    alert: AlertConfig,
    /// Says what looks like what.
    head: Option<Head>,
    samples: SampleBins,
    window_start: Option<u64>,
    now: u64,
    /// A flow that grew later than this is the first sign of a silence, or of a drain that came late; the end of
    /// time once there was one, until the next tick.
    silence_after: u64,
    /// What a window closed by such a sign brought about: told with the next tick.
    early: Option<Result<Output, ScoreError>>,
    beyond_lost: u64,
    keep: Keep,
    journal: Option<JournalSample>,
    /// A model that decides nothing.
    shadow: Option<Shadow>,
    work: Workshop,
    /// Rows scored in one step.
    portion: usize,
    /// Hashes sources, for learning.
    seed: u64,
    /// Packets, samples or rows do not add up: nothing is learned meanwhile.
    ledger_off: bool,
    /// The open window holds what came while nobody looked.
    resumed: bool,
    /// What others know.
    intel: intel::Lookout,
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
            past: Past::default(),
            witness: Witness::default(),
            alert: config.alert.clone(),
            head: Head::shipped(),
            samples: SampleBins::default(),
            window_start: None,
            now: 0,
            resumed: false,
            silence_after: u64::MAX,
            early: None,
            beyond_lost: 0,
            keep: Keep::default(),
            journal: None,
            shadow: None,
            work: Workshop::new(),
            portion: config.score.chunk_rows,
            seed: config.score.seed,
            ledger_off: false,
            intel: intel::Lookout::default(),
        })
    }

    /// Says what else is wanted.
    pub fn keep(&mut self, keep: Keep) {
        self.keep = keep;
        self.flows.keep_records = keep.records;
        self.work.exemplars.wanted = keep.exemplars;
    }

    /// Says what looks like what, instead of what this program comes with; `None` for nothing.
    pub fn set_head(&mut self, head: Option<Head>) {
        self.head = head;
    }

    /// Runs another model beside the live one.
    pub fn run_shadow(&mut self, scorer: Scorer) {
        self.shadow = Some(Shadow::new(scorer));
    }

    /// How the other model agrees with the live one, if there is one.
    pub fn agreement(&self) -> Option<Agreement> {
        self.shadow.as_ref().map(|shadow| shadow.agreement)
    }

    /// Looks into samples: detail for the flows they belong to.
    pub fn samples(&mut self, samples: &[Sample]) {
        for sample in samples {
            let frame: &[u8] = &sample.frame;
            match sample.link.parse(frame) {
                Ok(packet) => {
                    self.samples.parsed += 1;
                    self.features.links.note_ip(sample);
                    if self.keep.evidence {
                        self.witness.note(&packet.key, sample);
                    }
                    let payload = frame.get(usize::from(packet.payload_at)..).unwrap_or_default();
                    self.features.app.sample(&packet, payload, sample.time, sample.weight);
                    if let Some(entropy) = byte_entropy(payload) {
                        self.flows.note_entropy(&packet.key, entropy);
                    }
                }
                Err(_) if self.features.links.note(sample) => self.samples.parsed += 1,
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
        let beyond = &mut self.work.beyond;
        self.flows.apply(deltas, |flow, grown| {
            if beyond.len() < BEYOND {
                beyond.push((flow, grown));
            } else {
                self.beyond_lost += 1;
            }
        });
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
        self.recheck_flows();
        output.ended = self.flows.take_records();
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
        output.ended = self.flows.take_records();
        Ok(output)
    }

    /// Alerts of this date (`YYYYMMDD`) have numbers up to this one already.
    pub fn number_from(&mut self, date: String, number: u64) {
        if (&date, number) > (&self.book.sequence.0, self.book.sequence.1) {
            self.book.sequence = (date, number);
        }
    }

    /// An alert of the past, to be named where a new one looks alike; the oldest first.
    pub fn remember(&mut self, alert: &Alert, fingerprint: Vec<f32>) {
        self.past.remember(&alert.threat_id, alert.threat_type, &alert.timestamp, fingerprint);
    }

    /// Judges by these settings from the next window on.
    pub fn reconfigure(&mut self, alert: &AlertConfig) {
        self.alert = alert.clone();
        self.book.reconfigure(alert);
        self.scorer.allow(alert.budget_per_hour);
    }

    /// Takes what the counters say: the alert of a condition that is new.
    pub fn condition(&mut self, condition: &Condition, now: u64) -> Option<Alert> {
        self.book.condition(condition, now)
    }

    /// The source goes on where that of another process ended. What came in between is counted; the window it comes in
    /// holds more than its time, so it is not judged, but for what others know of its addresses.
    pub fn resume(&mut self) {
        self.resumed = true;
    }

    /// Says whether the ledger is off by something: what is seen then may not be what there is, and teaches nothing.
    pub fn set_ledger_off(&mut self, off: bool) {
        self.ledger_off = off;
    }
}
