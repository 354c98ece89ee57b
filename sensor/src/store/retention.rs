//! What goes when it is old or there is too much: the oldest events, with the alerts whose last event is among them.
//!
//! Events go from the front of the chain only, and the hash of the last one that went stays as its anchor. What a sink
//! has yet to be told stays, and so does everything behind it. Alerts that nobody has resolved outlive their events; they
//! go, the oldest first, when nothing else makes the database small enough.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Store, StoreConfig, StoreError, events, evidence, outbox};

/// Events and alerts that go in one commit: others write in between.
const STEP: i64 = 500;
/// Commits of one sweep.
const STEPS: usize = 200;
/// Pages given back to the file system in one commit.
const PAGES: i64 = 2000;
const DAY: i64 = 86_400_000_000_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nanoseconds.
    pub keep: i64,
    /// Of the database.
    pub max_bytes: u64,
    /// Of evidence in it.
    pub evidence_bytes: u64,
}

impl Limits {
    /// As the configuration has it.
    pub fn of(config: &StoreConfig) -> Limits {
        let keep = i64::from(config.keep_days).saturating_mul(DAY);
        Limits { keep, max_bytes: config.max_bytes, evidence_bytes: config.evidence_bytes }
    }
}

/// What a sweep did and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Events that went.
    pub events: u64,
    /// Alerts that went.
    pub alerts: u64,
    /// Bytes of the database in use afterwards.
    pub bytes: u64,
    /// Bytes of evidence afterwards.
    pub evidence_bytes: u64,
}

/// Makes the database as small and as young as it should be.
pub fn sweep(store: &Store, limits: &Limits, now: i64) -> Result<Swept, StoreError> {
    let limits = *limits;
    let mut swept = Swept::default();
    store.write(move |tx| evidence::limit(tx, limits.evidence_bytes))?;
    for _ in 0..STEPS {
        let (events, alerts) = store.write(move |tx| step(tx, &limits, now))?;
        swept.events += events;
        swept.alerts += alerts;
        if events + alerts == 0 {
            break;
        }
    }
    loop {
        let before = store.read(free)?;
        if before == 0 || store.write(give_back).is_err() || store.read(free)? >= before {
            break;
        }
    }
    (swept.bytes, swept.evidence_bytes) =
        store.read(|connection| Ok((used(connection)?, evidence::bytes(connection)?.cast_unsigned())))?;
    Ok(swept)
}

/// Events and alerts that went.
fn step(tx: &Transaction<'_>, limits: &Limits, now: i64) -> rusqlite::Result<(u64, u64)> {
    let oldest = now.saturating_sub(limits.keep);
    let large = used(tx)? > limits.max_bytes;
    let front: Option<(i64, i64)> = tx
        .query_row("SELECT id, time FROM events ORDER BY id LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((first, time)) = front.filter(|(_, time)| large || *time < oldest) else {
        return Ok((0, if large { unresolved(tx)? } else { 0 }));
    };
    let mut last = first.saturating_add(STEP - 1);
    if !large || time < oldest {
        let young = "SELECT id FROM events WHERE id <= ? AND time >= ? ORDER BY id LIMIT 1";
        let young: Option<i64> = tx.query_row(young, [last, oldest], |row| row.get(0)).optional()?;
        last = young.map_or(last, |young| last.min(young - 1));
    }
    let pending = "SELECT min(event) FROM outbox WHERE state = 'pending' AND event <= ?";
    let pending: Option<i64> = tx.query_row(pending, [last], |row| row.get(0))?;
    last = pending.map_or(last, |pending| last.min(pending - 1));
    let hash =
        tx.query_row("SELECT id, hash FROM events WHERE id <= ? ORDER BY id DESC LIMIT 1", [last], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
    let Some((last, hash)) = hash.optional()? else {
        return Ok((0, if large { unresolved(tx)? } else { 0 }));
    };
    events::set_anchor(tx, &hash)?;
    outbox::forget(tx, last)?;
    let gone = tx.execute("DELETE FROM events WHERE id <= ?", [last])?;
    let alerts =
        remove(tx, "SELECT threat_id FROM alerts WHERE event <= ?1 AND state = 'resolved'", params![last])?;
    Ok((gone as u64, alerts))
}

/// Alerts that outlived their events, the oldest first. Returns how many went.
fn unresolved(tx: &Transaction<'_>) -> rusqlite::Result<u64> {
    let first: Option<i64> = tx.query_row("SELECT min(id) FROM events", [], |row| row.get(0))?;
    let which = "SELECT threat_id FROM alerts WHERE event < ?1 ORDER BY event LIMIT 500";
    remove(tx, which, params![first.unwrap_or(i64::MAX)])
}

fn remove(tx: &Transaction<'_>, which: &str, values: impl rusqlite::Params) -> rusqlite::Result<u64> {
    let mut select = tx.prepare_cached(which)?;
    let ids: Vec<String> = select.query_map(values, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for id in &ids {
        evidence::remove(tx, id)?;
        tx.prepare_cached("DELETE FROM alerts WHERE threat_id = ?")?.execute([id])?;
    }
    Ok(ids.len() as u64)
}

/// Pages that are in the file and hold nothing.
fn free(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))
}

fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok((pages * number("page_size")?).max(0).cast_unsigned())
}

/// Each step of the statement moves a page.
fn give_back(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut vacuum = tx.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
