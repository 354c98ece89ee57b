//! A resolved alert becomes an incident, or speaks for the one it was told about.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::{Draft, Origin, Written, cut, name};
use super::store::{self, add, get, mark};
use crate::alert::Alert;
use crate::telemetry::printable;

/// The outcome of an incident that was none.
pub const FALSE_POSITIVE: &str = "false positive";
/// The action of an alert that was resolved without one.
pub(super) const NOT_NOTED: &str = "not noted";
const NONE_NEEDED: &str = "none needed: this was no threat";

/// How an alert was resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resolution {
    /// What was done.
    pub action: String,
    /// Why it happened.
    pub root_cause: String,
    /// What else should be known.
    pub note: String,
    /// It was no threat.
    pub false_positive: bool,
    /// Whether what was recommended was tried and worked. Absent: it did if `action` says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommendation_worked: Option<bool>,
}

/// Turns a resolution into an incident, in the transaction that resolves the alert; `now` is nanoseconds since the Unix
/// epoch, `max` is `incidents.max`. Returns the id of the incident: a new one, or the one whose action was taken again.
pub fn from_resolution(
    transaction: &Transaction<'_>,
    alert: &Alert,
    resolution: &Resolution,
    fingerprint: Option<&[f32]>,
    now: i64,
    max: u64,
) -> rusqlite::Result<String> {
    let counted: bool = transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM events WHERE about = ? AND json_extract(json, '$.incident_id') IS NOT NULL)",
        )?
        .query_row([&alert.threat_id], |row| row.get(0))?;
    let recommended = match &alert.recommendation {
        Some(recommendation) => get(transaction, &recommendation.incident_id)?,
        None => None,
    };
    let written = written(alert, resolution);
    let taken = recommended.map(|incident| {
        let same = same_action(&written.action, &incident.action);
        let worked = resolution.recommendation_worked.or(same.then_some(true));
        (incident, same, worked)
    });
    // An alert that was opened again was counted when it was resolved first.
    if let Some((incident, _, Some(worked))) = &taken
        && !counted
    {
        mark(transaction, &incident.id, *worked)?;
    }
    match taken {
        Some((incident, true, Some(true))) if incident.origin != Origin::Starter => Ok(incident.id),
        _ => replace_or_add(transaction, alert, written, fingerprint, now, max),
    }
}

fn replace_or_add(
    transaction: &Transaction<'_>,
    alert: &Alert,
    mut written: Written,
    fingerprint: Option<&[f32]>,
    now: i64,
    max: u64,
) -> rusqlite::Result<String> {
    let known: Option<String> = transaction
        .prepare_cached("SELECT id FROM incidents WHERE threat_id = ?")?
        .query_row([&alert.threat_id], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        let version = store::next_version(transaction)?;
        transaction
            .prepare_cached(
                "UPDATE incidents SET root_cause = ?, action = ?, outcome = ?, changed = ? WHERE id = ?",
            )?
            .execute(params![written.root_cause, written.action, written.outcome, version, id])?;
        return Ok(id);
    }
    // It was done, and the alert could be resolved.
    written.worked = 1;
    let draft = Draft {
        written,
        origin: Origin::Resolved,
        threat_id: Some(alert.threat_id.clone()),
        fingerprint: fingerprint.map(<[f32]>::to_vec),
        created_at: Some(now),
    };
    add(transaction, &draft, now, max).map(|incident| incident.id)
}

fn written(alert: &Alert, resolution: &Resolution) -> Written {
    let kind = name(alert.threat_type);
    let source = if alert.source_ip.is_empty() { "many sources" } else { &alert.source_ip };
    let mut title = format!("{kind} from {source}");
    if !alert.destination_ip.is_empty() {
        title.push_str(&format!(" to {}", alert.destination_ip));
    }
    if alert.destination_port != 0 {
        title.push_str(&format!(" port {} {}", alert.destination_port, alert.protocol));
    }
    let said = resolution.action.trim();
    let action = match &alert.recommendation {
        _ if !said.is_empty() => said,
        Some(recommendation) if resolution.recommendation_worked == Some(true) => &recommendation.action,
        _ if resolution.false_positive => NONE_NEEDED,
        _ => NOT_NOTED,
    };
    let note = resolution.note.trim();
    let outcome = if resolution.false_positive {
        FALSE_POSITIVE.to_owned()
    } else if note.is_empty() {
        "resolved".to_owned()
    } else {
        format!("resolved: {note}")
    };
    let root_cause = match resolution.root_cause.trim() {
        "" if resolution.false_positive => note,
        cause => cause,
    };
    Written {
        title: printable(&title, 199),
        threat_type: kind.to_owned(),
        severity: Some(alert.severity),
        symptom: printable(&alert.details.narrative, 2000),
        root_cause: cut(root_cause),
        action: cut(action),
        outcome: cut(&outcome),
        port: (alert.destination_port != 0).then_some(alert.destination_port),
        ..Written::default()
    }
}

/// Whether two people would call it the same.
fn same_action(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    plain(one) == plain(other)
}
