//! Anomalies that other systems saw: which incident is like them, and what worked then.
//!
//! In comes an `error_type` with what is known about it, hostile like everything from outside. Out comes a decision,
//! stored with its event and whatever sinks are to be told, in one transaction.

mod matching;

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use self::matching::{Match, best};
use super::index::Index;
use super::record::Origin;
use super::search::words;
use super::store::next;
use crate::alert::Severity;
use crate::alert::report::{date, rfc3339};
use crate::store::events::{self, EventKind};
use crate::store::{Store, StoreError};
use crate::telemetry::printable;

/// Decisions kept; the oldest go first.
const KEPT: i64 = 10_000;
/// Key in `meta` of the latest decision's number.
const LAST: &str = "decisions_last";
const LONGEST_TYPE: usize = 100;
const MOST_CONTEXT: usize = 32;
const LONGEST_KEY: usize = 64;
const LONGEST_VALUE: usize = 500;
const LARGEST_SPIKE: f64 = 1e9;
const UNKNOWN: &str =
    "no incident like this is known: once the cause is found, add it, so that the next one has an answer";

/// An anomaly that another system saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnomalyRequest {
    /// What it is, words joined by `_`, `-` or spaces: `database_timeout`.
    pub error_type: String,
    /// How far above usual, per cent.
    #[serde(default)]
    pub spike_percentage: f64,
    /// What else is known: texts, numbers, yes or no.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub context: BTreeMap<String, Value>,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// `dec_` date `_` number.
    pub id: String,
    /// As it was posted.
    pub error_type: String,
    /// What was seen, in words.
    pub symptom: String,
    /// By how far it is above usual.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// As it was posted.
    pub spike_percentage: f64,
    /// The incident that is like it, if there is one.
    pub matched_incident: Option<String>,
    /// What to do.
    pub recommended_action: String,
    /// The similarity times the chance that the action works.
    pub confidence_score: f64,
    /// How alike, 0 to 1.
    pub similarity: f64,
    /// From the question to the answer, before it was stored.
    pub latency_ms: f64,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// Where the incident comes from; absent without one.
    #[serde(default)]
    pub source: Option<Origin>,
    /// As it was posted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub context: BTreeMap<String, Value>,
}

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// The request cannot be understood.
    #[error("{0}")]
    Request(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AnomalyRequest {
    /// What is wrong with it, with a remedy.
    pub fn check(&self) -> Result<(), String> {
        let length = self.error_type.chars().count();
        if words(&self.error_type).is_empty() || length > LONGEST_TYPE {
            return Err(format!(
                "error_type has no word, or more than {LONGEST_TYPE} characters: say what it is, such as database_timeout"
            ));
        }
        if !self.spike_percentage.is_finite() || self.spike_percentage.abs() > LARGEST_SPIKE {
            return Err(format!(
                "spike_percentage = {} is out of range: say how far above usual it is, such as 450",
                self.spike_percentage
            ));
        }
        if self.context.len() > MOST_CONTEXT {
            return Err(format!("context has {} entries: at most {MOST_CONTEXT}", self.context.len()));
        }
        for (key, value) in &self.context {
            let shown = printable(key, LONGEST_KEY);
            if key.chars().count() > LONGEST_KEY {
                return Err(format!("context.{shown} is too long a name: at most {LONGEST_KEY} characters"));
            }
            match value {
                Value::Object(_) | Value::Array(_) => {
                    return Err(format!("context.{shown} holds others: give texts, numbers, true or false"));
                }
                Value::String(text) if text.chars().count() > LONGEST_VALUE => {
                    return Err(format!("context.{shown} is too long: at most {LONGEST_VALUE} characters"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn symptom(&self) -> String {
        let what = words(&self.error_type).join(" ");
        let off = self.spike_percentage;
        if off == 0.0 {
            return what;
        }
        format!("{what}, {:.0} % {} usual", off.abs(), if off < 0.0 { "below" } else { "above" })
    }

    fn severity(&self) -> Severity {
        match self.spike_percentage.abs() {
            off if off >= 500.0 => Severity::Critical,
            off if off >= 200.0 => Severity::High,
            off if off >= 50.0 => Severity::Medium,
            _ => Severity::Low,
        }
    }
}

/// Answers an anomaly at `now`, nanoseconds since the Unix epoch. `enqueue` is given the id of its event, for the sinks'
/// rows in the same transaction. Returns once the decision is on disk; blocks the thread.
#[expect(clippy::disallowed_methods, reason = "the caller is told how long the answer took")]
pub fn decide(
    store: &Store,
    index: &Index,
    request: &AnomalyRequest,
    now: i64,
    enqueue: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<()> + Send + 'static,
) -> Result<Decision, DecisionError> {
    let begun = std::time::Instant::now();
    request.check().map_err(DecisionError::Request)?;
    let severity = request.severity();
    let found = store.read(|connection| best(connection, request, severity, index.config.min_similarity))?;
    index.counts.decided(found.is_some());
    let found = found.unwrap_or_else(|| Match { action: UNKNOWN.to_owned(), ..Match::default() });
    let mut decision = Decision {
        id: String::new(),
        error_type: printable(&request.error_type, LONGEST_TYPE),
        symptom: request.symptom(),
        severity,
        spike_percentage: request.spike_percentage,
        matched_incident: found.incident,
        recommended_action: found.action,
        confidence_score: found.confidence,
        similarity: found.similarity,
        latency_ms: 0.0,
        created_at: rfc3339(now.max(0).cast_unsigned()),
        source: found.origin,
        context: request.context.clone(),
    };
    decision.latency_ms = (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    let stored = store.write(move |transaction| {
        let number = next(transaction, LAST)?;
        decision.id = format!("dec_{}_{number:06}", date(now.max(0).cast_unsigned()));
        let event = insert(transaction, &decision, now)?;
        enqueue(transaction, event)?;
        Ok(decision)
    })?;
    Ok(stored)
}

/// Stores a decision and its event, whose id is returned.
fn insert(transaction: &Transaction<'_>, decision: &Decision, now: i64) -> rusqlite::Result<i64> {
    let json = serde_json::to_string(decision)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    transaction
        .prepare_cached(
            "INSERT INTO decisions (id, time, error_type, incident_id, similarity, json) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            decision.id,
            now,
            decision.error_type,
            decision.matched_incident,
            decision.similarity,
            json
        ])?;
    let newest = transaction.last_insert_rowid();
    transaction.prepare_cached("DELETE FROM decisions WHERE rowid <= ?")?.execute([newest - KEPT])?;
    events::append(transaction, EventKind::Decision, now, &decision.id, &json)
}

/// Decisions, newest first, older than `cursor`; each with its own cursor.
pub fn list(
    connection: &Connection,
    cursor: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, Decision)>> {
    let rows: Vec<(i64, String)> = connection
        .prepare_cached("SELECT rowid, json FROM decisions WHERE rowid < ? ORDER BY rowid DESC LIMIT ?")?
        .query_map(params![cursor.unwrap_or(i64::MAX), limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().filter_map(|(at, json)| Some((at, serde_json::from_str(&json).ok()?))).collect())
}
