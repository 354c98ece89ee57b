//! Everything that was told, in order. Each event is sealed by a SHA-256 over the hash of the one before and its own
//! fields, so that a change or a gap shows.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::telemetry::is_hostile;

/// What an event is; the `type` of a message to consoles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An alert: new, grown, acknowledged or resolved.
    Anomaly,
    /// An answer to an anomaly that somebody else saw.
    Decision,
    /// The sensor's own state.
    System,
}

impl EventKind {
    /// As it is stored and sent.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Anomaly => "anomaly",
            EventKind::Decision => "decision",
            EventKind::System => "system",
        }
    }
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Grows by one with each event.
    pub id: i64,
    /// Nanoseconds since the Unix epoch.
    pub time: i64,
    /// [`EventKind::name`].
    pub kind: String,
    /// `threat_id`, decision id, or empty.
    pub about: String,
    /// The message's `data`.
    pub json: String,
}

/// Key in `meta` of the hash that the oldest event continues.
const ANCHOR: &str = "chain_anchor";

/// Adds an event about an alert (its `threat_id`), a decision (its id) or nothing (`""`) at `time`, nanoseconds since the
/// Unix epoch. Returns its id.
pub fn append(
    connection: &Connection,
    kind: EventKind,
    time: i64,
    about: &str,
    json: &str,
) -> rusqlite::Result<i64> {
    let before: Option<Vec<u8>> = connection
        .prepare_cached("SELECT hash FROM events ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let before = match before {
        Some(hash) => hash,
        None => anchor(connection)?,
    };
    let json = harmless(json);
    let hash = seal(&before, time, kind.name(), about, &json);
    connection
        .prepare_cached("INSERT INTO events (time, kind, about, json, hash) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![time, kind.name(), about, json, hash.as_slice()])?;
    Ok(connection.last_insert_rowid())
}

/// Up to `limit` events after the one with the id `after`, in order.
pub fn after(connection: &Connection, after: i64, limit: usize) -> rusqlite::Result<Vec<EventRow>> {
    let mut select = connection
        .prepare_cached("SELECT id, time, kind, about, json FROM events WHERE id > ? ORDER BY id LIMIT ?")?;
    let rows = select.query_map(params![after, limit as i64], |row| {
        Ok(EventRow {
            id: row.get(0)?,
            time: row.get(1)?,
            kind: row.get(2)?,
            about: row.get(3)?,
            json: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// JSON escapes the lower control characters only; others would act on a terminal that shows the line. They can stand
/// in strings alone, where an escape means the same.
pub fn harmless(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_hostile) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        // All of them lie below U+10000: one escape each.
        if is_hostile(c) { safe.push_str(&format!("\\u{:04x}", u32::from(c))) } else { safe.push(c) }
    }
    Cow::Owned(safe)
}

/// The id of the newest event, 0 before the first.
pub fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    // After retention removed the last event, ids go on.
    let newest = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'events'")?
        .query_row([], |row| row.get(0));
    Ok(newest.optional()?.unwrap_or(0))
}

/// What the oldest event's hash continues: nothing, or the last event that retention removed.
pub fn anchor(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    let value = connection.query_row("SELECT value FROM meta WHERE key = ?", [ANCHOR], |row| row.get(0));
    Ok(value.optional()?.unwrap_or_default())
}

/// Retention removed every event up to the one with this hash.
pub(super) fn set_anchor(tx: &Connection, hash: &[u8]) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        params![ANCHOR, hash],
    )?;
    Ok(())
}

/// The hash of an event after one with the hash `before`. Lengths keep a byte from moving from one field to the next.
pub fn seal(before: &[u8], time: i64, kind: &str, about: &str, json: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(time.to_le_bytes());
    for text in [kind, about, json] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}
