//! Alerts by what they are, the newest first, a page at a time.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde::Serialize;

use super::alerts::{self, AlertState, StoredAlert, severity_name, type_name};
use crate::alert::{Severity, ThreatType};

/// Alerts that one page may look at where an index says all that is asked.
const MOST_ENTRIES: i64 = 25_000;
/// Alerts that one page may look at where their rows must be read.
const MOST_ROWS: i64 = 2_000;

/// Which alerts; what is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertFilter {
    /// Of this type.
    pub threat_type: Option<ThreatType>,
    /// This severe.
    pub severity: Option<Severity>,
    /// In this state.
    pub state: Option<AlertState>,
    /// From this address.
    pub source: Option<String>,
    /// To this address.
    pub destination: Option<String>,
    /// From or to this address.
    pub host: Option<String>,
    /// With all of these words in what is said of it; letters of either case.
    pub words: Option<String>,
    /// Stored at or after, nanoseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Stored at or before.
    pub until: Option<i64>,
    /// With this score or more.
    pub min_score: Option<f64>,
}

/// Some alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The newest first.
    pub items: Vec<StoredAlert>,
    /// Where the next page begins. Set as well where a page has few alerts or none because it had looked at as much as a
    /// page may.
    pub next: Option<i64>,
}

/// How many alerts there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// In the state `open`.
    pub open: i64,
    /// In the state `acknowledged`.
    pub acknowledged: i64,
    /// The open ones by severity.
    pub by_severity: BTreeMap<&'static str, i64>,
}

/// Up to `limit` alerts before the one with the sequence `cursor`.
pub fn list(
    connection: &Connection,
    filter: &AlertFilter,
    cursor: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Page> {
    let span = bounds(connection, filter, cursor)?;
    let walk = Walk::of(filter, span);
    let mut outer = Terms::default();
    rest(filter, &mut outer);
    let select = format!("SELECT sequence FROM ({}) WHERE {} LIMIT ?", walk.sql, outer.sql());
    let values = walk.terms.values.iter().cloned().chain([Value::from(walk.most)]).chain(outer.values);
    let values = values.chain([Value::from(limit as i64 + 1)]);
    let mut select = connection.prepare_cached(&select)?;
    let found = select.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    let mut found = found.collect::<rusqlite::Result<Vec<i64>>>()?;
    let next = if found.len() > limit {
        found.truncate(limit);
        found.last().copied()
    } else if walk.by_range {
        (walk.low > span.0).then_some(walk.low)
    } else {
        // Nothing more within what was looked at: where did that end?
        let last = format!("SELECT sequence FROM ({}) LIMIT 1 OFFSET ?", walk.sql);
        let values =
            walk.terms.values.iter().cloned().chain([Value::from(walk.most), Value::from(walk.most - 1)]);
        connection.prepare_cached(&last)?.query_row(params_from_iter(values), |row| row.get(0)).optional()?
    };
    let mut select = connection.prepare_cached("SELECT json FROM alerts WHERE sequence = ?")?;
    let items = found
        .iter()
        .map(|sequence| select.query_row([sequence], alerts::parsed))
        .collect::<rusqlite::Result<_>>()?;
    Ok(Page { items, next })
}

/// How many are open and acknowledged.
pub fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    for severity in 0..4 {
        counts.by_severity.insert(severity_name(severity), 0);
    }
    // Resolved alerts, most of them in the long run, are not looked at.
    let mut select = connection.prepare_cached(
        "SELECT state, severity, count(*) FROM alerts WHERE state IN ('open', 'acknowledged') GROUP BY state, severity",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(2)?;
        if row.get_ref(0)?.as_str()? == "acknowledged" {
            counts.acknowledged += number;
            continue;
        }
        counts.open += number;
        *counts.by_severity.entry(severity_name(row.get(1)?)).or_default() += number;
    }
    Ok(counts)
}

/// Conditions joined by AND, with their values.
#[derive(Default)]
struct Terms {
    text: Vec<&'static str>,
    values: Vec<Value>,
}

impl Terms {
    fn add(&mut self, term: &'static str, value: impl Into<Value>) {
        self.text.push(term);
        self.values.push(value.into());
    }

    fn sql(&self) -> String {
        if self.text.is_empty() { "TRUE".to_owned() } else { self.text.join(" AND ") }
    }
}

/// The sequences between which the times lie. Alerts are stored in the order of their times, as far as the clock is not
/// set back; then some alerts of that hour can be missed.
fn bounds(
    connection: &Connection,
    filter: &AlertFilter,
    cursor: Option<i64>,
) -> rusqlite::Result<(i64, i64)> {
    let at = |sql: &str, time: i64| {
        connection.prepare_cached(sql)?.query_row([time], |row| row.get::<_, i64>(0)).optional()
    };
    let newest = connection
        .prepare_cached("SELECT coalesce(max(sequence), 0) FROM alerts")?
        .query_row([], |row| row.get::<_, i64>(0))?;
    let (mut low, mut high) = (0, cursor.unwrap_or(i64::MAX).min(newest.saturating_add(1)));
    if let Some(since) = filter.since {
        low = at("SELECT sequence FROM alerts WHERE raised_at >= ? ORDER BY raised_at LIMIT 1", since)?
            .unwrap_or(high);
    }
    if let Some(until) = filter.until {
        let last = at(
            "SELECT sequence FROM alerts WHERE raised_at <= ? ORDER BY raised_at DESC, sequence DESC LIMIT 1",
            until,
        )?;
        high = high.min(last.map_or(0, |last| last.saturating_add(1)));
    }
    Ok((low, high))
}

/// A walk through one index from the newest alert on, of at most `most` steps.
struct Walk {
    /// Takes the values of `terms`, then `most`.
    sql: String,
    terms: Terms,
    most: i64,
    /// Looks at the alerts from `low` on, which are no more than it may look at.
    by_range: bool,
    low: i64,
}

impl Walk {
    fn of(filter: &AlertFilter, (low, high): (i64, i64)) -> Walk {
        let words = filter.words.as_deref().is_some_and(|words| words.split_whitespace().next().is_some());
        let columns = "sequence, state, severity, threat_type, score, source_ip, destination_ip, json";
        let scanned = "sequence, state, severity, threat_type, score";
        let kinds = [filter.threat_type.is_some(), filter.severity.is_some(), filter.state.is_some()];
        let several = kinds.iter().filter(|given| **given).count() > 1 || filter.min_score.is_some();
        let mut terms = Terms::default();
        let index = if let Some(source) = &filter.source {
            terms.add("source_ip = ?", source.clone());
            "alerts_source"
        } else if let Some(destination) = &filter.destination {
            terms.add("destination_ip = ?", destination.clone());
            "alerts_destination"
        } else if let Some(host) = &filter.host {
            let half = |column: &str| {
                format!(
                    "SELECT * FROM (SELECT {columns} FROM alerts INDEXED BY alerts_{column} WHERE {column}_ip = ?1 \
                     AND sequence >= ?2 AND sequence < ?3 ORDER BY sequence DESC LIMIT ?4)"
                )
            };
            let halves = format!("{} UNION {}", half("source"), half("destination"));
            return Walk {
                sql: format!("SELECT * FROM ({halves}) ORDER BY sequence DESC LIMIT ?4"),
                terms: Terms { text: Vec::new(), values: vec![host.clone().into(), low.into(), high.into()] },
                most: MOST_ROWS,
                by_range: false,
                low,
            };
        } else if words || several || !kinds.contains(&true) {
            "alerts_scan"
        } else if let Some(kind) = filter.threat_type {
            terms.add("threat_type = ?", type_name(kind));
            "alerts_type"
        } else if let Some(severity) = filter.severity {
            terms.add("severity = ?", severity as i64);
            "alerts_severity"
        } else {
            terms.add("state = ?", filter.state.unwrap_or_default().name().to_owned());
            "alerts_state"
        };
        let by_range = index == "alerts_scan";
        let scan = by_range && !words;
        let most = if scan { MOST_ENTRIES } else { MOST_ROWS };
        let low = if by_range { low.max(high.saturating_sub(most)) } else { low };
        terms.add("sequence >= ?", low);
        terms.add("sequence < ?", high);
        let columns = if scan { scanned } else { columns };
        let sql = format!(
            "SELECT {columns} FROM alerts INDEXED BY {index} WHERE {} ORDER BY sequence DESC LIMIT ?",
            terms.sql()
        );
        Walk { sql, terms, most, by_range, low }
    }
}

fn rest(filter: &AlertFilter, terms: &mut Terms) {
    if let Some(destination) = &filter.destination {
        terms.add("destination_ip = ?", destination.clone());
    }
    if let (Some(host), true) = (&filter.host, filter.source.is_some() || filter.destination.is_some()) {
        terms.add("? IN (source_ip, destination_ip)", host.clone());
    }
    if let Some(kind) = filter.threat_type {
        terms.add("threat_type = ?", type_name(kind));
    }
    if let Some(severity) = filter.severity {
        terms.add("severity = ?", severity as i64);
    }
    if let Some(state) = filter.state {
        terms.add("state = ?", state.name().to_owned());
    }
    if let Some(score) = filter.min_score {
        terms.add("score >= ?", score);
    }
    for word in filter.words.iter().flat_map(|words| words.split_whitespace()).take(8) {
        terms.add("json LIKE ? ESCAPE '!'", pattern(word));
    }
}

/// The word anywhere; what LIKE means otherwise is itself.
fn pattern(word: &str) -> String {
    let mut pattern = "%".to_owned();
    for c in word.chars().take(100) {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
