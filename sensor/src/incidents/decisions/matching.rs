//! Which incident an anomaly of another system is like, by its words.
//!
//! Each word of the `error_type` counts by how rare it is among the incidents; the similarity is the part of that weight
//! which an incident holds. Only an incident of that type (`port_scan` is `PortScan`) reaches 1, all words elsewhere in it 0.9.

use std::collections::HashSet;

use rusqlite::Connection;
use serde_json::Value;

use super::AnomalyRequest;
use crate::alert::Severity;
use crate::incidents::recommend::chance;
use crate::incidents::record::{Incident, Origin};
use crate::incidents::resolution::NOT_NOTED;
use crate::incidents::search::{search, words};
use crate::incidents::store;

/// Words of an `error_type` that count.
const MOST_WORDS: usize = 8;
/// Incidents that are looked at closely, of each way to find them.
const LOOKED_AT: usize = 50;
/// An incident of another type, whatever its words.
const OTHER_TYPE: f64 = 0.9;
/// What competes with the nearest by how often its action worked.
const AS_ALIKE: f64 = 0.1;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Match {
    pub incident: Option<String>,
    pub origin: Option<Origin>,
    pub action: String,
    pub similarity: f64,
    pub confidence: f64,
}

pub(super) fn best(
    connection: &Connection,
    request: &AnomalyRequest,
    severity: Severity,
    min_similarity: f64,
) -> rusqlite::Result<Option<Match>> {
    let asked = error_words(&request.error_type);
    let weighed = weigh(connection, &asked)?;
    let whole: f64 = weighed.iter().map(|(weight, _)| weight).sum();
    let similarity = |incident: &Incident| {
        if error_words(&incident.threat_type).concat() == asked.concat() {
            return 1.0;
        }
        let held: f64 = weighed
            .iter()
            .filter(|(_, holders)| holders.contains(&incident.number))
            .map(|(weight, _)| weight)
            .sum();
        OTHER_TYPE * held / whole.max(f64::EPSILON)
    };
    let alike: Vec<(f64, Incident)> = candidates(connection, request, &asked)?
        .into_iter()
        .filter(|incident| incident.action != NOT_NOTED)
        .map(|incident| (similarity(&incident), incident))
        .filter(|(similarity, _)| *similarity >= min_similarity)
        .collect();
    // People's own win over those that came with the sensor as soon as they are alike enough.
    let (own, starter): (Vec<_>, Vec<_>) =
        alike.into_iter().partition(|(_, incident)| incident.origin != Origin::Starter);
    Ok(choose(own, severity).or_else(|| choose(starter, severity)))
}

fn choose(alike: Vec<(f64, Incident)>, severity: Severity) -> Option<Match> {
    let nearest = alike.iter().map(|(similarity, _)| *similarity).fold(0.0, f64::max);
    let confidence =
        |(similarity, incident): &(f64, Incident)| similarity * chance(incident.worked, incident.failed);
    let as_severe = |(_, incident): &(f64, Incident)| incident.severity == severity;
    let best = alike.into_iter().filter(|(similarity, _)| *similarity >= nearest - AS_ALIKE).reduce(
        |best, next| {
            // Of equals the first: the one whose other words fit better.
            let order =
                confidence(&next).total_cmp(&confidence(&best)).then(as_severe(&next).cmp(&as_severe(&best)));
            if order.is_gt() { next } else { best }
        },
    )?;
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    let confidence = rounded(confidence(&best));
    let (similarity, incident) = best;
    Some(Match {
        incident: Some(incident.id),
        origin: Some(incident.origin),
        action: incident.action,
        similarity: rounded(similarity),
        confidence,
    })
}

/// Incidents that may be like it, those whose words fit best first; the words of the context help to order them.
fn candidates(
    connection: &Connection,
    request: &AnomalyRequest,
    asked: &[String],
) -> rusqlite::Result<Vec<Incident>> {
    let context = request.context.values().filter_map(Value::as_str).flat_map(words);
    let all: Vec<String> = asked.iter().cloned().chain(context).collect();
    let mut found = search(connection, &all.join(" "), LOOKED_AT)?;
    found.extend(search(connection, &asked.join(" "), LOOKED_AT)?);
    let quoted: Vec<String> = asked.iter().map(|word| format!("\"{word}\"")).collect();
    let of_type = format!("threat_type : (({}) OR \"{}\")", quoted.join(" AND "), asked.concat());
    for number in matching(connection, &of_type)?.into_iter().take(LOOKED_AT) {
        found.extend(store::by_number(connection, number)?);
    }
    let mut seen = HashSet::new();
    found.retain(|incident| seen.insert(incident.number));
    Ok(found)
}

/// The weight of each word, and the incidents that hold it.
fn weigh(connection: &Connection, asked: &[String]) -> rusqlite::Result<Vec<(f64, HashSet<i64>)>> {
    let all = store::count(connection)? as f64;
    let weigh = |word: &String| {
        let holders: HashSet<i64> = matching(connection, &format!("\"{word}\""))?.into_iter().collect();
        Ok(((all / holders.len().max(1) as f64).ln_1p(), holders))
    };
    asked.iter().map(weigh).collect()
}

/// Numbers of the incidents that match, newest first.
fn matching(connection: &Connection, question: &str) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached("SELECT rowid FROM incident_text WHERE incident_text MATCH ? ORDER BY rowid DESC")?
        .query_map([question], |row| row.get(0))?
        .collect()
}

fn error_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = words(text).iter().map(|word| word.to_lowercase()).collect();
    words.truncate(MOST_WORDS);
    words
}
