//! What a capture came to: the same object for a session, a job, and the older `/analyze-pcap`.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::Alert;
use crate::status::rfc3339;

/// Threats in a result; more are counted.
pub(super) const MOST_THREATS: usize = 1000;
/// Points of the timeline.
const POINTS: u64 = 60;

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaptureResult)]
pub(in crate::api) struct Outcome {
    /// What there was.
    pub totals: Totals,
    /// What was found, oldest first, at most 1000.
    #[schema(value_type = Vec<Object>)]
    pub threats: Vec<Alert>,
    /// Threats by type, all of them.
    pub breakdown: BTreeMap<String, u64>,
    /// Threats over the time of the capture.
    pub timeline: Vec<Moment>,
    /// Whether the end is missing.
    pub truncated: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What there was.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = CaptureTotals)]
pub(in crate::api) struct Totals {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Flows.
    pub flows: u64,
    /// Windows scored.
    pub windows: u64,
    /// Threats found.
    pub threats: u64,
    /// Seconds of traffic.
    pub duration_s: f64,
}

/// A part of the time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::api) struct Moment {
    /// RFC 3339: when it began.
    time: String,
    /// Threats found in it.
    threats: u64,
}

/// Types of threats with their numbers.
pub(super) fn breakdown<'a>(alerts: impl Iterator<Item = &'a Alert>) -> BTreeMap<String, u64> {
    let mut breakdown = BTreeMap::new();
    for alert in alerts {
        *breakdown.entry(format!("{:?}", alert.threat_type)).or_default() += 1;
    }
    breakdown
}

/// Threats in up to [`POINTS`] equal parts of the time between two moments, nanoseconds since the Unix epoch.
pub(super) fn timeline(alerts: &[Alert], first: u64, last: u64) -> Vec<Moment> {
    if last <= first {
        return Vec::new();
    }
    let step = (last - first).div_ceil(POINTS).max(1_000_000_000);
    let parts = (last - first).div_ceil(step).max(1);
    let mut counts = vec![0u64; parts as usize];
    for alert in alerts {
        let Some(time) = parse(&alert.timestamp) else { continue };
        let part = (time.saturating_sub(first) / step).min(parts - 1);
        counts[part as usize] += 1;
    }
    let moment =
        |(part, threats): (usize, u64)| Moment { time: rfc3339(first + part as u64 * step), threats };
    counts.into_iter().enumerate().map(moment).collect()
}

/// Nanoseconds since the Unix epoch of a time that we wrote.
pub(super) fn parse(time: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(time).ok()?;
    u64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos()).ok()
}
