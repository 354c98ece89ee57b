//! Two models on the same past: what would each have said to the rows of the journal?

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::features::link::Mac;
use crate::journal::record::feature;
use crate::journal::{Entry, JournalError, Key, Layout, Reader, Row, Span};
use crate::score::scorer::{KINDS, Kind, Scorer};
use crate::score::shadow::Agreement;
use crate::score::study::PastRow;

/// Sources whose alerts are told apart.
const MOST_SOURCES: usize = 100_000;

/// What came out of it. Where there are two numbers, the live model's is first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Days of traffic.
    pub days: f64,
    /// Rows that both scored.
    pub rows: u64,
    /// Part of them on the same side of both thresholds.
    pub agreement: f64,
    /// Correlation of the scores.
    pub correlation: f64,
    /// What the networks did not understand of ordinary rows, in squares of what is usual.
    pub loss: [f64; 2],
    /// Rows that would have been unusual, by the model alone, and were ordinary when they were seen.
    pub new_unusual: [u64; 2],
    /// Alerts a day that such rows would have made at most: one for each source, while it goes on.
    pub alerts_a_day: [f64; 2],
    /// Rows that were alerted when they were seen and would be above the threshold by the model alone.
    pub alerted_found: [u64; 2],
    /// Of so many.
    pub alerted: u64,
}

/// The rows of a window that an ordinary day consists of, and how long it was, seconds.
pub(super) fn past(entry: &Entry, names: &Layout) -> (Vec<PastRow>, f64) {
    let window = &entry.window;
    let usable = |row: &&Row| !row.unusual && !row.suspect && row.alert.is_none();
    let rows =
        window.rows.iter().filter(usable).filter_map(|row| Some(past_row(row, kind(entry, row, names)?)));
    (rows.collect(), window.end.saturating_sub(window.start) as f64 / 1e9)
}

/// The kind of a row, where it has the features that the models have.
fn kind(entry: &Entry, row: &Row, names: &Layout) -> Option<Kind> {
    let place = row.key.kind();
    let same = entry.layout.features[place] == names.features[place];
    KINDS.get(place).copied().filter(|_| same)
}

fn past_row(row: &Row, kind: Kind) -> PastRow {
    let source = crate::features::sketch::mix_address(0, &source(row));
    PastRow { kind, features: row.features.iter().map(|value| feature(*value)).collect(), source }
}

fn source(row: &Row) -> [u8; 16] {
    match row.key {
        Key::Flow { src, .. } => src,
        Key::Host { address } => address,
        Key::Link { source, .. } => Mac(source).link_local(),
    }
}

/// Scores the rows of a journal with both; alerts of one source within `refold` nanoseconds of quiet are one.
pub fn compare(
    folder: &Path,
    span: Span,
    names: &Layout,
    mut models: [&mut Scorer; 2],
    refold: u64,
) -> Result<Comparison, JournalError> {
    let (mut agreement, mut found) = (Agreement::default(), Comparison::default());
    let mut standing: [BTreeMap<[u8; 16], u64>; 2] = Default::default();
    let (mut alerts, mut weight, mut losses) = ([0u64; 2], 0.0, [0.0; 2]);
    let mut seconds = 0.0;
    for entry in Reader::open(folder, span)? {
        let end = entry.window.end;
        seconds += end.saturating_sub(entry.window.start) as f64 / 1e9;
        for row in &entry.window.rows {
            let Some(kind) = kind(&entry, row, names) else { continue };
            let past = past_row(row, kind);
            let mut above = [0.0; 2];
            let is_ordinary = !row.unusual && !row.suspect;
            for (side, scorer) in models.iter_mut().enumerate() {
                let threshold = scorer.threshold();
                let score = scorer.model(kind).score_row(past.features.iter().copied());
                above[side] = f64::from(score) - threshold;
                if is_ordinary {
                    losses[side] += f64::from(scorer.loss(&past.features, kind)) * f64::from(row.weight);
                }
            }
            agreement.add(above[0], above[1]);
            weight += if is_ordinary { f64::from(row.weight) } else { 0.0 };
            found.alerted += u64::from(row.alert.is_some());
            for side in [0, 1] {
                let unusual = above[side] > 0.0;
                found.alerted_found[side] += u64::from(unusual && row.alert.is_some());
                if unusual && is_ordinary {
                    found.new_unusual[side] += 1;
                    alerts[side] += u64::from(is_new(&mut standing[side], source(row), end, refold));
                }
            }
        }
    }
    found.days = seconds / 86_400.0;
    found.rows = agreement.rows;
    (found.agreement, found.correlation) = (agreement.part(), agreement.correlation());
    if weight > 0.0 {
        found.loss = losses.map(|loss| loss / weight);
    }
    if found.days > 0.0 {
        found.alerts_a_day = alerts.map(|count| count as f64 / found.days);
    }
    Ok(found)
}

/// Whether this source was quiet for so long.
fn is_new(standing: &mut BTreeMap<[u8; 16], u64>, source: [u8; 16], now: u64, refold: u64) -> bool {
    if standing.len() >= MOST_SOURCES {
        standing.retain(|_, latest| now.saturating_sub(*latest) <= refold);
    }
    if standing.len() >= MOST_SOURCES && !standing.contains_key(&source) {
        return true;
    }
    standing.insert(source, now).is_none_or(|latest| now.saturating_sub(latest) > refold)
}
