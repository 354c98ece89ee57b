//! `vesper analyze`: captures through the same stages as live traffic, and what comes out of them in files.
//!
//! In: capture files, settings, and where the results go. Out: alerts, EVE records, flows, scores and a summary.
//! Flows and scores are written as they come, so that memory does not grow with the capture. Nothing is sent to
//! sinks: looking at an old capture must wake nobody.

mod alerts;

mod bounded;

mod cicflow;

mod eve;

mod flows;

mod learn;

mod output;

mod page;

mod progress;

mod rows;

mod scores;

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::alert::Alert;
use crate::alert::likeness::Head;
use crate::analysis::{Analysis, AnalysisConfig, Keep, Output};
use crate::capture::replay::{self, Replay, ReplayConfig, ReplayError};
use crate::capture::{Event, PacketFacts, Tick};
use crate::config::Config;
use crate::intel;
use crate::journal::{Limits, Sample, Writer};
use crate::model_file;
use crate::score::scorer::ScoreState;
use crate::status::{FlowStatus, ModelState, ScoreStatus, Status, Summary};
use alerts::Alerts;
use bounded::Bounds;
use eve::EveWriter;
use flows::FlowsWriter;
use output::refuse_same_file;
use progress::Progress;
use rows::RowsWriter;
use scores::ScoresWriter;

pub use bounded::LINE_OF_PROGRESS;
pub use learn::{exemplars, learn};
pub use output::AnalyzeError;

/// Where results go; `-` is standard output.
#[derive(Clone, Debug, Default)]
pub struct AnalyzeOptions {
    /// Captures in the order of their time; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Alerts, one JSON object a line.
    pub alerts: Option<PathBuf>,
    /// Alerts and flows as EVE JSON.
    pub eve: Option<PathBuf>,
    /// One row for each flow, under CICFlowMeter's names.
    pub flows: Option<PathBuf>,
    /// One row for each scored window.
    pub scores: Option<PathBuf>,
    /// The features of each scored window.
    pub rows: Option<PathBuf>,
    /// A journal of its windows.
    pub journal: Option<PathBuf>,
    /// Print the summary as one JSON object instead of a page.
    pub json: bool,
    /// A saved state to begin with.
    pub model: Option<PathBuf>,
    /// What says what an alert without a rule looks like, instead of what this program comes with.
    pub types: Option<PathBuf>,
    /// Where to save what was learned.
    pub save_model: Option<PathBuf>,
    /// 2: the data plane has a thread of its own. 3 or more: so has reading and unpacking.
    pub threads: u32,
    /// Within limits, for captures of strangers: one file.
    pub bounded: bool,
}

/// Events that may be read ahead: batches of samples and drains, some megabytes at most.
const READ_AHEAD: usize = 64;

/// Analyses the captures, writes the results and prints the summary on standard output, unless a result goes
/// there.
pub fn analyze(options: &AnalyzeOptions, config: &Config) -> Result<Summary, AnalyzeError> {
    let files = [&options.alerts, &options.eve, &options.flows, &options.scores, &options.rows];
    let files: Vec<&Path> = files.into_iter().flatten().map(PathBuf::as_path).collect();
    refuse_same_file(&files, options.json)?;
    let settings = ReplayConfig::new(&config.capture, config.flow.idle_timeout);
    let settings =
        ReplayConfig { read_ahead: options.threads >= 3, packets: options.flows.is_some(), ..settings };
    let (lists, unread) = intel::offline(&config.intel, &config.state_dir);
    for warning in unread {
        tracing::warn!("{warning}");
    }
    let settings = ReplayConfig { lists: lists.clone(), ..settings };
    let (replay, bounds) = match options.files.as_slice() {
        [file] if options.bounded => {
            Bounds::enter()?;
            let (replay, bounds) = Bounds::open(file, settings)?;
            (replay, Some(bounds))
        }
        files => (Replay::open(files, settings)?, None),
    };
    let mut analysis = Analysis::new(&AnalysisConfig::from(config))?;
    if let Some(lists) = lists {
        analysis.lists(lists);
    }
    analysis.keep(Keep {
        scores: options.scores.is_some() || options.rows.is_some(),
        features: options.rows.is_some(),
        records: options.eve.is_some(),
        ..Keep::default()
    });
    if options.journal.is_some() {
        analysis.keep_journal(Sample::new(&config.journal, config.score.seed));
    }
    if let Some(path) = &options.model {
        let failed = |why: String| AnalyzeError::Model { path: path.clone(), why };
        let state = model_file::read(path).map_err(|error| failed(error.to_string()))?;
        analysis.restore(&state).map_err(|error| failed(error.to_string()))?;
    }
    if let Some(path) = &options.types {
        let failed = |why: String| AnalyzeError::Model { path: path.clone(), why };
        let bytes = model_file::read(path).map_err(|error| failed(error.to_string()))?;
        analysis.set_head(Some(Head::decode(&bytes).map_err(|error| failed(error.to_string()))?));
    }
    let journal = options.journal.as_deref();
    let journal = journal.map(|folder| Writer::open(folder, Limits::of(&config.journal), &analysis.layout()));
    let results = Results { journal: journal.transpose()?, ..Results::create(options, config)? };
    let mut run = Run { analysis, results, status: Status::default(), bounds };
    let (summary, alerts) = run.all(replay, options.threads)?;
    if let Some(path) = &options.save_model {
        let state = run.analysis.save()?;
        model_file::write(path, &state)
            .map_err(|source| AnalyzeError::Write { path: path.clone(), source })?;
    }
    if options.json {
        output::print(&(serde_json::to_string(&summary).map_err(std::io::Error::from)? + "\n"))?;
    } else if !files.contains(&Path::new("-")) {
        output::print(&page::page(&summary, &alerts))?;
    }
    Ok(summary)
}

/// An analysis under way.
struct Run {
    analysis: Analysis,
    results: Results,
    status: Status,
    bounds: Option<Bounds>,
}

impl Run {
    fn all(&mut self, replay: Replay, threads: u32) -> Result<(Summary, Vec<Alert>), AnalyzeError> {
        let progress = Progress::new(replay.progress().1);
        let mut last = 0;
        let mut events = 0u64;
        let buffers = replay.buffers().clone();
        let read = feed(replay, threads, |event, bytes, packets| {
            match &event {
                Event::Samples(samples) => self.analysis.samples(samples),
                Event::Flows(deltas) => {
                    self.status.ledger.flows(deltas);
                    self.analysis.flows(deltas);
                }
                Event::Tunnels(tunnels) => self.analysis.tunnels(tunnels),
                Event::Listed(listed) => self.analysis.listed(listed),
                Event::Lists(set) => self.analysis.lists(set.clone()),
                Event::Packets(packets) => self.results.packets(packets)?,
                Event::Tick(tick) => {
                    last = tick.time;
                    self.tick(tick)?;
                }
            }
            buffers.give_back(event);
            events += 1;
            if events.is_multiple_of(32) {
                progress.update(bytes, packets);
                self.bounds.as_mut().map_or(Ok(()), |bounds| bounds.look(packets))?;
            }
            Ok(())
        })?;
        let output = self.analysis.finish(last)?;
        self.take(&output)?;
        self.close(&read);
        self.status.time = (progress.elapsed() * 1e9) as u64;
        progress.finish();
        let (alerts, warning) = self.results.finish()?;
        self.status.warnings.extend(warning);
        self.status.warnings.extend(self.bounds.as_ref().and_then(Bounds::warning));
        Ok((Summary::from(&self.status), alerts))
    }

    fn tick(&mut self, tick: &Tick) -> Result<(), AnalyzeError> {
        self.status.ledger.drained(tick);
        let output = self.analysis.tick(tick)?;
        self.take(&output)
    }

    fn take(&mut self, output: &Output) -> Result<(), AnalyzeError> {
        for raised in &output.alerts {
            *self.status.threats.entry(raised.alert.threat_type).or_default() += 1;
        }
        self.results.write(output)
    }

    /// The closing entries of the ledger: nothing is in flight any more.
    fn close(&mut self, replay: &crate::capture::replay::Summary) {
        let (samples, scoring, alerts) = self.analysis.bins();
        let status = &mut self.status;
        let ledger = &mut status.ledger;
        ledger.samples.parsed = samples.parsed;
        ledger.samples.shed_not_in_flow = samples.shed_not_in_flow;
        ledger.scoring = scoring;
        ledger.alerts = alerts;
        status.residue = ledger.residue_at_rest();
        status.first_packet = replay.first;
        status.last_packet = replay.last;
        status.truncated = replay.truncated;
        let tables = self.analysis.tables();
        status.flow = FlowStatus { total: tables.flows_ended, ..FlowStatus::default() };
        status.links = tables.links;
        status.warnings.clone_from(&replay.warnings);
        let overflow = ledger.totals.overflow_total().packets;
        if overflow > 0 {
            status.warnings.push(format!(
                "the kernel's flow table was full: {overflow} packets are counted, but in no flow; raise \
                 capture.flow_map_entries"
            ));
        }
        let (state, warning) = model(&self.analysis.state());
        status.score = state;
        status.warnings.extend(warning);
    }
}

/// Where the model stands at the end, and what a person should know about it.
fn model(state: &ScoreState) -> (ScoreStatus, Option<String>) {
    let unready = |name: &str, rows: u64, needed: u64, seconds: f64, needed_seconds: f64| {
        Some(format!(
            "the model was still {name} when the capture ended ({rows} of {needed} rows, {seconds:.0} of \
             {needed_seconds:.0} s): alerts could not rise. Give a longer capture, put captures of ordinary traffic \
             before it, or lower the settings of [score]"
        ))
    };
    let part = |rows: u64, needed: u64, seconds: f64, needed_seconds: f64| {
        (rows as f64 / needed.max(1) as f64).min(seconds / needed_seconds.max(1e-9)).clamp(0.0, 1.0)
    };
    match *state {
        ScoreState::Warming { rows, needed_rows, seconds, needed_seconds } => (
            ScoreStatus {
                state: ModelState::Warming,
                progress: part(rows, needed_rows, seconds, needed_seconds) / 2.0,
                ..ScoreStatus::default()
            },
            unready("warming up", rows, needed_rows, seconds, needed_seconds),
        ),
        ScoreState::Calibrating { rows, needed_rows, seconds, needed_seconds } => (
            ScoreStatus {
                state: ModelState::Calibrating,
                progress: 0.5 + part(rows, needed_rows, seconds, needed_seconds) / 2.0,
                ..ScoreStatus::default()
            },
            unready("calibrating", rows, needed_rows, seconds, needed_seconds),
        ),
        ScoreState::Active { threshold } => {
            (ScoreStatus { state: ModelState::Active, progress: 1.0, threshold }, None)
        }
    }
}

/// The files that were asked for.
struct Results {
    alerts: Alerts,
    eve: Option<EveWriter>,
    flows: Option<FlowsWriter>,
    scores: Option<ScoresWriter>,
    rows: Option<RowsWriter>,
    journal: Option<Writer>,
}

impl Results {
    fn create(options: &AnalyzeOptions, config: &Config) -> Result<Results, AnalyzeError> {
        let flows = options.flows.as_deref();
        Ok(Results {
            alerts: Alerts::create(options.alerts.as_deref())?,
            eve: options.eve.as_deref().map(EveWriter::create).transpose()?,
            flows: flows.map(|path| FlowsWriter::create(path, config.flow.max_flows)).transpose()?,
            scores: options.scores.as_deref().map(ScoresWriter::create).transpose()?,
            rows: options.rows.as_deref().map(RowsWriter::create).transpose()?,
            journal: None,
        })
    }

    fn packets(&mut self, packets: &[PacketFacts]) -> Result<(), AnalyzeError> {
        self.flows.as_mut().map_or(Ok(()), |flows| flows.packets(packets))
    }

    fn write(&mut self, output: &Output) -> Result<(), AnalyzeError> {
        self.alerts.take(&output.alerts, &output.updates)?;
        if let Some(eve) = &mut self.eve {
            output.alerts.iter().try_for_each(|raised| eve.alert(&raised.alert))?;
            output.ended.iter().try_for_each(|flow| eve.flow(flow))?;
        }
        if let Some(scores) = &mut self.scores {
            output.scores.iter().try_for_each(|window| scores.row(window))?;
        }
        if let Some(rows) = &mut self.rows {
            output.scores.iter().try_for_each(|window| rows.row(window))?;
        }
        if let Some(journal) = &mut self.journal {
            output.journal.iter().try_for_each(|window| journal.append(window))?;
        }
        Ok(())
    }

    /// Everything is in the files; gives the alerts that are kept, and what is odd about a file.
    fn finish(&mut self) -> Result<(Vec<Alert>, Option<String>), AnalyzeError> {
        self.eve.take().map_or(Ok(()), EveWriter::finish)?;
        let warning = self.flows.take().map_or(Ok(None), FlowsWriter::finish)?;
        self.scores.take().map_or(Ok(()), ScoresWriter::finish)?;
        self.rows.take().map_or(Ok(()), RowsWriter::finish)?;
        self.journal.take().map_or(Ok(()), |mut journal| journal.sync())?;
        Ok((self.alerts.finish()?, warning))
    }
}

/// Gives every event to `take`, with the bytes and packets read so far, in order; from another thread's reading
/// where there are two. Returns what the reader says at the end.
fn feed(
    mut replay: Replay,
    threads: u32,
    mut take: impl FnMut(Event, u64, u64) -> Result<(), AnalyzeError>,
) -> Result<replay::Summary, AnalyzeError> {
    if threads < 2 {
        while let Some(event) = replay.next_event()? {
            take(event, replay.progress().0, replay.packets())?;
        }
        return Ok(replay.summary());
    }
    thread::scope(|scope| {
        let (sender, events) = sync_channel(READ_AHEAD);
        let reader = scope.spawn(move || {
            while let Some(event) = replay.next_event()? {
                // Nobody listens any more: the analysis failed, and says why.
                if sender.send((event, replay.progress().0, replay.packets())).is_err() {
                    break;
                }
            }
            Ok::<_, ReplayError>(replay.summary())
        });
        for (event, bytes, packets) in events {
            take(event, bytes, packets)?;
        }
        match reader.join() {
            Ok(summary) => Ok(summary?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
