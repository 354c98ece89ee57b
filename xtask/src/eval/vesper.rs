//! Vesper as a user runs it, and what it said.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::case::Case;
use super::outcome::{Alarm, BIN};
use crate::program;

/// Rows are few in some captures: what counts for the warm-up is time.
const LEAST_ROWS: u64 = 50;

/// How it is set for one run.
pub struct Settings<'a> {
    /// Alarms an hour.
    pub budget: f64,
    /// Of the model.
    pub seed: u64,
    /// Members left out.
    pub without: Option<&'a str>,
    /// Keep the rows.
    pub rows: bool,
}

/// What it said of a capture.
pub struct Said {
    /// Its alerts.
    pub alarms: Vec<Alarm>,
    /// Bins, by number since the epoch, with a row that belongs to an alert.
    pub marked: BTreeSet<u64>,
    /// When it began to alert: the first row in state `active`, nanoseconds since the Unix epoch.
    pub active: Option<u64>,
}

/// Runs it over the case; files go to `folder`.
pub fn run(sensor: &Path, case: &Case, settings: &Settings<'_>, folder: &Path) -> Result<Said> {
    let file = |end: &str| folder.join(format!("{}-{}{end}", case.set, case.name));
    let (config, alerts, scores) = (file(".toml"), file(".alerts.jsonl"), file(".scores.csv"));
    let rows = rows_of(case, folder);
    fs::write(&config, toml(case, settings)).with_context(|| format!("write {}", config.display()))?;
    let mut command = Command::new(sensor);
    command.args(["analyze", "--json", "--config"]).arg(&config).arg("--alerts").arg(&alerts);
    command.arg("--scores").arg(&scores).arg(&case.path);
    if settings.rows {
        command.arg("--rows").arg(rows);
    }
    let summary = program::output(&mut command)?;
    balanced(&summary)?;
    let (active, marked) = read_scores(&scores)?;
    let alarms = read_alerts(&alerts)?;
    Ok(Said { alarms, marked, active })
}

/// Where the rows of the last run over this case are.
pub fn rows_of(case: &Case, folder: &Path) -> PathBuf {
    folder.join(format!("{}-{}.rows.csv", case.set, case.name))
}

fn toml(case: &Case, settings: &Settings<'_>) -> String {
    let mut text = format!(
        "[score]\nwarmup_rows = {LEAST_ROWS}\nwarmup_time = \"{}s\"\ncalibration_rows = {LEAST_ROWS}\n\
         calibration_time = \"{}s\"\nseed = {}\n",
        case.learn, case.calibrate, settings.seed
    );
    if let Some(member) = settings.without {
        let _ = writeln!(text, "without = [\"{member}\"]");
    }
    let _ = writeln!(text, "\n[alert]\nbudget_per_hour = {}", settings.budget);
    text
}

/// A run whose ledger does not balance is a fault of the sensor, and no figure may rest on it.
fn balanced(summary: &str) -> Result<()> {
    let line = summary.lines().find(|line| line.starts_with('{')).context("the sensor gave no summary")?;
    let summary: Value = serde_json::from_str(line).context("read the sensor's summary")?;
    let residue = summary["residue"].as_object().context("the summary has no residues")?;
    match residue.iter().find(|(_, left)| left.as_i64() != Some(0)) {
        Some((equation, left)) => bail!("the ledger does not balance: {equation} {left}"),
        None => Ok(()),
    }
}

/// The alerts of a file.
pub fn read_alerts(path: &Path) -> Result<Vec<Alarm>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.lines().map(alarm).collect::<Result<_>>().with_context(|| format!("read {}", path.display()))
}

fn alarm(line: &str) -> Result<Alarm> {
    let alert: Value = serde_json::from_str(line).context("an alert is no JSON")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let time = nanos(&text(&alert["timestamp"])).context("an alert has no time")?;
    let until = nanos(&text(&alert["details"]["last_seen"])).unwrap_or(time).max(time);
    let hosts = ["source_ip", "destination_ip"].map(|field| text(&alert[field]));
    let hosts = hosts.into_iter().filter(|host| !host.is_empty()).collect();
    Ok(Alarm { time, until, kind: text(&alert["threat_type"]), hosts, fresh: true })
}

/// When the sensor became active, and the bins with rows of an alert.
fn read_scores(path: &Path) -> Result<(Option<u64>, BTreeSet<u64>)> {
    let file = File::open(path).with_context(|| format!("read {}", path.display()))?;
    let mut lines = BufReader::with_capacity(1 << 20, file).lines();
    let header = lines.next().context("no scores")??;
    let column = |name: &str| header.split(',').position(|column| column == name);
    let (Some(time), Some(state), Some(alerted)) = (column("window_end"), column("state"), column("alerted"))
    else {
        bail!("{} lacks a column", path.display());
    };
    let (mut active, mut marked) = (None, BTreeSet::new());
    for line in lines {
        let line = line?;
        let cells: Vec<&str> = line.split(',').collect();
        if cells.get(state) != Some(&"active") {
            continue;
        }
        let seconds: f64 =
            cells.get(time).and_then(|cell| cell.parse().ok()).context("a row without time")?;
        let time = (seconds * 1e9) as u64;
        active.get_or_insert(time);
        if cells.get(alerted) == Some(&"true") {
            marked.insert(time / BIN);
        }
    }
    Ok((active, marked))
}

/// Nanoseconds since the Unix epoch of an RFC 3339 time in UTC, from 1970 on.
pub fn nanos(text: &str) -> Option<u64> {
    let field = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let seconds = field(11, 13)? * 3600 + field(14, 16)? * 60 + field(17, 19)?;
    let fraction: String = text.get(19..)?.chars().filter(char::is_ascii_digit).take(9).collect();
    let nanos = format!("{fraction:0<9}").parse::<u64>().ok()?;
    // Days from the civil date, years beginning in March (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = (year * 365 + year / 4 - year / 100 + year / 400 + of_year).checked_sub(719_468)?;
    Some((days * 86_400 + seconds) * 1_000_000_000 + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_alerts_are_read() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2023-11-14T22:13:20.123Z", Some(1_700_000_000_123_000_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000_000)),
            ("2024-03-01T00:00:01.5Z", Some(1_709_251_201_500_000_000)),
            ("yesterday", None),
        ] {
            assert_eq!(nanos(text), wanted, "{text}");
        }
    }

    #[test]
    fn an_alert_says_when_what_and_who() {
        let line = r#"{"threat_type":"DoS","source_ip":"10.0.0.1","destination_ip":"",
            "timestamp":"1970-01-01T00:00:02.000Z","details":{"last_seen":"1970-01-01T00:00:09.000Z"}}"#;
        let alarm = alarm(&line.replace('\n', " ")).unwrap();
        assert_eq!((alarm.time, alarm.until), (2_000_000_000, 9_000_000_000));
        assert_eq!((alarm.kind.as_str(), alarm.hosts), ("DoS", vec!["10.0.0.1".to_owned()]));
    }

    #[test]
    fn a_residue_spoils_the_run() {
        assert!(balanced("{\"residue\":{\"wire\":0}}").is_ok());
        assert!(balanced("{\"residue\":{\"wire\":1}}").is_err());
        assert!(balanced("").is_err());
    }
}
