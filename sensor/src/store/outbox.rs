//! What each sink has yet to be told. A row is made in the transaction of the event, for every sink that wants it; one
//! sink's rows are read in order and settled by that sink's thread.
//!
//! `sinks` counts what happened since the database began, `outbox` says what is pending and dead now: together they are
//! `stored = delivered + pending + dead letters + expired`, over every restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::alerts::{AlertState, StoredAlert, rfc3339};
use super::events::{EventKind, EventRow};
use crate::alert::{Severity, ThreatType};
use crate::sinks::targets::Told;
use crate::sinks::{Message, SinkStatus};
use crate::telemetry::printable;

/// Asked for every event: what it tells and, of an alert, its type and severity.
pub type Wanted = Arc<dyn Fn(Told, Option<(ThreatType, Severity)>) -> bool + Send + Sync>;

/// A sink, as far as the store knows it.
#[derive(Clone)]
pub struct Recipient {
    /// Its label.
    pub name: String,
    /// Whether it is to be told.
    pub wanted: Wanted,
}

/// A message with what was tried so far.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What is to be told.
    pub message: Message,
    /// Attempts that failed.
    pub attempts: u32,
    /// Not before, nanoseconds since the Unix epoch.
    pub next_at: i64,
    /// Pending since.
    pub since: i64,
}

/// How a message is settled, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settle {
    /// The sink has it.
    Delivered,
    /// An attempt failed; another one follows, not before this.
    Again {
        /// Nanoseconds since the Unix epoch.
        next_at: i64,
        /// Why.
        error: String,
    },
    /// Nobody tries any more.
    Dead {
        /// The sink said no.
        refused: bool,
        /// Why.
        error: String,
    },
}

/// Makes the rows of an event. The writer calls it for every event of a transaction before the commit.
pub(super) fn enqueue(tx: &Connection, recipients: &[Recipient], event: &EventRow) -> rusqlite::Result<()> {
    if recipients.is_empty() {
        return Ok(());
    }
    let (told, alert, worse) = told(tx, event)?;
    let kind = alert.map(|alert| (alert.alert.threat_type, alert.alert.severity));
    for recipient in recipients {
        // Who hears of new alerts only must hear that one turned out to be worse, or to be something else.
        let news = worse && (recipient.wanted)(Told::Raised, kind);
        if !news && !(recipient.wanted)(told, kind) {
            continue;
        }
        tx.prepare_cached("INSERT INTO outbox (sink, event, told, since) VALUES (?, ?, ?, ?)")?
            .execute(params![recipient.name, event.id, told.name(), event.time])?;
        count(tx, &recipient.name, "stored", 1)?;
    }
    Ok(())
}

/// What an event tells, of which alert, and whether the alert is called by another type or is more severe than before.
fn told(tx: &Connection, event: &EventRow) -> rusqlite::Result<(Told, Option<StoredAlert>, bool)> {
    if event.kind == EventKind::Decision.name() {
        return Ok((Told::Decision, None, false));
    }
    let Ok(alert) = serde_json::from_str::<StoredAlert>(&event.json) else {
        return Ok((Told::System, None, false));
    };
    let mut worse = false;
    let before: Option<String> = tx
        .prepare_cached("SELECT json FROM events WHERE about = ? AND id < ? ORDER BY id DESC LIMIT 1")?
        .query_row(params![event.about, event.id], |row| row.get(0))
        .optional()?;
    let told = match before {
        None => {
            // The first event, or the first one that retention left.
            let raised = tx
                .prepare_cached("SELECT raised_at FROM alerts WHERE threat_id = ?")?
                .query_row([&event.about], |row| row.get::<_, i64>(0))
                .optional()?;
            if raised == Some(event.time) { Told::Raised } else { Told::Updated }
        }
        Some(before) => {
            let before = serde_json::from_str::<StoredAlert>(&before).ok();
            let was = before.as_ref().map(|before| before.state).unwrap_or_default();
            worse = alert.state != AlertState::Resolved
                && before.is_some_and(|before| {
                    alert.alert.threat_type != before.alert.threat_type
                        || alert.alert.severity > before.alert.severity
                });
            let over = alert.state == AlertState::Resolved && was != AlertState::Resolved;
            if over { Told::Resolved } else { Told::Updated }
        }
    };
    Ok((told, Some(alert), worse))
}

/// What a sink has yet to be told, the oldest first. Reads no more than `limit` rows behind the row `after`.
pub fn pending(
    connection: &Connection,
    sink: &str,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Pending>> {
    let mut select = connection.prepare_cached(
        "SELECT o.id, o.event, o.told, o.attempts, o.next_at, o.since, e.about, e.json \
         FROM outbox o LEFT JOIN events e ON e.id = o.event \
         WHERE o.sink = ? AND o.state = 'pending' AND o.id > ? ORDER BY o.id LIMIT ?",
    )?;
    let rows = select.query_map(params![sink, after, limit as i64], |row| {
        Ok(Pending {
            message: Message {
                id: row.get(0)?,
                event: row.get(1)?,
                told: parse(row.get_ref(2)?.as_str()?),
                about: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                json: row.get::<_, Option<String>>(7)?.unwrap_or_default().into(),
            },
            attempts: row.get(3)?,
            next_at: row.get(4)?,
            since: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// Writes down what became of a message; one that is settled already stays as it is.
pub fn settle(tx: &Connection, sink: &str, id: i64, settle: &Settle, now: i64) -> rusqlite::Result<()> {
    let short = |error: &str| printable(error, 500);
    match settle {
        Settle::Delivered => {
            let changed = tx
                .prepare_cached("UPDATE outbox SET state = 'delivered', settled_at = ?, error = '' WHERE id = ? AND state = 'pending'")?
                .execute(params![now, id])?;
            count(tx, sink, "delivered", changed)?;
        }
        Settle::Again { next_at, error } => {
            let changed = tx
                .prepare_cached("UPDATE outbox SET attempts = attempts + 1, next_at = ?, error = ? WHERE id = ? AND state = 'pending'")?
                .execute(params![next_at, short(error), id])?;
            count(tx, sink, "attempts_failed", changed)?;
        }
        Settle::Dead { refused, error } => {
            let changed = tx
                .prepare_cached(
                    "UPDATE outbox SET state = 'dead', refused = ?, attempts = attempts + 1, error = ?, settled_at = ? \
                     WHERE id = ? AND state = 'pending'",
                )?
                .execute(params![refused, short(error), now, id])?;
            count(tx, sink, "attempts_failed", changed)?;
        }
    }
    Ok(())
}

/// Lets the oldest expire of more than `limit` pending messages. Returns the ids of their events.
pub fn expire_beyond(tx: &Connection, sink: &str, limit: usize, now: i64) -> rusqlite::Result<Vec<i64>> {
    let waiting: i64 = tx
        .prepare_cached("SELECT count(*) FROM outbox WHERE sink = ? AND state = 'pending'")?
        .query_row([sink], |row| row.get(0))?;
    let surplus = waiting.saturating_sub(i64::try_from(limit).unwrap_or(i64::MAX));
    if surplus <= 0 {
        return Ok(Vec::new());
    }
    expire(tx, sink, surplus, "the queue was full", "expired_queue_full", now)
}

/// Lets everything expire that sinks which are not in `names` had yet to be told. Returns how many, by sink.
pub fn expire_others(
    tx: &Connection,
    names: &[String],
    now: i64,
) -> rusqlite::Result<BTreeMap<String, usize>> {
    let mut select = tx.prepare("SELECT DISTINCT sink FROM outbox WHERE state = 'pending'")?;
    let sinks: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut gone = BTreeMap::new();
    for sink in sinks.into_iter().filter(|sink| !names.contains(sink)) {
        let why = "the sink left the configuration";
        let expired = expire(tx, &sink, i64::MAX, why, "expired_removed", now)?;
        gone.insert(sink, expired.len());
    }
    Ok(gone)
}

fn expire(
    tx: &Connection,
    sink: &str,
    most: i64,
    why: &str,
    counter: &str,
    now: i64,
) -> rusqlite::Result<Vec<i64>> {
    let mut update = tx.prepare_cached(
        "UPDATE outbox SET state = 'expired', error = ?, settled_at = ? WHERE id IN \
         (SELECT id FROM outbox WHERE sink = ? AND state = 'pending' ORDER BY id LIMIT ?) RETURNING event",
    )?;
    let events: Vec<i64> = update
        .query_map(params![why, now, sink, most], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    count(tx, sink, counter, events.len())?;
    Ok(events)
}

/// Tries dead letters again: those of one sink, or all. Returns how many.
pub fn retry(tx: &Connection, sink: Option<&str>, now: i64) -> rusqlite::Result<usize> {
    tx.execute(
        "UPDATE outbox SET state = 'pending', refused = 0, attempts = 0, next_at = 0, since = ?1, settled_at = NULL \
         WHERE state = 'dead' AND (?2 IS NULL OR sink = ?2)",
        params![now, sink],
    )
}

/// The bins of a sink; `failing` is not known here.
pub fn status(connection: &Connection, sink: &str) -> rusqlite::Result<SinkStatus> {
    let mut status = SinkStatus { name: sink.to_owned(), ..SinkStatus::default() };
    let counted = connection
        .prepare_cached(
            "SELECT stored, delivered, expired_queue_full, expired_removed, expired_retention, attempts_failed \
             FROM sinks WHERE name = ?",
        )?
        .query_row([sink], |row| {
            let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
            Ok([number(0)?, number(1)?, number(2)?, number(3)?, number(4)?, number(5)?])
        })
        .optional()?
        .unwrap_or_default();
    [
        status.stored,
        status.delivered,
        status.expired_queue_full,
        status.expired_removed,
        status.expired_retention,
        status.attempts_failed,
    ] = counted;
    let number = |sql: &str| {
        connection.prepare_cached(sql)?.query_row([sink], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
    };
    status.pending = number("SELECT count(*) FROM outbox WHERE sink = ? AND state = 'pending'")?;
    status.dead_letter_refused =
        number("SELECT count(*) FROM outbox WHERE sink = ? AND state = 'dead' AND refused = 1")?;
    status.dead_letter_retries_spent =
        number("SELECT count(*) FROM outbox WHERE sink = ? AND state = 'dead' AND refused = 0")?;
    Ok(status)
}

/// What a sink took since `since`, the oldest first, with when it did: the latest `limit` of them.
pub fn taken(
    connection: &Connection,
    sink: &str,
    since: i64,
    limit: usize,
) -> rusqlite::Result<Vec<(Message, u64)>> {
    // No index is by sink and time: the latest events are walked, and no more than a start can wait for.
    let mut select = connection.prepare_cached(
        "SELECT o.id, o.event, o.told, e.about, e.json, o.settled_at FROM events e JOIN outbox o ON o.event = e.id \
         WHERE o.sink = ? AND o.state = 'delivered' AND e.id > (SELECT coalesce(max(id), 0) - 50000 FROM events) \
         ORDER BY e.id DESC LIMIT ?",
    )?;
    let rows = select.query_map(params![sink, limit as i64], |row| {
        let message = Message {
            id: row.get(0)?,
            event: row.get(1)?,
            told: parse(row.get_ref(2)?.as_str()?),
            about: row.get(3)?,
            json: row.get::<_, String>(4)?.into(),
        };
        Ok((message, row.get::<_, Option<i64>>(5)?.unwrap_or_default()))
    })?;
    let mut taken = Vec::new();
    for row in rows {
        let (message, at) = row?;
        if at >= since {
            taken.push((message, at.max(0).cast_unsigned()));
        }
    }
    taken.reverse();
    Ok(taken)
}

/// A message that nobody tries any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DeadLetter {
    /// When it was given up, RFC 3339.
    pub time: String,
    /// `threat_id` of the alert or id of the decision; empty for what is about neither.
    pub about: String,
    /// `raised`, `updated`, `resolved`, `decision` or `system`.
    pub told: String,
    /// Attempts that failed, the last one included.
    pub attempts: u32,
    /// What the target said last.
    pub error: String,
}

/// The dead letters of a sink, those given up last first.
pub fn dead(connection: &Connection, sink: &str, limit: usize) -> rusqlite::Result<Vec<DeadLetter>> {
    let mut select = connection.prepare_cached(
        "SELECT o.settled_at, e.about, o.told, o.attempts, o.error FROM outbox o LEFT JOIN events e ON e.id = o.event \
         WHERE o.sink = ? AND o.state = 'dead' ORDER BY o.id DESC LIMIT ?",
    )?;
    let rows = select.query_map(params![sink, limit as i64], |row| {
        Ok(DeadLetter {
            time: rfc3339(row.get::<_, Option<i64>>(0)?.unwrap_or_default()),
            about: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            told: row.get(2)?,
            attempts: row.get(3)?,
            error: printable(row.get_ref(4)?.as_str()?, 400),
        })
    })?;
    rows.collect()
}

/// A message of an alert, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// The sink.
    pub sink: String,
    /// What it tells.
    pub told: String,
    /// `pending`, `delivered`, `dead` or `expired`.
    pub state: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// Why the latest one did.
    pub error: String,
}

/// What was told of an alert, to whom.
pub fn of_alert(connection: &Connection, threat_id: &str) -> rusqlite::Result<Vec<Sent>> {
    let mut select = connection.prepare_cached(
        "SELECT o.sink, o.told, o.state, o.attempts, o.error FROM events e JOIN outbox o ON o.event = e.id \
         WHERE e.about = ? ORDER BY o.id LIMIT 1000",
    )?;
    let rows = select.query_map([threat_id], |row| {
        let (sink, told, state) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Sent { sink, told, state, attempts: row.get(3)?, error: row.get(4)? })
    })?;
    rows.collect()
}

/// Removes the rows of settled messages about events up to `last`; a dead letter's is counted as expired.
pub(super) fn forget(tx: &Connection, last: i64) -> rusqlite::Result<()> {
    let mut select = tx.prepare_cached(
        "SELECT sink, count(*) FROM outbox WHERE event <= ? AND state = 'dead' GROUP BY sink",
    )?;
    let dead: Vec<(String, usize)> = select
        .query_map([last], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))?
        .collect::<rusqlite::Result<_>>()?;
    for (sink, number) in dead {
        count(tx, &sink, "expired_retention", number)?;
    }
    tx.prepare_cached("DELETE FROM outbox WHERE event <= ? AND state <> 'pending'")?.execute([last])?;
    Ok(())
}

/// `column` is one of ours.
fn count(tx: &Connection, sink: &str, column: &str, by: usize) -> rusqlite::Result<()> {
    if by == 0 {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO sinks (name, {column}) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET {column} = {column} + ?2"
    );
    tx.prepare_cached(&sql)?.execute(params![sink, by as i64])?;
    Ok(())
}

fn parse(text: &str) -> Told {
    [Told::Raised, Told::Updated, Told::Resolved, Told::Decision]
        .into_iter()
        .find(|told| told.name() == text)
        .unwrap_or(Told::System)
}
