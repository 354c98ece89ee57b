//! Sessions on the watched interface: from a start to a stop or the end of its time. What is counted and found goes on
//! with or without a session; a session is a way to ask for a part of it.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use serde_json::Value;

use super::filter::Filter;
use super::result::{MOST_THREATS, Outcome, Totals, breakdown, timeline};
use super::rows;
use crate::alert::Alert;
use crate::status::Status;
use crate::store::list::{AlertFilter, list};

/// Sessions at once.
const MOST: usize = 16;
const SECOND: u64 = 1_000_000_000;

/// A session that runs.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub id: String,
    pub filter: Filter,
    /// Nanoseconds since the Unix epoch.
    pub started: u64,
    pub seconds: u32,
    at_start: Totals,
}

impl Session {
    pub(super) fn new(id: String, filter: Filter, seconds: u32, status: &Status, now: u64) -> Session {
        Session { id, filter, started: now, seconds, at_start: totals(status) }
    }

    fn ends(&self) -> u64 {
        self.started.saturating_add(u64::from(self.seconds) * SECOND)
    }

    pub(super) fn progress(&self, now: u64) -> f64 {
        let elapsed = now.saturating_sub(self.started) as f64 / SECOND as f64;
        (elapsed / f64::from(self.seconds.max(1))).clamp(0.0, 1.0)
    }

    /// Closes it at `now`: writes what was seen since it began.
    pub(super) fn close(
        &self,
        connection: &Connection,
        state: &str,
        status: &Status,
        now: u64,
    ) -> rusqlite::Result<()> {
        let alerts = self.alerts(connection, now)?;
        let seen = totals(status);
        let since = |now: u64, before: u64| now.saturating_sub(before);
        let outcome = Outcome {
            totals: Totals {
                packets: since(seen.packets, self.at_start.packets),
                bytes: since(seen.bytes, self.at_start.bytes),
                flows: since(seen.flows, self.at_start.flows),
                windows: since(seen.windows, self.at_start.windows),
                threats: alerts.len() as u64,
                duration_s: since(now, self.started) as f64 / SECOND as f64,
            },
            breakdown: breakdown(alerts.iter()),
            timeline: timeline(&alerts, self.started, now),
            threats: alerts,
            truncated: false,
            warnings: match self.filter {
                Filter::All => Vec::new(),
                _ => vec![
                    "packets, bytes and flows are the interface's; the filter chooses threats".to_owned(),
                ],
            },
        };
        let result = serde_json::to_value(outcome).unwrap_or(Value::Null);
        rows::finish(connection, &self.id, state, Ok(&result), now as i64)
    }

    /// Alerts of its time that match, oldest first.
    fn alerts(&self, connection: &Connection, now: u64) -> rusqlite::Result<Vec<Alert>> {
        let within = AlertFilter {
            since: Some(self.started as i64),
            until: Some(now as i64),
            ..AlertFilter::default()
        };
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = list(connection, &within, cursor, 500)?;
            found.extend(
                page.items.into_iter().map(|stored| stored.alert).filter(|alert| self.filter.matches(alert)),
            );
            cursor = page.next;
            if cursor.is_none() || found.len() >= MOST_THREATS {
                break;
            }
        }
        found.truncate(MOST_THREATS);
        found.reverse();
        Ok(found)
    }
}

fn totals(status: &Status) -> Totals {
    Totals {
        packets: status.ledger.totals.seen.packets,
        bytes: status.ledger.totals.seen.bytes,
        flows: status.flow.total,
        windows: status.ledger.scoring.scored,
        ..Totals::default()
    }
}

/// Those that run.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Vec<Session>>);

impl Sessions {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room for it.
    pub(super) fn add(&self, session: Session) -> bool {
        let mut all = self.all();
        let room = all.len() < MOST;
        if room {
            all.push(session);
        }
        room
    }

    pub(super) fn get(&self, id: &str) -> Option<Session> {
        self.all().iter().find(|session| session.id == id).cloned()
    }

    /// Takes out this one; the latest where none is named.
    pub(super) fn take(&self, id: Option<&str>) -> Option<Session> {
        let mut all = self.all();
        let at = match id {
            Some(id) => all.iter().position(|session| session.id == id)?,
            None => all.len().checked_sub(1)?,
        };
        Some(all.remove(at))
    }

    /// Takes out those whose time is over.
    pub(super) fn ended(&self, now: u64) -> Vec<Session> {
        self.all().extract_if(.., |session| session.ends() <= now).collect()
    }
}
