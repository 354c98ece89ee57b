//! Everything that was told, in order. Each event is sealed by a SHA-256 over the hash of the one before and its own
//! fields, so that a change or a gap shows.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

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
        .query_row("SELECT hash FROM events ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let before = match before {
        Some(hash) => hash,
        None => anchor(connection)?,
    };
    let hash = seal(&before, time, kind.name(), about, json);
    connection
        .prepare_cached("INSERT INTO events (time, kind, about, json, hash) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![time, kind.name(), about, json, hash.as_slice()])?;
    Ok(connection.last_insert_rowid())
}

/// The id of the newest event, 0 before the first.
pub fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(id), 0) FROM events", [], |row| row.get(0))
}

/// What the oldest event's hash continues: nothing, or the last event that retention removed.
pub fn anchor(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    let value = connection.query_row("SELECT value FROM meta WHERE key = ?", [ANCHOR], |row| row.get(0));
    Ok(value.optional()?.unwrap_or_default())
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
