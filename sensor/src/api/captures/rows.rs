//! Captures in the store.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::status::rfc3339;
use crate::telemetry::printable;

/// The oldest go beyond so many.
const MOST: i64 = 1000;

/// A session on the interface, or a capture that somebody uploaded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::api) struct Capture {
    /// Made by the sensor.
    pub id: String,
    /// `live` or `upload`.
    pub kind: String,
    /// The interface, or what the client called the file.
    pub name: String,
    /// `running`, `done`, `failed` or `stopped`.
    pub state: String,
    /// How far it is, 0 to 1.
    pub progress: f64,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; absent while it runs.
    pub finished_at: Option<String>,
    /// Bytes uploaded.
    pub bytes: u64,
    /// What was asked for.
    #[schema(value_type = Object)]
    pub request: Value,
    /// What was found; absent before the end, and in lists.
    #[schema(value_type = Option<super::result::Outcome>)]
    pub result: Option<Value>,
    /// Why it failed; absent when it did not.
    pub error: Option<String>,
}

/// What is known at the start.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub id: String,
    pub kind: &'static str,
    pub name: String,
    pub bytes: u64,
    pub request: Value,
}

pub(super) fn insert(connection: &Connection, new: &New, now: i64) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO captures (id, kind, name, state, started_at, bytes, request) VALUES (?, ?, ?, 'running', ?, ?, ?)",
        params![new.id, new.kind, printable(&new.name, 200), now, new.bytes as i64, new.request.to_string()],
    )?;
    connection.execute(
        "DELETE FROM captures WHERE state <> 'running' AND rowid NOT IN \
         (SELECT rowid FROM captures ORDER BY started_at DESC LIMIT ?)",
        [MOST],
    )?;
    Ok(())
}

/// Says what became of it.
pub(super) fn finish(
    connection: &Connection,
    id: &str,
    state: &str,
    outcome: Result<&Value, &str>,
    now: i64,
) -> rusqlite::Result<()> {
    let (result, error) = (outcome.ok().map(Value::to_string), outcome.err().map(|why| printable(why, 1000)));
    connection.execute(
        "UPDATE captures SET state = ?, finished_at = ?, result = ?, error = ? WHERE id = ?",
        params![state, now, result, error, id],
    )?;
    Ok(())
}

/// Whatever ran when the sensor stopped runs no more.
pub(super) fn fail_all(connection: &Connection, now: i64) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE captures SET state = 'failed', finished_at = ?, error = 'the sensor was restarted' WHERE state = 'running'",
        [now],
    )?;
    Ok(())
}

pub(super) fn get(connection: &Connection, id: &str) -> rusqlite::Result<Option<Capture>> {
    connection
        .query_row(
            "SELECT id, kind, name, state, started_at, finished_at, bytes, request, error, result FROM captures \
             WHERE id = ?",
            [id],
            |row| {
                let result: Option<String> = row.get(9)?;
                let result = result.and_then(|text| serde_json::from_str(&text).ok());
                Ok(Capture { result, ..brief(row)? })
            },
        )
        .optional()
}

/// The latest first, without results. The cursor is the time of the last one.
pub(super) fn list(
    connection: &Connection,
    cursor: Option<i64>,
    limit: usize,
) -> rusqlite::Result<(Vec<Capture>, Option<i64>)> {
    let mut select = connection.prepare_cached(
        "SELECT id, kind, name, state, started_at, finished_at, bytes, request, error FROM captures \
         WHERE started_at < ? ORDER BY started_at DESC LIMIT ?",
    )?;
    let rows = select.query_map(params![cursor.unwrap_or(i64::MAX), limit as i64], |row| {
        Ok((brief(row)?, row.get::<_, i64>(4)?))
    })?;
    let rows: Vec<(Capture, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|(_, time)| *time);
    Ok((rows.into_iter().map(|(capture, _)| capture).collect(), next))
}

fn brief(row: &Row<'_>) -> rusqlite::Result<Capture> {
    let time = |time: i64| rfc3339(time.max(0).cast_unsigned());
    let (state, request): (String, String) = (row.get(3)?, row.get(7)?);
    Ok(Capture {
        id: row.get(0)?,
        kind: row.get(1)?,
        name: row.get(2)?,
        progress: if state == "running" { 0.0 } else { 1.0 },
        state,
        started_at: time(row.get(4)?),
        finished_at: row.get::<_, Option<i64>>(5)?.map(time),
        bytes: row.get::<_, i64>(6)?.max(0).cast_unsigned(),
        request: serde_json::from_str(&request).unwrap_or_default(),
        result: None,
        error: row.get(8)?,
    })
}
