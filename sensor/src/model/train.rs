//! `vesper model train`: a candidate from captures or from the journal, and how it compares with the live model.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::command::{CommandError, store_candidate};
use super::compare::{Comparison, compare, past};
use super::store::{LIVE, ModelError, Store, read};
use crate::analysis::{Analysis, AnalysisConfig, Learned};
use crate::analyze::{self, AnalyzeError};
use crate::config::Config;
use crate::journal::{JournalError, Reader, Span};
use crate::score::ScoreError;

/// Days of the journal that models are compared on.
const DAYS: u64 = 7;

/// What to train on.
#[derive(Clone, Debug)]
pub enum Source {
    /// Captures, in the order of their time.
    Captures(Vec<PathBuf>),
    /// The journal, with the live model's memory of who is who.
    Journal,
}

/// Training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The captures.
    #[error(transparent)]
    Analyze(#[from] AnalyzeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// See [`CommandError`].
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Too little.
    #[error("the model is still {state} after all of it: give it more, or lower the settings of [score]")]
    TooLittle {
        /// Where it stands.
        state: &'static str,
    },
    /// Nothing to go by.
    #[error(
        "the journal holds only {rows} ordinary rows of these features: let the sensor run on, or train on captures"
    )]
    Empty {
        /// How many.
        rows: u64,
    },
}

/// What came out of it.
#[derive(Debug, Serialize)]
pub struct Trained {
    /// Where the candidate is.
    pub candidate: PathBuf,
    /// Its training steps.
    pub generation: u64,
    /// With the live model on the journal's last days; absent where one of them is missing.
    pub comparison: Option<Comparison>,
}

/// Trains a candidate; the live model stays what it is.
pub fn train(config: &Config, source: &Source) -> Result<Trained, TrainError> {
    let learned = match source {
        Source::Captures(files) => from_captures(config, files)?,
        Source::Journal => from_journal(config)?,
    };
    let candidate = store_candidate(config, &learned)?;
    let live = read(&Store::new(&config.state_dir).path(LIVE)).ok();
    let comparison = live.map(|live| compared(config, &live, &learned)).transpose()?.flatten();
    Ok(Trained { candidate, generation: learned.about().generation, comparison })
}

fn from_captures(config: &Config, files: &[PathBuf]) -> Result<Learned, TrainError> {
    let analysis = analyze::learn(files, config)?;
    match analysis.state().name() {
        "active" => Ok(analysis.learned()?),
        state => Err(TrainError::TooLittle { state }),
    }
}

/// The live networks go on from where they are; without a live model there is nobody to say who is who.
fn from_journal(config: &Config) -> Result<Learned, TrainError> {
    let mut learned = read(&Store::new(&config.state_dir).path(LIVE))?;
    let mut scorer = learned.scorer(config)?;
    let names = Analysis::new(&AnalysisConfig::from(config))?.layout();
    let folder = journal(config);
    let mut seen = Default::default();
    for entry in Reader::open(&folder, Span::ALL)? {
        let (past, _) = past(&entry, &names);
        scorer.study(&past, &mut seen)?;
    }
    let rows: u64 = seen.iter().sum();
    if rows < config.score.warmup_rows {
        return Err(TrainError::Empty { rows });
    }
    scorer.studied();
    for entry in Reader::open(&folder, Span::ALL)? {
        let (past, seconds) = past(&entry, &names);
        scorer.measure(&past, seconds);
    }
    scorer.measured()?;
    learned.replace(&scorer)?;
    Ok(learned)
}

fn journal(config: &Config) -> PathBuf {
    config.state_dir.join(&config.journal.path)
}

/// Both on the last days of the journal, if there is one.
fn compared(config: &Config, live: &Learned, other: &Learned) -> Result<Option<Comparison>, TrainError> {
    let folder: &Path = &journal(config);
    if !folder.exists() {
        return Ok(None);
    }
    let Some(latest) = Reader::latest(folder)? else { return Ok(None) };
    // One that no longer fits the settings cannot be compared.
    let (Ok(mut live), Ok(mut other)) = (live.scorer(config), other.scorer(config)) else { return Ok(None) };
    let since = latest.saturating_sub(DAYS * 86_400 * 1_000_000_000);
    let names = Analysis::new(&AnalysisConfig::from(config))?.layout();
    let refold = u64::try_from(config.alert.refold_after.as_nanos()).unwrap_or(u64::MAX);
    Ok(Some(compare(folder, Span { since, until: u64::MAX }, &names, [&mut live, &mut other], refold)?))
}

/// For people, or as one JSON object.
pub fn report(trained: &Trained, json: bool, out: &mut impl Write) -> std::io::Result<()> {
    if json {
        return writeln!(out, "{}", serde_json::to_string(trained)?);
    }
    writeln!(out, "candidate: {}, {} training steps", trained.candidate.display(), trained.generation)?;
    match &trained.comparison {
        None => writeln!(out, "not compared: that takes a live model that fits the settings, and a journal")?,
        Some(found) => {
            let [live, other] = found.loss;
            writeln!(out, "on {} rows of {:.2} days of the journal:", found.rows, found.days)?;
            writeln!(out, "  on the same side of the threshold  {:.4} of the rows", found.agreement)?;
            writeln!(out, "  correlation of the scores          {:.3}", found.correlation)?;
            writeln!(out, "                                     live       candidate")?;
            writeln!(out, "  loss on ordinary rows              {live:<10.4} {other:.4}")?;
            let [live, other] = found.alerts_a_day;
            writeln!(out, "  further alerts a day, at most      {live:<10.1} {other:.1}")?;
            let [live, other] = found.alerted_found;
            writeln!(out, "  of {:>6} alerted rows, unusual     {live:<10} {other}", found.alerted)?;
        }
    }
    writeln!(
        out,
        "`vesper model promote` makes it live; score.shadow = \"candidate.safetensors\" runs it beside the live one"
    )
}
