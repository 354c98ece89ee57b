//! Was anything changed? The chain is followed from its anchor to its end, and the alerts are held against it.
//!
//! This proves that nobody edited the file without knowing how it is sealed. Whoever can write the file and seals it anew
//! from the change on is not found out: for that, keep the hash that `vesper alerts verify` prints somewhere else.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use serde::Serialize;

use super::alerts::{StoredAlert, type_name};
use super::{Store, StoreError, events};

/// Breaks that are listed; more are counted only.
const LISTED: usize = 100;
/// Events and alerts read in one piece.
const STEP: i64 = 5000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Events followed.
    pub events: u64,
    /// The first event there is; 0 without one.
    pub first: i64,
    /// The last event there is; 0 without one.
    pub last: i64,
    /// The hash of the last event, in hexadecimal: with it, later, that nothing before was changed.
    pub hash: String,
    /// Alerts held against their latest event.
    pub alerts: u64,
    /// Alerts older than the chain, because nobody resolved them: nothing says whether they were changed.
    pub older: u64,
    /// What is wrong, in order, in words; the first hundred.
    pub breaks: Vec<String>,
    /// How much is wrong.
    pub wrong: u64,
}

impl Verdict {
    fn wrong(&mut self, text: String) {
        self.wrong += 1;
        if self.breaks.len() < LISTED {
            self.breaks.push(text);
        }
    }
}

/// Follows the whole chain, in one state of the store; who writes meanwhile is not held up.
pub fn verify_all(store: &Store) -> Result<Verdict, StoreError> {
    store.read(verify)
}

/// The same on one connection.
pub fn verify(connection: &Connection) -> rusqlite::Result<Verdict> {
    let mut verdict = Verdict::default();
    let latest = chain(connection, &mut verdict)?;
    alerts(connection, &latest, &mut verdict)?;
    Ok(verdict)
}

/// By alert: its latest event.
type Latest = HashMap<String, i64>;

fn chain(connection: &Connection, verdict: &mut Verdict) -> rusqlite::Result<Latest> {
    let mut before = events::anchor(connection)?;
    let mut expected: Option<i64> = before.is_empty().then_some(1);
    let mut latest = Latest::new();
    let mut select = connection
        .prepare("SELECT id, time, kind, about, json, hash FROM events WHERE id > ? ORDER BY id LIMIT ?")?;
    loop {
        let mut rows = select.query(params![verdict.last, STEP])?;
        let mut any = false;
        while let Some(row) = rows.next()? {
            any = true;
            let id: i64 = row.get(0)?;
            let (kind, about) = (row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_str()?);
            let hash = row.get_ref(5)?.as_blob()?;
            if let Some(expected) = expected.filter(|expected| *expected != id) {
                verdict.wrong(format!("events {expected} to {} are missing", id - 1));
            } else if events::seal(&before, row.get(1)?, kind, about, row.get_ref(4)?.as_str()?) != hash {
                let text = if verdict.events == 0 {
                    format!("event {id} ({about}) does not follow what retention left, or was changed")
                } else {
                    format!("event {id} ({about}) was changed, or is not where it was")
                };
                verdict.wrong(text);
            }
            if kind == events::EventKind::Anomaly.name() {
                latest.insert(about.to_owned(), id);
            }
            before = hash.to_vec();
            expected = Some(id + 1);
            if verdict.events == 0 {
                verdict.first = id;
            }
            verdict.last = id;
            verdict.events += 1;
        }
        if !any {
            break;
        }
    }
    let newest = events::newest(connection)?;
    if verdict.events > 0 && newest > verdict.last {
        verdict.wrong(format!("events {} to {newest} are missing at the end", verdict.last + 1));
    }
    verdict.hash = before.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(latest)
}

fn alerts(connection: &Connection, latest: &Latest, verdict: &mut Verdict) -> rusqlite::Result<()> {
    let mut select = connection.prepare(
        "SELECT a.sequence, a.threat_id, a.event, a.json, e.json, a.threat_type, a.severity, a.source_ip, \
         a.destination_ip, a.destination_port, a.score, a.count, a.state \
         FROM alerts a LEFT JOIN events e ON e.id = a.event WHERE a.sequence > ? ORDER BY a.sequence LIMIT ?",
    )?;
    let (mut last, mut seen) = (0, 0);
    loop {
        let mut rows = select.query(params![last, STEP])?;
        let mut any = false;
        while let Some(row) = rows.next()? {
            any = true;
            last = row.get(0)?;
            let (id, event): (String, i64) = (row.get(1)?, row.get(2)?);
            let json = row.get_ref(3)?.as_str()?;
            seen += u64::from(latest.contains_key(&id));
            let told = row.get_ref(4)?;
            if verdict.events > 0 && event < verdict.first || verdict.events == 0 {
                verdict.older += 1;
            } else if told.as_str_or_null().ok().flatten() != Some(json) {
                verdict.wrong(format!("alert {id} is not what event {event} says"));
            } else if latest.get(&id) != Some(&event) {
                verdict
                    .wrong(format!("alert {id} stands at event {event}, which is not the latest about it"));
            }
            if !fits(row, json)? {
                verdict.wrong(format!("alert {id}: its columns are not what its own JSON says"));
            }
            verdict.alerts += 1;
        }
        if !any {
            break;
        }
    }
    if seen < latest.len() as u64 {
        let mut exists = connection.prepare("SELECT event FROM alerts WHERE threat_id = ?")?;
        let mut gone: Vec<(&i64, &String)> = Vec::new();
        for (id, event) in latest {
            if !exists.exists([id])? {
                gone.push((event, id));
            }
        }
        gone.sort();
        for (event, id) in gone {
            verdict.wrong(format!("alert {id} is missing; event {event} tells of it"));
        }
    }
    Ok(())
}

/// Whether the columns that lists are made by say the same as the JSON.
fn fits(row: &rusqlite::Row<'_>, json: &str) -> rusqlite::Result<bool> {
    let Ok(stored) = serde_json::from_str::<StoredAlert>(json) else { return Ok(false) };
    let alert = &stored.alert;
    Ok(alert.threat_id == row.get_ref(1)?.as_str()?
        && type_name(alert.threat_type) == row.get_ref(5)?.as_str()?
        && alert.severity as i64 == row.get::<_, i64>(6)?
        && alert.source_ip == row.get_ref(7)?.as_str()?
        && alert.destination_ip == row.get_ref(8)?.as_str()?
        && i64::from(alert.destination_port) == row.get::<_, i64>(9)?
        && close(alert.details.score, row.get(10)?)
        && alert.details.count as i64 == row.get::<_, i64>(11)?
        && stored.state.name() == row.get_ref(12)?.as_str()?)
}

/// JSON may round the last bit.
fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= one.abs() * 1e-12
}
