//! Alerts to a file in the format of Suricata's EVE, one JSON object a line, for what already reads that.

use std::path::PathBuf;
use std::time::Duration;

use super::files::LineFile;
use super::{Message, Outcome, Target};
use crate::alert::{Alert, eve};

/// Lines written at once.
const BATCH: usize = 256;

/// The file.
#[derive(Debug)]
pub struct Eve(LineFile);

impl Eve {
    /// Nothing is opened yet.
    pub fn new(path: PathBuf, rotate_bytes: u64) -> Eve {
        Eve(LineFile::new(path, rotate_bytes))
    }
}

impl Target for Eve {
    fn deliver(&mut self, messages: &[Message], _timeout: Duration) -> Vec<Outcome> {
        let lines: Vec<Result<String, String>> = messages.iter().map(line).collect();
        let written = self.0.append(lines.iter().flatten().map(String::as_str));
        lines
            .into_iter()
            .map(|line| match (line, &written) {
                (Err(error), _) => Outcome::Refused { error },
                (Ok(_), Ok(())) => Outcome::Delivered,
                (Ok(_), Err(error)) => Outcome::Retry { error: error.clone(), after: None },
            })
            .collect()
    }

    fn batch(&self) -> usize {
        BATCH
    }
}

fn line(message: &Message) -> Result<String, String> {
    let alert: Alert = serde_json::from_str(&message.json)
        .map_err(|error| format!("is no alert, so no line of EVE: {error}"))?;
    Ok(crate::sinks::targets::harmless(eve::alert_record(&alert).to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::Told;
    use super::super::testing::{alert, message, of_alert};
    use super::*;

    #[test]
    fn one_line_an_alert_as_suricata_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        let mut eve = Eve::new(path.clone(), 1 << 20);
        let mut hostile = alert(2);
        hostile.details.narrative = "\u{1b}[2J\u{202e}evil\n".to_owned();
        let messages = [of_alert(1, &alert(1)), message(2, Told::System, "", "{}"), of_alert(3, &hostile)];
        let outcomes = eve.deliver(&messages, Duration::from_secs(1));
        assert!(matches!(
            outcomes.as_slice(),
            [Outcome::Delivered, Outcome::Refused { .. }, Outcome::Delivered]
        ));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.replace('\n', "").chars().any(crate::telemetry::is_hostile), "{text:?}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            r#"{"alert":{"action":"allowed","category":"PortScan","gid":1,"metadata":{"confidence":["0.900"],"score":["1"],"threat_id":["THREAT_20260101_001"],"threshold":["0.5"]},"rev":1,"severity":2,"signature":"PortScan: 10.0.0.1 tried 100 ports of 10.0.0.2","signature_id":0},"community_id":"1:abc=","dest_ip":"10.0.0.2","dest_port":443,"event_type":"alert","flow_id":1281431698127033,"proto":"TCP","src_ip":"10.0.0.1","src_port":40000,"timestamp":"2026-01-01T00:00:00Z"}"#
        );
    }
}
