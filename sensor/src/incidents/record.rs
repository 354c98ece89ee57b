//! An incident, and what may be written into one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fingerprint;
use crate::alert::fingerprint::TYPES;
use crate::alert::{Severity, ThreatType};

/// Characters of a title.
const LONGEST_TITLE: usize = 200;
/// Characters of a type.
const LONGEST_TYPE: usize = 100;
/// Characters of each of the long texts.
const LONGEST_TEXT: usize = 4000;
/// Features that somebody may name.
const MOST_FEATURES: usize = 200;

/// Where an incident comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It came with the sensor.
    Starter,
    /// Somebody wrote it here.
    User,
    /// An alert was resolved.
    Resolved,
    /// From a file.
    Imported,
}

impl Origin {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Starter => "starter",
            Origin::User => "user",
            Origin::Resolved => "resolved",
            Origin::Imported => "imported",
        }
    }

    /// Back from [`Origin::name`].
    pub fn from_name(name: &str) -> Option<Origin> {
        [Origin::Starter, Origin::User, Origin::Resolved, Origin::Imported]
            .into_iter()
            .find(|origin| origin.name() == name)
    }
}

/// Something that happened, and what was done.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Incident {
    /// `INC-` year `-` number: `INC-2026-001`.
    pub id: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// Where it comes from.
    pub origin: Origin,
    /// One line.
    pub title: String,
    /// One of the types of alerts, or the `error_type` of another system's anomaly.
    pub threat_type: String,
    /// How bad it was.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// What was seen.
    pub symptom: String,
    /// Why.
    pub root_cause: String,
    /// What was done, or is to be done.
    pub action: String,
    /// What came of it.
    pub outcome: String,
    /// The alert it was made from.
    pub threat_id: Option<String>,
    /// Destination port of the service that was concerned; absent for any.
    pub port: Option<u16>,
    /// How often the action worked.
    pub worked: u64,
    /// How often it did not.
    pub failed: u64,
    /// Place in the order of creation: the cursor of lists.
    #[serde(skip)]
    pub number: i64,
}

/// An incident as people and files write it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// Kept if it is free and of the form `INC-2025-001`; else a new one is given.
    pub id: Option<String>,
    /// RFC 3339; now, if absent.
    pub created_at: Option<String>,
    /// One line; the beginning of the symptom, if empty.
    pub title: String,
    /// One of the types of alerts, or the `error_type` of another system's anomaly.
    pub threat_type: String,
    /// `low`, `medium`, `high` or `critical`; `medium`, if absent.
    #[schema(value_type = Option<String>)]
    pub severity: Option<Severity>,
    /// What was seen.
    pub symptom: String,
    /// Why.
    pub root_cause: String,
    /// What was done, or is to be done.
    pub action: String,
    /// What came of it.
    pub outcome: String,
    /// Destination port of the service that was concerned; absent for any.
    pub port: Option<u16>,
    /// How often the action worked.
    pub worked: u32,
    /// How often it did not.
    pub failed: u32,
    /// What alerts like it look like: deviations from what is expected by `kind.feature`, such as `host.ports`.
    pub features: BTreeMap<String, f32>,
}

/// Why an incident cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// What it cannot do without.
    #[error("{0} is empty: say what was seen and what was done")]
    Empty(&'static str),
    /// A text is too long.
    #[error("{field} has {length} characters: at most {limit}")]
    Long {
        /// The field.
        field: &'static str,
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a time.
    #[error("created_at {0:?} is no time: write it as 2026-11-21T08:00:00Z")]
    Time(String),
    /// No such feature.
    #[error("features: {0}")]
    Features(String),
}

/// An incident that was checked and has no id yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The texts.
    pub written: Written,
    /// Where it comes from.
    pub origin: Origin,
    /// The alert it was made from.
    pub threat_id: Option<String>,
    /// What that alert looked like.
    pub fingerprint: Option<Vec<f32>>,
    /// Nanoseconds since the Unix epoch, if the writer knows.
    pub created_at: Option<i64>,
}

impl Draft {
    /// Checks what somebody wrote.
    pub fn new(mut written: Written, origin: Origin) -> Result<Draft, Unfit> {
        for text in [&mut written.title, &mut written.threat_type, &mut written.symptom, &mut written.action]
        {
            *text = text.trim().to_owned();
        }
        if written.symptom.is_empty() {
            return Err(Unfit::Empty("symptom"));
        }
        if written.action.is_empty() {
            return Err(Unfit::Empty("action"));
        }
        if written.title.is_empty() {
            let line = written.symptom.lines().next().unwrap_or_default();
            written.title = crate::telemetry::printable(line, LONGEST_TITLE - 1);
        }
        if written.threat_type.is_empty() {
            written.threat_type = name(ThreatType::Anomaly).to_owned();
        }
        for (field, text, limit) in [
            ("title", &written.title, LONGEST_TITLE),
            ("threat_type", &written.threat_type, LONGEST_TYPE),
            ("symptom", &written.symptom, LONGEST_TEXT),
            ("root_cause", &written.root_cause, LONGEST_TEXT),
            ("action", &written.action, LONGEST_TEXT),
            ("outcome", &written.outcome, LONGEST_TEXT),
        ] {
            let length = text.chars().count();
            if length > limit {
                return Err(Unfit::Long { field, length, limit });
            }
        }
        let created_at = written.created_at.as_deref().map(nanoseconds).transpose()?;
        if written.features.len() > MOST_FEATURES {
            return Err(Unfit::Features(format!("more than {MOST_FEATURES}")));
        }
        let fingerprint = if written.features.is_empty() {
            None
        } else {
            let features = written.features.iter().map(|(name, value)| (name.as_str(), *value));
            Some(
                fingerprint::of_features(features, threat_type(&written.threat_type))
                    .map_err(Unfit::Features)?,
            )
        };
        Ok(Draft { written, origin, threat_id: None, fingerprint, created_at })
    }
}

/// At most as much of a text as an incident holds.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

fn nanoseconds(text: &str) -> Result<i64, Unfit> {
    let wrong = || Unfit::Time(crate::telemetry::printable(text, 60));
    let time = humantime::parse_rfc3339_weak(text).map_err(|_not_a_time| wrong())?;
    let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|_before| wrong())?;
    i64::try_from(since.as_nanos()).map_err(|_too_far| wrong())
}

/// The type of that name, in any case; `None` for a type of another system's.
pub(super) fn threat_type(text: &str) -> Option<ThreatType> {
    TYPES.into_iter().find(|kind| name(*kind).eq_ignore_ascii_case(text))
}

/// As alerts carry it.
pub(super) fn name(kind: ThreatType) -> &'static str {
    match kind {
        ThreatType::DoS => "DoS",
        ThreatType::DDoS => "DDoS",
        ThreatType::PortScan => "PortScan",
        ThreatType::WebAttack => "WebAttack",
        ThreatType::Infiltration => "Infiltration",
        ThreatType::Bot => "Bot",
        ThreatType::BruteForce => "BruteForce",
        ThreatType::Exfiltration => "Exfiltration",
        ThreatType::Anomaly => "Anomaly",
    }
}
