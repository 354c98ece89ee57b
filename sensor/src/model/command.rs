//! `vesper model`: looks at what was learned, goes back to an earlier state, takes one elsewhere.
//!
//! A model becomes live by `promote` or `rollback` alone. Where a sensor runs, it is asked to take the model up; where
//! none does, the files are exchanged. Whatever comes from a file passes the same checks as at a start.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::request::running;
use super::store::{CANDIDATE, LIVE, ModelError, OLDER, REQUEST, Snapshot, Store, read};
use super::types;
use crate::analysis::{Analysis, AnalysisConfig, Learned};
use crate::config::Config;
use crate::model_file;
use crate::score::checkpoint::About;
use crate::status::rfc3339;
use crate::telemetry::printable;

/// `vesper model` failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Nobody listens.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// There is no such snapshot.
    #[error("there is no snapshot {name:?}: `vesper model info` lists them")]
    NoSnapshot {
        /// What was asked for.
        name: String,
    },
    /// There is nothing to go back to.
    #[error("there is no snapshot that differs from the live model")]
    NothingOlder,
}

/// A model file, as `info` shows it.
#[derive(Debug, Serialize)]
struct Shown {
    role: &'static str,
    file: PathBuf,
    bytes: u64,
    #[serde(flatten)]
    about: Option<About>,
    /// Why it cannot be used; empty where it can.
    problem: String,
}

/// Whether a model fits this program and these settings.
pub fn check(learned: &Learned, path: &Path, config: &Config) -> Result<(), ModelError> {
    let mut analysis = Analysis::new(&AnalysisConfig::from(config))?;
    analysis.take_up(learned.clone()).map_err(|source| ModelError::Unfit { path: path.to_owned(), source })
}

fn checked(path: &Path, config: &Config) -> Result<Learned, ModelError> {
    let learned = read(path)?;
    check(&learned, path, config)?;
    Ok(learned)
}

/// What there is, in words or as one JSON object. `now` is nanoseconds since the Unix epoch.
pub fn info(config: &Config, now: u64, json: bool, out: &mut impl Write) -> Result<(), CommandError> {
    let store = Store::new(&config.state_dir);
    let roles = [("live", LIVE), ("before", OLDER[0]), ("before that", OLDER[1]), ("candidate", CANDIDATE)];
    let shown = roles.into_iter().map(|(role, name)| shown(role, store.path(name), config));
    let models: Vec<Shown> = shown.chain([shown_request(&store, config)]).flatten().collect();
    let snapshots = store.snapshots()?;
    let running = running(&config.state_dir);
    if json {
        let names: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.name.as_str()).collect();
        let (name, problem) = match types::read(&config.state_dir) {
            Ok(head) => (head.map_or("shipped".to_owned(), |head| head.name), String::new()),
            Err(error) => ("shipped".to_owned(), error.to_string()),
        };
        let types = json!({ "name": name, "problem": problem });
        let object: Value =
            json!({ "running": running, "models": models, "snapshots": names, "types": types });
        writeln!(out, "{object}")?;
        return Ok(());
    }
    match &running {
        Some(id) => writeln!(
            out,
            "a sensor runs (process {id}); its model is saved every so often, see score.snapshot_every"
        )?,
        None => writeln!(out, "no sensor runs")?,
    }
    for model in &models {
        lines(model, now, out)?;
    }
    if models.is_empty() {
        writeln!(out, "no model in {} yet", config.state_dir.display())?;
    }
    match types::read(&config.state_dir) {
        Ok(Some(head)) => writeln!(out, "types: {}, {}", types::FILE, printable(&head.name, 60))?,
        Ok(None) => writeln!(out, "types: those that this program comes with")?,
        Err(error) => writeln!(out, "types: CANNOT BE USED, those of this program are: {error}")?,
    }
    writeln!(out, "{} snapshots", snapshots.len())?;
    for snapshot in snapshots.iter().rev() {
        writeln!(out, "  {}", snapshot.name)?;
    }
    Ok(())
}

fn shown_request(store: &Store, config: &Config) -> Option<Shown> {
    shown("asked for, SIGHUP takes it up", store.path(REQUEST), config)
}

fn shown(role: &'static str, file: PathBuf, config: &Config) -> Option<Shown> {
    let bytes = std::fs::metadata(&file).ok()?.len();
    let (about, problem) = match read(&file) {
        Ok(learned) => {
            let problem = check(&learned, &file, config).err().map(|error| error.to_string());
            (Some(learned.about()), problem.unwrap_or_default())
        }
        Err(error) => (None, error.to_string()),
    };
    Some(Shown { role, file, bytes, about, problem })
}

fn lines(model: &Shown, now: u64, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}: {}, {} bytes", model.role, model.file.display(), model.bytes)?;
    if let Some(about) = &model.about {
        let minutes = now.saturating_sub(about.saved_at) / 60_000_000_000;
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let when = rfc3339(about.saved_at);
        let (state, generation) = (printable(&about.state, 20), about.generation);
        writeln!(out, "  {state}, {generation} training steps, saved {when}, {hours} h {minutes} min ago")?;
        writeln!(out, "  threshold {:.2} decades of seconds", about.threshold)?;
        for (name, features) in &about.features {
            let members = about.members.get(name).map(|members| members.join(", ")).unwrap_or_default();
            let (name, members) = (printable(name, 20), printable(&members, 200));
            writeln!(out, "  {name}: {} features, members {members}", features.len())?;
        }
        let remembered: Vec<String> =
            about.remembered.iter().map(|(name, count)| format!("{count} {}", printable(name, 20))).collect();
        writeln!(out, "  remembers {}", remembered.join(", "))?;
    }
    if !model.problem.is_empty() {
        writeln!(out, "  CANNOT BE USED: {}", printable(&model.problem, 500))?;
    }
    Ok(())
}

/// Makes a file the live model; the candidate where none is named.
pub fn promote(config: &Config, file: Option<&Path>, out: &mut impl Write) -> Result<(), CommandError> {
    let candidate = Store::new(&config.state_dir).path(CANDIDATE);
    let path = file.unwrap_or(&candidate);
    go_live(config, checked(path, config)?, &path.display().to_string(), out)
}

/// Makes a snapshot the live model; where none is named, the latest that is another model than the live one.
pub fn rollback(config: &Config, name: Option<&str>, out: &mut impl Write) -> Result<(), CommandError> {
    let store = Store::new(&config.state_dir);
    let snapshots = store.snapshots()?;
    let snapshot = match name {
        Some(name) => {
            let found = snapshots.into_iter().find(|snapshot| snapshot.name == name);
            found.ok_or_else(|| CommandError::NoSnapshot { name: printable(name, 60) })?
        }
        None => {
            let live = read(&store.path(LIVE)).ok().map(|learned| learned.about().generation);
            let other = |snapshot: &Snapshot| snapshot.generation() != live;
            snapshots.into_iter().rev().find(other).ok_or(CommandError::NothingOlder)?
        }
    };
    let learned = checked(&store.snapshot_path(&snapshot), config)?;
    go_live(config, learned, &snapshot.name, out)
}

fn go_live(
    config: &Config,
    mut learned: Learned,
    name: &str,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let store = Store::new(&config.state_dir);
    let wrong = |path: PathBuf| move |source| ModelError::Io { path, source };
    if let Some(id) = running(&config.state_dir) {
        let path = store.path(REQUEST);
        let bytes = learned.encode().map_err(ModelError::from)?;
        model_file::write(&path, &bytes).map_err(wrong(path))?;
        writeln!(
            out,
            "{name} waits for the running sensor: `systemctl reload vesper`, or `kill -HUP {id}`. It saves the present \
             model as a snapshot, then goes on with this one; its log says so"
        )?;
        return Ok(());
    }
    if let Ok(live) = read(&store.path(LIVE)) {
        learned.number_on(&live);
    }
    let bytes = learned.encode().map_err(ModelError::from)?;
    store.save(&bytes).map_err(wrong(store.path(LIVE)))?;
    writeln!(
        out,
        "{name} is live from the next start on; the one before is {}",
        store.path(OLDER[0]).display()
    )?;
    Ok(())
}

/// Writes the live model to a file.
pub fn export(config: &Config, file: &Path, out: &mut impl Write) -> Result<(), CommandError> {
    let live = Store::new(&config.state_dir).path(LIVE);
    let learned = checked(&live, config)?;
    let bytes = learned.encode().map_err(ModelError::from)?;
    model_file::write(file, &bytes).map_err(|source| ModelError::Io { path: file.to_owned(), source })?;
    writeln!(out, "{} training steps written to {}", learned.about().generation, file.display())?;
    Ok(())
}

/// Makes a file the candidate, if it fits.
pub fn import(config: &Config, file: &Path, out: &mut impl Write) -> Result<(), CommandError> {
    let learned = checked(file, config)?;
    let path = store_candidate(config, &learned)?;
    writeln!(
        out,
        "{} is the candidate: {}; `vesper model promote` makes it live",
        file.display(),
        path.display()
    )?;
    Ok(())
}

/// Writes the candidate.
pub(super) fn store_candidate(config: &Config, learned: &Learned) -> Result<PathBuf, ModelError> {
    let path = Store::new(&config.state_dir).path(CANDIDATE);
    let bytes = learned.encode()?;
    match model_file::write(&path, &bytes) {
        Ok(()) => Ok(path),
        Err(source) => Err(ModelError::Io { path, source }),
    }
}
