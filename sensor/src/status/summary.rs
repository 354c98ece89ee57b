//! The summary object: printed when a run ends, served while it lasts.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::{CaptureStatus, ModelState, Rates, Status};
use crate::alert::ThreatType;
use crate::capture::Queue;
use crate::capture::nic::counters::NicCounters;
use crate::sinks::SinkStatus;

/// One object that says what happened.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// Packets seen.
    pub packets: u64,
    /// Bytes seen.
    pub bytes: u64,
    /// Flows seen.
    pub flows: u64,
    /// Windows scored.
    pub windows: u64,
    /// New alerts.
    pub alerts: u64,
    /// RFC 3339, time of the first packet; absent when there was none.
    pub first: Option<String>,
    /// RFC 3339, time of the latest packet.
    pub last: Option<String>,
    /// Seconds between the two.
    pub duration_s: f64,
    /// Seconds the sensor has been running.
    pub elapsed_s: f64,
    /// New alerts by type.
    #[schema(value_type = std::collections::HashMap<String, u64>)]
    pub threats: BTreeMap<ThreatType, u64>,
    /// What the model is doing.
    pub state: ModelState,
    /// How far it is on the way to `active`, 0 to 1.
    pub progress: f64,
    /// How fast, over the last second.
    pub rates: Rates,
    /// What is left over in each equation.
    #[schema(value_type = std::collections::HashMap<String, i64>)]
    pub residue: BTreeMap<&'static str, i64>,
    /// The interface; absent in a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub nic: Option<NicSummary>,
    /// What became of the alerts.
    #[schema(value_type = Vec<Object>)]
    pub sinks: Vec<SinkStatus>,
    /// Whether the end of a capture is missing.
    pub truncated: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// The interface, what was done to it and what it counted.
#[derive(Clone, Debug, Serialize)]
pub struct NicSummary {
    /// Its name.
    pub interface: String,
    /// Whether the program runs in the driver; else in the network stack.
    pub native: bool,
    /// The receive queues in order; none in `host` mode.
    pub queues: Vec<Queue>,
    /// What was changed for as long as the sensor runs, and what the driver refused.
    pub prepared: Vec<String>,
    /// What it counted since the start.
    #[serde(flatten)]
    pub counters: NicCounters,
}

impl NicSummary {
    fn of(capture: &CaptureStatus) -> NicSummary {
        NicSummary {
            interface: capture.interface.clone(),
            native: capture.native,
            queues: capture.queues.clone(),
            prepared: capture.prepared.clone(),
            counters: capture.nic.clone(),
        }
    }
}

impl From<&Status> for Summary {
    fn from(status: &Status) -> Summary {
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
        let time = |nanoseconds: u64| (nanoseconds != 0).then(|| rfc3339(nanoseconds));
        Summary {
            packets: status.ledger.totals.seen.packets,
            bytes: status.ledger.totals.seen.bytes,
            flows: status.flow.total,
            windows: status.ledger.scoring.scored,
            alerts: status.ledger.alerts.stored,
            first: time(status.first_packet),
            last: time(status.last_packet),
            duration_s: seconds(status.first_packet, status.last_packet),
            elapsed_s: seconds(status.started, status.time),
            threats: status.threats.clone(),
            state: status.score.state,
            progress: status.score.progress,
            rates: status.rates,
            residue: status.residues().collect(),
            nic: status.capture.as_ref().map(NicSummary::of),
            sinks: status.sinks.clone(),
            truncated: status.truncated,
            warnings: status.warnings.clone(),
        }
    }
}

/// RFC 3339 in UTC with microseconds, of nanoseconds since the Unix epoch.
pub fn rfc3339(nanoseconds: u64) -> String {
    humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_nanos(nanoseconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_799, "2000-02-29T23:59:59.000000Z"),
            (1_761_220_800, "2025-10-23T12:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000), text);
        }
        assert_eq!(rfc3339(1_500_000), "1970-01-01T00:00:00.001500Z");
    }
}
