//! What looks like what: trained on labelled captures, kept in the state folder, taken up by a sensor that starts.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::labels::{self, Label, LabelError, Said};
use crate::alert::ThreatType;
use crate::alert::fingerprint::TYPES;
use crate::alert::likeness::head::{JUDGED, LARGEST, Measured};
use crate::alert::likeness::train::{Row, fit};
use crate::alert::likeness::{Head, HeadError, context};
use crate::analysis::Exemplar;
use crate::analyze::{self, AnalyzeError};
use crate::config::Config;
use crate::model_file;
use crate::score::scorer::Kind;

/// The file in the state folder.
pub const FILE: &str = "types.json";
/// One capture in so many is held out for the calibration; with fewer captures one attack in so many.
const HELD_OUT: usize = 4;
/// Rows of one attack that are learned from.
const MOST_ROWS: usize = 300;
/// What a row counts that a rule names: what is judged later are the others.
const NAMED: f64 = 0.3;
/// What ordinary rows count together, where the rows of one type count 1: unusual ones, others.
const BENIGN: [f64; 2] = [2.0, 0.5];

/// Types cannot be trained or read.
#[derive(Debug, thiserror::Error)]
pub enum TypesError {
    /// The captures.
    #[error(transparent)]
    Analyze(#[from] AnalyzeError),
    /// The labels.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// The file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file does not fit.
    #[error("{} {source}", path.display())]
    Head {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: HeadError,
    },
    /// There is nothing to learn from.
    #[error(
        "no unusual row of a labelled attack: the captures need ordinary traffic before the attacks, for the warm-up and \
         calibration of [score], and times and addresses of the labels must be theirs"
    )]
    Nothing,
}

/// What came of the training.
#[derive(Debug, Serialize)]
pub struct Trained {
    /// Where it is.
    pub file: PathBuf,
    /// Attacks that showed in an unusual row, by type.
    pub attacks: BTreeMap<String, usize>,
    /// Attacks that did not.
    pub unseen: usize,
    /// On what was held out: flows and hosts.
    pub flow: Measured,
    /// Same.
    pub host: Measured,
}

/// An exemplar with what is known of it.
struct Known {
    row: Exemplar,
    class: usize,
    /// Capture and number of the attack; of ordinary rows the minute.
    event: (usize, usize),
    held_out: bool,
}

/// Trains on captures, each of which is analysed by itself from its beginning, and writes the file into the state folder.
pub fn train(
    config: &Config,
    labels: &Path,
    captures: &[PathBuf],
    name: &str,
) -> Result<Trained, TypesError> {
    let labels = labels::read(labels)?;
    let mut known = Vec::new();
    for (number, capture) in captures.iter().enumerate() {
        let mut rows = Vec::new();
        analyze::exemplars(capture, config, |row| {
            rows.extend(knowledge(row, &labels, number, captures.len()))
        })?;
        known.extend(rows);
    }
    let mut attacks: BTreeMap<String, usize> = BTreeMap::new();
    let mut events: Vec<(usize, usize)> =
        known.iter().filter(|one| one.class != ordinary()).map(|one| one.event).collect();
    events.sort_unstable();
    events.dedup();
    for (_, label) in &events {
        *attacks.entry(format!("{:?}", labels[*label].kind)).or_default() += 1;
    }
    if events.is_empty() {
        return Err(TypesError::Nothing);
    }
    let head = learned(&known, name);
    let (measured_flow, measured_host) = (head.flow.measured.clone(), head.host.measured.clone());
    let file = config.state_dir.join(FILE);
    let bytes = head.encode().map_err(|source| TypesError::Head { path: file.clone(), source })?;
    model_file::write(&file, &bytes).map_err(|source| TypesError::File { path: file.clone(), source })?;
    let unseen = labels.len().saturating_sub(events.len());
    Ok(Trained { file, attacks, unseen, flow: measured_flow, host: measured_host })
}

fn learned(known: &[Known], name: &str) -> Head {
    let of_kind = |kind| {
        let (held_out, least) = held_out(known, kind);
        let taught: Vec<&Known> = known.iter().filter(|one| one.row.kind == kind && !one.held_out).collect();
        fit(&context::names(kind), &rows(&taught), &rows(&held_out), least)
    };
    Head::new(name, JUDGED.map(of_kind))
}

/// What the temperature is fitted to, and the least it may be. What is judged later are unusual rows that no rule names.
/// Where none was held out, those with a rule have to do: they are the plain ones, and may only make it less sure.
fn held_out(known: &[Known], kind: Kind) -> (Vec<&Known>, f64) {
    let unusual = |one: &&Known| one.row.kind == kind && one.held_out && one.row.unusual;
    let unusual: Vec<&Known> = known.iter().filter(unusual).collect();
    let unnamed: Vec<&Known> = unusual.iter().copied().filter(|one| !one.row.named).collect();
    if unnamed.is_empty() { (unusual, 1.0) } else { (unnamed, 0.0) }
}

fn ordinary() -> usize {
    class(ThreatType::Anomaly)
}

fn class(kind: ThreatType) -> usize {
    TYPES.iter().position(|&one| one == kind).unwrap_or(TYPES.len() - 1)
}

/// What the labels teach by a row, if they teach anything.
fn knowledge(row: Exemplar, labels: &[Label], capture: usize, captures: usize) -> Option<Known> {
    let (class, event) = match labels::said(labels, &row) {
        // An ordinary row of an attack is one that looks like nothing.
        Said::Attack(_) if !row.unusual => return None,
        Said::Attack(number) => (class(labels[number].kind), (capture, number)),
        Said::Touched => return None,
        Said::Ordinary => (ordinary(), (capture, (row.time / 60_000_000_000) as usize)),
    };
    let part = if captures >= HELD_OUT { capture } else { event.1 };
    Some(Known { row, class, event, held_out: part % HELD_OUT == HELD_OUT - 1 })
}

/// Rows with their weights: every attack of a type counts the same, and every type.
fn rows(chosen: &[&Known]) -> Vec<Row> {
    /// Class, whether a rule names it, and the event.
    type Group = (usize, bool, (usize, usize));
    let mut groups: BTreeMap<Group, Vec<&Known>> = BTreeMap::new();
    for &one in chosen {
        let event = if one.class == ordinary() { (0, 0) } else { one.event };
        groups.entry((one.class, one.row.unusual, event)).or_default().push(one);
    }
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    groups.keys().for_each(|(class, ..)| *counts.entry(*class).or_default() += 1);
    let mut rows = Vec::new();
    for ((class, unusual, _), group) in &groups {
        let step = if *class == ordinary() { 1 } else { group.len().div_ceil(MOST_ROWS).max(1) };
        let taken = || group.iter().step_by(step);
        let own = |one: &&&Known| if one.row.named { NAMED } else { 1.0 };
        let total: f64 = taken().map(|one| own(&one)).sum();
        let group_weight = match (*class == ordinary(), unusual) {
            (true, true) => BENIGN[0],
            (true, false) => BENIGN[1],
            _ => 1.0 / counts[class] as f64,
        };
        rows.extend(taken().map(|one| Row {
            inputs: one.row.inputs.clone(),
            class: *class,
            weight: group_weight * own(&one) / total,
        }));
    }
    rows
}

/// What the state folder holds, if it holds one.
pub fn read(state_dir: &Path) -> Result<Option<Head>, TypesError> {
    let path = state_dir.join(FILE);
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(about) if about.len() > LARGEST as u64 => {
            let source = std::io::Error::other("it is too large to be a file of types");
            return Err(TypesError::File { path, source });
        }
        _ => {}
    }
    let bytes = model_file::read(&path).map_err(|source| TypesError::File { path: path.clone(), source })?;
    Head::decode(&bytes).map(Some).map_err(|source| TypesError::Head { path, source })
}

/// The one to go by: that of the state folder, or what this program comes with where there is none that can be used.
pub fn chosen(state_dir: &Path) -> Option<Head> {
    match read(state_dir) {
        Ok(Some(head)) => Some(head),
        Ok(None) => Head::shipped(),
        Err(error) => {
            tracing::warn!("{error}; going by the types that this program comes with");
            Head::shipped()
        }
    }
}

/// For people, or as one JSON object.
pub fn report(trained: &Trained, json: bool, out: &mut impl Write) -> std::io::Result<()> {
    if json {
        return writeln!(out, "{}", serde_json::to_string(trained)?);
    }
    writeln!(out, "types: {}; the next start takes them up", trained.file.display())?;
    for (kind, count) in &trained.attacks {
        writeln!(out, "  {kind}: {count} attacks")?;
    }
    writeln!(out, "  {} labels showed in no unusual row", trained.unseen)?;
    for (name, measured) in [("flows", &trained.flow), ("hosts", &trained.host)] {
        let Measured { rows, right, calibration_error, uncalibrated } = measured;
        writeln!(
            out,
            "  {name}: of {rows} rows held out {:.1} % right; calibration error {calibration_error:.3} ({uncalibrated:.3} \
             before)",
            right * 100.0
        )?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "types_tests.rs"]
mod tests;
