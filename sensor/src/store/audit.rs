//! Who changed what.

use rusqlite::{Connection, params};
use serde::Serialize;

use super::alerts::rfc3339;
use crate::telemetry::printable;

/// The oldest go beyond so many.
const MOST: i64 = 100_000;
/// Characters of a detail that are kept.
const LONGEST: usize = 2000;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Entry {
    /// Grows by one with each entry.
    pub id: i64,
    /// RFC 3339.
    pub time: String,
    /// Name of the token, `local` without one, `cli`.
    pub who: String,
    /// `alert.acknowledge`, `model.rollback`, ...
    pub action: String,
    /// What was changed.
    pub target: String,
    /// In words, or as JSON.
    pub detail: String,
}

/// Notes a change at `now`, nanoseconds since the Unix epoch.
pub fn record(
    tx: &Connection,
    who: &str,
    action: &str,
    target: &str,
    detail: &str,
    now: i64,
) -> rusqlite::Result<i64> {
    let short = |text: &str| printable(text, LONGEST);
    tx.prepare_cached("INSERT INTO audit (time, who, action, target, detail) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![now, short(who), action, short(target), short(detail)])?;
    let id = tx.last_insert_rowid();
    tx.prepare_cached("DELETE FROM audit WHERE id <= ?")?.execute([id - MOST])?;
    Ok(id)
}

/// Up to `limit` entries before the one with the id `cursor`, the newest first.
pub fn list(connection: &Connection, cursor: Option<i64>, limit: usize) -> rusqlite::Result<Vec<Entry>> {
    let mut select = connection.prepare_cached(
        "SELECT id, time, who, action, target, detail FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
    )?;
    let rows = select.query_map(params![cursor.unwrap_or(i64::MAX), limit as i64], |row| {
        Ok(Entry {
            id: row.get(0)?,
            time: rfc3339(row.get(1)?),
            who: row.get(2)?,
            action: row.get(3)?,
            target: row.get(4)?,
            detail: row.get(5)?,
        })
    })?;
    rows.collect()
}
