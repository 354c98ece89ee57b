//! Incidents in the store. Every change goes through here, so that indexes notice it.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params, params};

use super::fingerprint;
use super::record::{Draft, Incident, Origin};
use crate::alert::Severity;
use crate::alert::report::rfc3339;

/// Key in `meta` of the number of changes.
const VERSION: &str = "incidents_version";
/// The columns of [`incident`].
pub(super) const COLUMNS: &str = "number, id, created_at, origin, title, threat_type, severity, symptom, root_cause, \
                                  action, outcome, threat_id, port, worked, failed";

/// Which incidents are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Of this type, exactly.
    pub threat_type: Option<String>,
    /// From there.
    pub origin: Option<Origin>,
}

/// Incidents, newest first, older than the one with the number `cursor`.
pub fn list(
    connection: &Connection,
    filter: &Filter,
    cursor: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<Incident>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM incidents WHERE number < :cursor AND (:type IS NULL OR threat_type = :type) \
         AND (:origin IS NULL OR origin = :origin) ORDER BY number DESC LIMIT :limit"
    );
    let origin = filter.origin.map(Origin::name);
    let values = named_params! {
        ":cursor": cursor.unwrap_or(i64::MAX), ":type": filter.threat_type, ":origin": origin, ":limit": limit as i64
    };
    connection.prepare_cached(&sql)?.query_map(values, incident)?.collect()
}

/// The incident with that id.
pub fn get(connection: &Connection, id: &str) -> rusqlite::Result<Option<Incident>> {
    let sql = format!("SELECT {COLUMNS} FROM incidents WHERE id = ?");
    connection.prepare_cached(&sql)?.query_row([id], incident).optional()
}

/// How many there are.
pub fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT count(*) FROM incidents", [], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

/// Adds an incident at `now`, nanoseconds since the Unix epoch. With `max` of them there already, the least useful one
/// goes: starter ones first, then those whose action was tried least often, oldest first.
pub fn add(transaction: &Transaction<'_>, draft: &Draft, now: i64, max: u64) -> rusqlite::Result<Incident> {
    let Draft { written, origin, .. } = draft;
    let created_at = draft.created_at.unwrap_or(now);
    make_room(transaction, max)?;
    let id = id(transaction, written.id.as_deref(), created_at)?;
    let severity = written.severity.unwrap_or(Severity::Medium);
    transaction
        .prepare_cached(
            "INSERT INTO incidents (id, created_at, origin, title, threat_type, severity, symptom, root_cause, action, \
             outcome, threat_id, port, fingerprint, worked, failed, changed) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            id,
            created_at,
            origin.name(),
            written.title,
            written.threat_type,
            severity_name(severity),
            written.symptom,
            written.root_cause,
            written.action,
            written.outcome,
            draft.threat_id,
            written.port,
            draft.fingerprint.as_deref().map(fingerprint::to_bytes),
            written.worked,
            written.failed,
            next_version(transaction)?,
        ])?;
    let added = by_number(transaction, transaction.last_insert_rowid())?;
    added.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The incident at that place in the order of creation.
pub(super) fn by_number(connection: &Connection, number: i64) -> rusqlite::Result<Option<Incident>> {
    let sql = format!("SELECT {COLUMNS} FROM incidents WHERE number = ?");
    connection.prepare_cached(&sql)?.query_row([number], incident).optional()
}

/// Removes an incident; whether there was one.
pub fn remove(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<bool> {
    let removed = transaction.prepare_cached("DELETE FROM incidents WHERE id = ?")?.execute([id])? > 0;
    if removed {
        next_version(transaction)?;
    }
    Ok(removed)
}

/// Counts that the action of an incident was taken again, and whether it worked. Whether there is such an incident.
pub fn mark(transaction: &Transaction<'_>, id: &str, worked: bool) -> rusqlite::Result<bool> {
    let column = if worked { "worked" } else { "failed" };
    let sql = format!("UPDATE incidents SET {column} = {column} + 1, changed = ? WHERE id = ?");
    let version = next_version(transaction)?;
    Ok(transaction.prepare_cached(&sql)?.execute(params![version, id])? > 0)
}

/// How often incidents were changed.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    counter(connection, VERSION)
}

/// Counts a change; the number is for the column `changed` of the rows concerned.
pub(super) fn next_version(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    next(transaction, VERSION)
}

/// The value of a counter in `meta`, 0 before the first.
pub(super) fn counter(connection: &Connection, key: &str) -> rusqlite::Result<i64> {
    let value = connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(value.unwrap_or(0))
}

/// The next value of a counter in `meta`, from 1.
pub(super) fn next(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<i64> {
    at_least(transaction, key, 0)?;
    transaction
        .prepare_cached("UPDATE meta SET value = value + 1 WHERE key = ? RETURNING value")?
        .query_row([key], |row| row.get(0))
}

fn at_least(transaction: &Transaction<'_>, key: &str, value: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO meta (key, value) VALUES (?, ?) \
             ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
        )?
        .execute(params![key, value])?;
    Ok(())
}

/// The id that was wished for, if it is a free one of ours; else the next of the year. None is given twice, not even
/// after a removal: alerts name them.
fn id(transaction: &Transaction<'_>, wished: Option<&str>, created_at: i64) -> rusqlite::Result<String> {
    if let Some(wished) = wished
        && let Some((year, number)) = parts(wished)
        && get(transaction, wished)?.is_none()
    {
        at_least(transaction, &last(year), number)?;
        return Ok(wished.to_owned());
    }
    let created_at = u64::try_from(created_at).unwrap_or(0);
    let year = rfc3339(created_at).get(..4).and_then(|year| year.parse().ok()).unwrap_or(1970);
    loop {
        let id = format!("INC-{year}-{:03}", next(transaction, &last(year))?);
        if get(transaction, &id)?.is_none() {
            return Ok(id);
        }
    }
}

fn last(year: u16) -> String {
    format!("incidents_last_{year}")
}

/// Year and number of an id.
pub(super) fn parts(id: &str) -> Option<(u16, i64)> {
    let (year, number) = id.strip_prefix("INC-")?.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = year.len() == 4 && (3..=9).contains(&number.len()) && digits(year) && digits(number);
    fits.then_some((year.parse().ok()?, number.parse().ok()?))
}

fn make_room(transaction: &Transaction<'_>, max: u64) -> rusqlite::Result<()> {
    let max = max.max(1);
    // Numbers only grow: there are no more than from the first to the last, which costs nothing to ask.
    let most: i64 = transaction
        .prepare_cached(
            "SELECT coalesce((SELECT max(number) FROM incidents) - (SELECT min(number) FROM incidents) + 1, 0)",
        )?
        .query_row([], |row| row.get(0))?;
    if most.cast_unsigned() < max {
        return Ok(());
    }
    let excess = (count(transaction)? + 1).saturating_sub(max);
    if excess > 0 {
        transaction.execute(
            "DELETE FROM incidents WHERE number IN (SELECT number FROM incidents \
             ORDER BY origin <> 'starter', worked + failed, number LIMIT ?)",
            [excess.cast_signed()],
        )?;
    }
    Ok(())
}

/// A row of [`COLUMNS`].
pub(super) fn incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let origin: String = row.get("origin")?;
    let severity: String = row.get("severity")?;
    let count = |name: &str| row.get::<_, i64>(name).map(|count| count.max(0).cast_unsigned());
    Ok(Incident {
        number: row.get("number")?,
        id: row.get("id")?,
        created_at: rfc3339(row.get::<_, i64>("created_at")?.max(0).cast_unsigned()),
        origin: Origin::from_name(&origin).unwrap_or(Origin::Imported),
        title: row.get("title")?,
        threat_type: row.get("threat_type")?,
        severity: severity_from(&severity),
        symptom: row.get("symptom")?,
        root_cause: row.get("root_cause")?,
        action: row.get("action")?,
        outcome: row.get("outcome")?,
        threat_id: row.get("threat_id")?,
        port: row.get("port")?,
        worked: count("worked")?,
        failed: count("failed")?,
    })
}

pub(super) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn severity_from(name: &str) -> Severity {
    match name {
        "low" => Severity::Low,
        "high" => Severity::High,
        "critical" => Severity::Critical,
        _ => Severity::Medium,
    }
}
