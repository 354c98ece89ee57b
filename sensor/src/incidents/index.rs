//! Incidents in memory, for likeness: a matrix of fingerprints with what is known beside each. The table is the truth;
//! `refresh` brings what changed in it, by this process or another.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use rusqlite::{Connection, OptionalExtension, Row};

use super::config::IncidentsConfig;
use super::fingerprint::{self, cosine, direction};
use super::record::threat_type;
use super::resolution::{FALSE_POSITIVE, NOT_NOTED};
use super::status::{Counts, IncidentsStatus};
use super::{starter, store};
use crate::alert::fingerprint::TYPES;
use crate::alert::{Alert, ThreatType};
use crate::store::{Store, StoreError};

/// Parts of a similarity: the cosine of fingerprints, the same type, the same service.
const LIKENESS: f32 = 0.5;
const SAME_TYPE: f32 = 0.35;
const SAME_SERVICE: f32 = 0.15;

/// What incidents are compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Likeness {
    direction: Option<Vec<f32>>,
    threat_type: ThreatType,
    port: Option<u16>,
}

impl Likeness {
    /// Of an alert. Without a fingerprint (empty, or all zeros) only its type speaks.
    pub fn new(alert: &Alert, fingerprint: &[f32]) -> Likeness {
        let kind = alert.threat_type;
        Likeness {
            direction: direction(fingerprint).or_else(|| fingerprint::of_type(kind)),
            threat_type: kind,
            port: (alert.destination_port != 0).then_some(alert.destination_port),
        }
    }

    /// Of an alert in the store.
    pub fn of_alert(connection: &Connection, threat_id: &str) -> rusqlite::Result<Option<Likeness>> {
        let row = connection
            .prepare_cached("SELECT json, fingerprint FROM alerts WHERE threat_id = ?")?
            .query_row([threat_id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))
            .optional()?;
        Ok(row.and_then(|(json, bytes)| {
            let alert: Alert = serde_json::from_str(&json).ok()?;
            let fingerprint = bytes.as_deref().and_then(fingerprint::from_bytes).unwrap_or_default();
            Some(Likeness::new(&alert, &fingerprint))
        }))
    }
}

/// An incident that is like something.
#[derive(Clone, Debug, PartialEq)]
pub struct Similar {
    /// Its place in the table.
    pub number: i64,
    /// Its id.
    pub id: String,
    /// 0 to 1.
    pub similarity: f64,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Index {
    pub(super) config: IncidentsConfig,
    pub(super) counts: Counts,
    inside: RwLock<Inside>,
    refreshing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Inside {
    version: i64,
    entries: HashMap<i64, Entry>,
    /// By the length of the fingerprints.
    blocks: HashMap<usize, Block>,
    /// Incidents that alerts of that type became, in the order of [`TYPES`]; false positives apart.
    resolved: [u32; TYPES.len()],
    own: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: String,
    pub action: String,
    pub worked: u64,
    pub failed: u64,
    pub false_positive: bool,
    kind: Option<ThreatType>,
    own: bool,
    resolved: bool,
    place: Option<(usize, usize)>,
}

/// Fingerprints of one length, a row each.
#[derive(Debug, Default)]
struct Block {
    rows: Vec<f32>,
    owners: Vec<Owner>,
}

/// What a similarity needs of an incident, beside its fingerprint.
#[derive(Clone, Copy, Debug)]
struct Owner {
    number: i64,
    kind: Option<ThreatType>,
    port: Option<u16>,
    own: bool,
    recommendable: bool,
}

/// A row of the table.
struct Read {
    entry: Entry,
    owner: Owner,
    direction: Option<Vec<f32>>,
}

/// Which incidents a search looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    All,
    /// Those with an action that people here made or imported.
    Own,
    /// Those with an action that came with the sensor.
    Starter,
}

impl Index {
    /// Reads all incidents; gives an empty table its first ones. `now` is nanoseconds since the Unix epoch.
    pub fn open(store: &Store, config: &IncidentsConfig, now: i64) -> Result<Index, StoreError> {
        if config.starter {
            let max = config.max;
            let added = store.write(move |transaction| starter::load(transaction, now, max))?;
            if added > 0 {
                tracing::info!(
                    "no incidents yet: begun with {added} that come with the sensor; each gives way to your own as alerts of its type are resolved"
                );
            }
        }
        let index = Index {
            config: config.clone(),
            counts: Counts::default(),
            inside: RwLock::default(),
            refreshing: Mutex::default(),
        };
        index.refresh(store)?;
        Ok(index)
    }

    /// Brings what changed in the table; whether anything did. Cheap where nothing did: for once a second, and for
    /// after each write. Blocks the thread: not for a task of the API.
    pub fn refresh(&self, store: &Store) -> Result<bool, StoreError> {
        let _one_at_a_time: MutexGuard<'_, ()> =
            self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, entries) = {
            let inside = self.inside();
            (inside.version, inside.entries.len() as u64)
        };
        let changed = store.read(|connection| {
            let version = store::version(connection)?;
            if version == known {
                return Ok(None);
            }
            let rows = changed_after(connection, known)?;
            let there: Option<HashSet<i64>> = if store::count(connection)? == entries && rows.is_empty() {
                None
            } else {
                let mut numbers = connection.prepare_cached("SELECT number FROM incidents")?;
                Some(numbers.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
            };
            Ok(Some((version, rows, there)))
        })?;
        let Some((version, rows, there)) = changed else { return Ok(false) };
        let mut inside = self.inside.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = there {
            let gone: Vec<i64> =
                inside.entries.keys().filter(|number| !there.contains(*number)).copied().collect();
            gone.into_iter().for_each(|number| inside.remove(number));
        }
        for read in rows {
            inside.remove(read.owner.number);
            inside.add(read);
        }
        inside.version = version;
        Ok(true)
    }

    /// The incidents most like it, most alike first.
    pub fn similar(&self, likeness: &Likeness, limit: usize) -> Vec<Similar> {
        let inside = self.inside();
        let found = inside.nearest(likeness, limit, Among::All);
        let similar = |(similarity, number): (f32, i64)| {
            let entry = inside.entries.get(&number)?;
            Some(Similar { number, id: entry.id.clone(), similarity: rounded(similarity) })
        };
        found.into_iter().filter_map(similar).collect()
    }

    /// The nearest that may be recommended, most alike first, each with its similarity.
    pub(super) fn candidates(&self, likeness: &Likeness, among: Among, limit: usize) -> Vec<(f64, Entry)> {
        let inside = self.inside();
        let found = inside.nearest(likeness, limit, among);
        let entry = |(similarity, number): (f32, i64)| {
            Some((rounded(similarity), inside.entries.get(&number)?.clone()))
        };
        found.into_iter().filter_map(entry).collect()
    }

    /// Whether alerts of that type were resolved here, false positives apart.
    pub(super) fn has_resolved(&self, kind: ThreatType) -> bool {
        let at = TYPES.iter().position(|known| *known == kind);
        at.and_then(|at| self.inside().resolved.get(at).copied()).is_some_and(|count| count > 0)
    }

    /// What it holds and did.
    pub fn status(&self) -> IncidentsStatus {
        let (all, own) = {
            let inside = self.inside();
            (inside.entries.len() as u64, inside.own)
        };
        self.counts.status(own, all - own)
    }

    fn inside(&self) -> RwLockReadGuard<'_, Inside> {
        self.inside.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To three digits: more are chance.
fn rounded(similarity: f32) -> f64 {
    (f64::from(similarity) * 1000.0).round() / 1000.0
}

impl Inside {
    fn nearest(&self, likeness: &Likeness, limit: usize, among: Among) -> Vec<(f32, i64)> {
        let Some(direction) = &likeness.direction else { return Vec::new() };
        let Some(block) = self.blocks.get(&direction.len()) else { return Vec::new() };
        let wanted = |owner: &Owner| match among {
            Among::All => true,
            Among::Own => owner.own && owner.recommendable,
            Among::Starter => !owner.own && owner.recommendable,
        };
        let retired = |owner: &Owner| {
            let at = TYPES.iter().position(|kind| Some(*kind) == owner.kind);
            !owner.own && at.is_some_and(|at| self.resolved[at] > 0)
        };
        let mut found: Vec<(bool, f32, i64)> = block
            .rows
            .chunks_exact(direction.len())
            .zip(&block.owners)
            .filter(|(_, owner)| wanted(owner))
            .map(|(row, owner)| {
                (retired(owner), similarity(cosine(row, direction), owner, likeness), owner.number)
            })
            .filter(|(_, similarity, _)| *similarity > 0.0)
            .collect();
        // The more alike first, of equals the newer; behind them starter ones that one's own took the place of.
        let order = |a: &(bool, f32, i64), b: &(bool, f32, i64)| {
            a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(b.2.cmp(&a.2))
        };
        if limit < found.len() {
            found.select_nth_unstable_by(limit, order);
            found.truncate(limit);
        }
        found.sort_unstable_by(order);
        found.into_iter().map(|(_, similarity, number)| (similarity, number)).collect()
    }

    fn add(&mut self, read: Read) {
        let Read { mut entry, owner, direction } = read;
        if let Some(direction) = direction {
            let block = self.blocks.entry(direction.len()).or_default();
            entry.place = Some((direction.len(), block.owners.len()));
            block.rows.extend(direction);
            block.owners.push(owner);
        }
        self.own += u64::from(entry.own);
        if let Some(count) = resolved_count(&mut self.resolved, &entry) {
            *count += 1;
        }
        self.entries.insert(owner.number, entry);
    }

    fn remove(&mut self, number: i64) {
        let Some(entry) = self.entries.remove(&number) else { return };
        self.own -= u64::from(entry.own);
        if let Some(count) = resolved_count(&mut self.resolved, &entry) {
            *count -= 1;
        }
        let Some((length, at)) = entry.place else { return };
        let Some(block) = self.blocks.get_mut(&length) else { return };
        // The last row takes the place of the one that goes.
        let last = block.owners.len() - 1;
        block.rows.copy_within(last * length.., at * length);
        block.rows.truncate(last * length);
        block.owners.swap_remove(at);
        if let Some(moved) = block.owners.get(at).and_then(|owner| self.entries.get_mut(&owner.number)) {
            moved.place = Some((length, at));
        }
    }
}

fn resolved_count<'a>(resolved: &'a mut [u32; TYPES.len()], entry: &Entry) -> Option<&'a mut u32> {
    let at = TYPES.iter().position(|kind| entry.resolved && entry.kind == Some(*kind))?;
    resolved.get_mut(at)
}

/// How alike, 0 to 1. `Anomaly` is no type: agreement about it says nothing. What an incident does not tell is left out.
fn similarity(cosine: f32, owner: &Owner, likeness: &Likeness) -> f32 {
    let mut sum = LIKENESS * cosine.clamp(0.0, 1.0);
    let mut whole = LIKENESS;
    if let Some(kind) = owner.kind
        && kind != ThreatType::Anomaly
        && likeness.threat_type != ThreatType::Anomaly
    {
        sum += if kind == likeness.threat_type { SAME_TYPE } else { 0.0 };
        whole += SAME_TYPE;
    }
    if owner.port.is_some() {
        sum += if owner.port == likeness.port { SAME_SERVICE } else { 0.0 };
        whole += SAME_SERVICE;
    }
    sum / whole
}

fn changed_after(connection: &Connection, version: i64) -> rusqlite::Result<Vec<Read>> {
    connection
        .prepare_cached(
            "SELECT number, id, origin, threat_type, action, outcome, port, fingerprint, worked, failed \
             FROM incidents WHERE changed > ?",
        )?
        .query_map([version], read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Read> {
    let origin: String = row.get("origin")?;
    let kind = threat_type(&row.get::<_, String>("threat_type")?);
    let false_positive = row.get::<_, String>("outcome")? == FALSE_POSITIVE;
    let action: String = row.get("action")?;
    let fingerprint: Option<Vec<u8>> = row.get("fingerprint")?;
    // What people write by hand has no fingerprint, but a type: it is compared by that.
    let fingerprint = fingerprint
        .as_deref()
        .and_then(fingerprint::from_bytes)
        .or_else(|| kind.and_then(fingerprint::of_type));
    let own = origin != "starter";
    let owner = Owner {
        number: row.get("number")?,
        kind,
        port: row.get("port")?,
        own,
        recommendable: action != NOT_NOTED,
    };
    let entry = Entry {
        id: row.get("id")?,
        action,
        worked: row.get::<_, i64>("worked")?.max(0).cast_unsigned(),
        failed: row.get::<_, i64>("failed")?.max(0).cast_unsigned(),
        false_positive,
        kind,
        own,
        resolved: origin == "resolved" && !false_positive,
        place: None,
    };
    Ok(Read { entry, owner, direction: fingerprint.as_deref().and_then(direction) })
}
