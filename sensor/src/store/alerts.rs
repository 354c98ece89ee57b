//! The alerts as they stand. Every change is one event, and the row is what that event says.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::events::{self, EventKind, harmless};
use super::{audit, evidence};
use crate::alert::{Alert, Raised, Severity, ThreatType, report};
use crate::incidents::Resolution;
use crate::incidents::language::Rewritten;
use crate::telemetry::printable;

/// How far people are with an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Nobody has said anything.
    #[default]
    Open,
    /// Somebody looks at it.
    Acknowledged,
    /// Somebody said what was done.
    Resolved,
}

impl AlertState {
    /// As it is stored and sent.
    pub fn name(self) -> &'static str {
        match self {
            AlertState::Open => "open",
            AlertState::Acknowledged => "acknowledged",
            AlertState::Resolved => "resolved",
        }
    }
}

/// An alert with what became of it. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoredAlert {
    /// As it left the analysis last.
    #[serde(flatten)]
    pub alert: Alert,
    /// How far people are with it.
    pub state: AlertState,
    /// When somebody took it up.
    pub acknowledged_at: Option<String>,
    /// Who.
    pub acknowledged_by: Option<String>,
    /// When somebody closed it.
    pub resolved_at: Option<String>,
    /// Who.
    pub resolved_by: Option<String>,
    /// What was done.
    pub resolution: Option<Resolution>,
    /// The incident that the resolution became.
    pub incident_id: Option<String>,
    /// Grows with each alert; the cursor of lists.
    pub sequence: i64,
    /// When anything about it changed last.
    pub updated_at: String,
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// There is no such alert.
    Missing,
    /// Not in its state, which is in it.
    Refused(Box<StoredAlert>),
    /// As it is now.
    Done(Box<StoredAlert>),
}

/// RFC 3339 of nanoseconds since the Unix epoch.
pub fn rfc3339(time: i64) -> String {
    report::rfc3339(time.max(0).cast_unsigned())
}

/// The name of a type as alerts carry it.
pub fn type_name(kind: ThreatType) -> String {
    format!("{kind:?}")
}

/// Stores a new alert with its evidence. Returns the id of its event.
pub fn insert(tx: &Connection, raised: &Raised, now: i64) -> rusqlite::Result<i64> {
    let alert = &raised.alert;
    let fingerprint: Vec<u8> = raised.fingerprint.iter().flat_map(|value| value.to_le_bytes()).collect();
    tx.prepare_cached(
        // What the event says too is filled in with the event.
        "INSERT INTO alerts (threat_id, raised_at, fingerprint, event, updated_at, threat_type, severity, source_ip, \
         destination_ip, destination_port, score, count, json) VALUES (?, ?, ?, 0, 0, '', 0, '', '', 0, 0, 0, '')",
    )?
    .execute(params![alert.threat_id, now, (!fingerprint.is_empty()).then_some(fingerprint)])?;
    let stored = StoredAlert {
        alert: alert.clone(),
        state: AlertState::Open,
        acknowledged_at: None,
        acknowledged_by: None,
        resolved_at: None,
        resolved_by: None,
        resolution: None,
        incident_id: None,
        sequence: tx.last_insert_rowid(),
        updated_at: rfc3339(now),
    };
    let event = tell(tx, &stored, now)?;
    evidence::add(tx, &alert.threat_id, &evidence::of_samples(&raised.evidence))?;
    Ok(event)
}

/// Takes what the analysis says now of an alert it raised; what people said of it stays. Returns the id of the event, or
/// `None` if there is no such alert.
pub fn update(tx: &Connection, alert: &Alert, now: i64) -> rusqlite::Result<Option<i64>> {
    let Some(mut stored) = get(tx, &alert.threat_id)? else { return Ok(None) };
    // The recommendation was made when the alert was stored; the analysis knows nothing of it.
    let recommendation = alert.recommendation.clone().or(stored.alert.recommendation.take());
    let rewritten = stored.alert.rewritten.take();
    stored.alert = Alert { recommendation, rewritten, ..alert.clone() };
    stored.updated_at = rfc3339(now);
    tell(tx, &stored, now).map(Some)
}

/// A language model worded it anew. Returns the event; `None` if there is no such alert.
pub fn reword(tx: &Connection, id: &str, rewritten: Rewritten, now: i64) -> rusqlite::Result<Option<i64>> {
    let Some(mut stored) = get(tx, id)? else { return Ok(None) };
    stored.alert.rewritten = Some(rewritten);
    stored.updated_at = rfc3339(now);
    tell(tx, &stored, now).map(Some)
}

/// One alert as it is now.
pub fn get(connection: &Connection, threat_id: &str) -> rusqlite::Result<Option<StoredAlert>> {
    connection
        .prepare_cached("SELECT json FROM alerts WHERE threat_id = ?")?
        .query_row([threat_id], parsed)
        .optional()
}

/// The features of an alert by which incidents are compared; empty if it has none.
pub fn fingerprint(connection: &Connection, threat_id: &str) -> rusqlite::Result<Vec<f32>> {
    let bytes: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT fingerprint FROM alerts WHERE threat_id = ?")?
        .query_row([threat_id], |row| row.get(0))
        .optional()?;
    let bytes = bytes.flatten().unwrap_or_default();
    Ok(bytes
        .chunks_exact(4)
        .map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]))
        .collect())
}

/// Somebody looks at it. One that is acknowledged stays as it is; a resolved one is refused.
pub fn acknowledge(tx: &Connection, id: &str, who: &str, note: &str, now: i64) -> rusqlite::Result<Change> {
    change(tx, id, now, |alert| {
        match alert.state {
            AlertState::Open => {}
            AlertState::Acknowledged => return Ok(false),
            AlertState::Resolved => return Err(()),
        }
        alert.state = AlertState::Acknowledged;
        alert.acknowledged_at = Some(rfc3339(now));
        alert.acknowledged_by = Some(printable(who, 100));
        Ok(true)
    })
    .and_then(|changed| noted(tx, changed, who, "alert.acknowledge", note, now))
}

/// Somebody says what was done, and perhaps which incident that became. A resolved one is refused.
pub fn resolve(
    tx: &Connection,
    id: &str,
    who: &str,
    resolution: &Resolution,
    incident: Option<&str>,
    now: i64,
) -> rusqlite::Result<Change> {
    change(tx, id, now, |alert| {
        if alert.state == AlertState::Resolved {
            return Err(());
        }
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(rfc3339(now));
        alert.resolved_by = Some(printable(who, 100));
        alert.resolution = Some(resolution.clone());
        alert.incident_id = incident.map(str::to_owned);
        Ok(true)
    })
    .and_then(|changed| {
        let done = serde_json::to_string(resolution).unwrap_or_default();
        noted(tx, changed, who, "alert.resolve", &done, now)
    })
}

/// It is not over. An open one stays as it is. The incident stays where it is, and the alert forgets it.
pub fn reopen(tx: &Connection, id: &str, who: &str, note: &str, now: i64) -> rusqlite::Result<Change> {
    change(tx, id, now, |alert| {
        if alert.state == AlertState::Open {
            return Ok(false);
        }
        *alert = StoredAlert {
            state: AlertState::Open,
            acknowledged_at: None,
            acknowledged_by: None,
            resolved_at: None,
            resolved_by: None,
            resolution: None,
            incident_id: None,
            ..alert.clone()
        };
        Ok(true)
    })
    .and_then(|changed| noted(tx, changed, who, "alert.reopen", note, now))
}

/// Date and number of the latest alert, with which numbering goes on.
pub fn latest_number(connection: &Connection) -> rusqlite::Result<Option<(String, u64)>> {
    let latest: Option<String> = connection
        .query_row("SELECT threat_id FROM alerts ORDER BY sequence DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    Ok(latest.and_then(|id| {
        let (date, number) = id.strip_prefix("THREAT_")?.split_once('_')?;
        Some((date.to_owned(), number.parse().ok()?))
    }))
}

/// An alert out of the column `json`, the first of a row.
pub(super) fn parsed(row: &Row<'_>) -> rusqlite::Result<StoredAlert> {
    let json = row.get_ref(0)?.as_str()?;
    serde_json::from_str(json)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

/// `edit` says whether it changed something, or that it will not.
fn change(
    tx: &Connection,
    id: &str,
    now: i64,
    edit: impl FnOnce(&mut StoredAlert) -> Result<bool, ()>,
) -> rusqlite::Result<(Change, bool)> {
    let Some(mut alert) = get(tx, id)? else { return Ok((Change::Missing, false)) };
    match edit(&mut alert) {
        Err(()) => Ok((Change::Refused(Box::new(alert)), false)),
        Ok(false) => Ok((Change::Done(Box::new(alert)), false)),
        Ok(true) => {
            alert.updated_at = rfc3339(now);
            tell(tx, &alert, now)?;
            Ok((Change::Done(Box::new(alert)), true))
        }
    }
}

fn noted(
    tx: &Connection,
    (change, changed): (Change, bool),
    who: &str,
    action: &str,
    detail: &str,
    now: i64,
) -> rusqlite::Result<Change> {
    if changed && let Change::Done(alert) = &change {
        audit::record(tx, who, action, &alert.alert.threat_id, detail, now)?;
    }
    Ok(change)
}

/// Appends the event and makes the row say the same.
fn tell(tx: &Connection, stored: &StoredAlert, now: i64) -> rusqlite::Result<i64> {
    let json = serde_json::to_string(stored)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let json = harmless(&json);
    let alert = &stored.alert;
    let event = events::append(tx, EventKind::Anomaly, now, &alert.threat_id, &json)?;
    let time = |text: &Option<String>| text.as_ref().map(|_| now);
    tx.prepare_cached(
        "UPDATE alerts SET event = ?2, updated_at = ?3, threat_type = ?4, severity = ?5, source_ip = ?6, \
         destination_ip = ?7, destination_port = ?8, score = ?9, count = ?10, json = ?11, state = ?12, \
         acknowledged_at = CASE WHEN ?13 IS NULL THEN NULL ELSE coalesce(acknowledged_at, ?13) END, \
         acknowledged_by = ?14, \
         resolved_at = CASE WHEN ?15 IS NULL THEN NULL ELSE coalesce(resolved_at, ?15) END, \
         resolved_by = ?16, resolution = ?17, incident_id = ?18 WHERE threat_id = ?1",
    )?
    .execute(params![
        alert.threat_id,
        event,
        now,
        type_name(alert.threat_type),
        alert.severity as i64,
        alert.source_ip,
        alert.destination_ip,
        alert.destination_port,
        alert.details.score,
        alert.details.count as i64,
        json,
        stored.state.name(),
        time(&stored.acknowledged_at),
        stored.acknowledged_by,
        time(&stored.resolved_at),
        stored.resolved_by,
        stored.resolution.as_ref().and_then(|done| serde_json::to_string(done).ok()),
        stored.incident_id,
    ])?;
    Ok(event)
}

/// The number of a severity in the column.
pub(super) fn severity_name(number: i64) -> &'static str {
    const ALL: [(Severity, &str); 4] = [
        (Severity::Low, "low"),
        (Severity::Medium, "medium"),
        (Severity::High, "high"),
        (Severity::Critical, "critical"),
    ];
    ALL.iter().find(|(severity, _)| *severity as i64 == number).map_or("unknown", |(_, name)| name)
}
