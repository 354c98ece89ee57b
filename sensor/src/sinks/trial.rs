//! A test message through the real target: does what the configuration says work?

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::worker::clock;
use super::{Message, Outcome, SinksConfig, Told, configured};

/// A target that groups its messages may hold the test back for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A test could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is no such sink.
    #[error("there is no sink {name:?} in the configuration (there are: {known})")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// Sends a test message at `now`, an alert that says it is none, to one sink. Nothing of it is stored.
pub fn send(config: &SinksConfig, state_dir: &Path, name: &str, now: u64) -> Result<Outcome, TrialError> {
    let mut sinks = configured(config, state_dir);
    let known = || sinks.iter().map(|sink| sink.name.as_str()).collect::<Vec<_>>().join(", ");
    let Some(index) = sinks.iter().position(|sink| sink.name == name) else {
        return Err(TrialError::Unknown { name: crate::telemetry::printable(name, 60), known: known() });
    };
    let mut sink = sinks.swap_remove(index);
    let message = message(now);
    let deadline = clock() + PATIENCE;
    loop {
        let outcomes = sink.target.deliver(std::slice::from_ref(&message), sink.limits.timeout);
        let outcome = outcomes.into_iter().next();
        match outcome {
            Some(Outcome::Wait { after }) if clock() + after < deadline => std::thread::sleep(after),
            Some(outcome) => return Ok(outcome),
            None => return Ok(Outcome::Retry { error: "no outcome".to_owned(), after: None }),
        }
    }
}

fn message(now: u64) -> Message {
    let time = crate::alert::report::rfc3339(now);
    let about = format!("TEST_{now}");
    let json = serde_json::json!({
        "threat_id": about, "threat_type": "Anomaly", "severity": "low", "source_ip": "192.0.2.1",
        "destination_ip": "192.0.2.2", "source_port": 0, "destination_port": 0, "protocol": "TCP",
        "confidence": 0.0, "timestamp": time,
        "details": {
            "packet_count": 0, "total_bytes": 0, "duration": 0.0, "flags": [], "model_used": "none", "score": 0.0,
            "threshold": 0.0, "explanation": [], "community_id": "", "first_seen": time, "last_seen": time, "count": 1,
            "narrative": "This is a test of the notification, asked for by a person: nothing happened."
        },
        "state": "open", "acknowledged_at": null, "acknowledged_by": null, "resolved_at": null, "resolved_by": null,
        "resolution": null, "incident_id": null, "sequence": 0, "updated_at": time
    });
    Message { id: 0, event: 0, about, told: Told::Raised, json: Arc::from(json.to_string()) }
}
