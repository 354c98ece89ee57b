//! `vesper alerts`: what is stored, for people and scripts, while the sensor runs or not.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rusqlite::Connection;
use serde_json::json;

use super::alerts::{self, AlertState, StoredAlert};
use super::ingest::now;
use super::list::{AlertFilter, list};
use super::{AlertsCommand, FilterArgs, StoreError, audit, evidence, open, outbox, verify};
use crate::alert::{Severity, ThreatType};
use crate::config::{Config, duration};
use crate::sinks::{Outcome, trial};
use crate::telemetry::printable;

/// `vesper alerts` failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// SQLite says no.
    #[error("the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Nobody listens.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// No sensor was here.
    #[error("there is no store at {0}: has a sensor run with this configuration (--config, state_dir)?")]
    NoStore(PathBuf),
    /// There is no such alert.
    #[error("there is no alert {0:?}: `vesper alerts list` lists them")]
    NoAlert(String),
    /// A value that means nothing.
    #[error("{option} {value:?} is not known: use {known}")]
    Value {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What there is.
        known: &'static str,
    },
    /// The file could not be written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No packet was kept.
    #[error("no packets are kept of {0}: it is about no sampled packet, or they made room for newer ones")]
    NoEvidence(String),
    /// The store was changed.
    #[error("{wrong} things in the store are not as the sensor left them")]
    Changed {
        /// How many.
        wrong: u64,
    },
    /// The sink.
    #[error(transparent)]
    Trial(#[from] trial::TrialError),
    /// The test message did not arrive.
    #[error("{sink}: {error}")]
    NotTaken {
        /// The sink.
        sink: String,
        /// What came back.
        error: String,
    },
}

/// Runs the command.
pub fn run(config: &Config, command: &AlertsCommand, out: &mut impl Write) -> Result<(), CommandError> {
    match command {
        AlertsCommand::List { filter, limit, json } => {
            show_list(&reader(config)?, &filter_of(filter)?, *limit, *json, out)
        }
        AlertsCommand::Show { threat_id, json, pcapng } => {
            show(&reader(config)?, threat_id, *json, pcapng.as_deref(), out)
        }
        AlertsCommand::Verify { json } => {
            let connection = reader(config)?;
            let one_state = connection.unchecked_transaction()?;
            prove(&one_state, *json, out)
        }
        AlertsCommand::Retry { sink } => retry(config, sink.as_deref(), out),
        AlertsCommand::Test { sink } => test(config, sink, out),
    }
}

fn path(config: &Config) -> Result<PathBuf, CommandError> {
    let path = config.state_dir.join(&config.store.path);
    if path.exists() { Ok(path) } else { Err(CommandError::NoStore(path)) }
}

fn reader(config: &Config) -> Result<Connection, CommandError> {
    let path = path(config)?;
    let connection = open::reader(&path)?;
    open::check(&connection, &path)?;
    Ok(connection)
}

fn filter_of(arguments: &FilterArgs) -> Result<AlertFilter, CommandError> {
    Ok(AlertFilter {
        threat_type: named::<ThreatType>("--type", arguments.kind.as_deref(), TYPES)?,
        severity: named::<Severity>(
            "--severity",
            arguments.severity.as_deref(),
            "low, medium, high, critical",
        )?,
        state: named::<AlertState>("--state", arguments.state.as_deref(), "open, acknowledged, resolved")?,
        source: arguments.source.map(|address| address.to_string()),
        destination: arguments.destination.map(|address| address.to_string()),
        host: arguments.host.map(|address| address.to_string()),
        words: arguments.words.clone(),
        since: time("--since", arguments.since.as_deref())?,
        until: time("--until", arguments.until.as_deref())?,
        min_score: arguments.min_score,
    })
}

const TYPES: &str = "DoS, DDoS, PortScan, WebAttack, Infiltration, Bot, BruteForce, Exfiltration, Anomaly";

/// The value that has this name, as it stands in JSON.
fn named<T: serde::de::DeserializeOwned>(
    option: &'static str,
    given: Option<&str>,
    known: &'static str,
) -> Result<Option<T>, CommandError> {
    let Some(given) = given else { return Ok(None) };
    let name = known.split(", ").find(|name| name.eq_ignore_ascii_case(given));
    name.and_then(|name| serde_json::from_value(json!(name)).ok())
        .map(Some)
        .ok_or_else(|| CommandError::Value { option, value: printable(given, 60), known })
}

/// A time, a day, or how long ago.
fn time(option: &'static str, given: Option<&str>) -> Result<Option<i64>, CommandError> {
    let Some(given) = given else { return Ok(None) };
    if let Ok(before) = duration::parse(given) {
        return Ok(Some(now().saturating_sub(i64::try_from(before.as_nanos()).unwrap_or(i64::MAX))));
    }
    let whole =
        if given.len() == "2026-11-21".len() { format!("{given}T00:00:00Z") } else { given.to_owned() };
    let time = humantime::parse_rfc3339_weak(&whole).ok();
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .map(Some)
        .ok_or_else(|| CommandError::Value {
            option,
            value: printable(given, 60),
            known: "2026-11-21T08:00:00Z, 2026-11-21, or 90m for so long ago",
        })
}

fn show_list(
    connection: &Connection,
    filter: &AlertFilter,
    limit: usize,
    json: bool,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let mut left = limit;
    let mut cursor = None;
    while left > 0 {
        let page = list(connection, filter, cursor, left.min(500))?;
        if left == limit && !json && !page.items.is_empty() {
            writeln!(
                out,
                "{:<22} {:<24} {:<12} {:<8} {:<12} {:>8} {:<39} DESTINATION",
                "ALERT", "TIME", "TYPE", "SEVERITY", "STATE", "SCORE", "SOURCE"
            )?;
        }
        for stored in &page.items {
            if json {
                writeln!(
                    out,
                    "{}",
                    super::events::harmless(&serde_json::to_string(stored).map_err(io::Error::other)?)
                )?;
            } else {
                line(stored, out)?;
            }
        }
        left -= page.items.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if left == limit && limit > 0 && !json {
        writeln!(out, "{}", if *filter == AlertFilter::default() { NONE_YET } else { NONE_FIT })?;
    }
    Ok(())
}

const NONE_YET: &str = "No alert is stored. The sensor raises them once its model is active (`vesper model info` says how \
    far it is). `vesper alerts test SINK` sends a test message to a sink; `vesper analyze FILE` looks for alerts in a capture.";
const NONE_FIT: &str = "No stored alert is like that; `vesper alerts list` without options shows all.";

fn line(stored: &StoredAlert, out: &mut impl Write) -> io::Result<()> {
    let alert = &stored.alert;
    let destination = match (alert.destination_ip.as_str(), alert.destination_port) {
        ("", 0) => String::new(),
        (address, 0) => address.to_owned(),
        (address, port) => format!("{address} {port}"),
    };
    writeln!(
        out,
        "{:<22} {:<24} {:<12} {:<8} {:<12} {:>8.3} {:<39} {destination}",
        alert.threat_id,
        alert.timestamp,
        alerts::type_name(alert.threat_type),
        alerts::severity_name(alert.severity as i64),
        stored.state.name(),
        alert.details.score,
        alert.source_ip,
    )
}

fn show(
    connection: &Connection,
    id: &str,
    json: bool,
    file: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let unknown = || CommandError::NoAlert(printable(id, 60));
    let stored = alerts::get(connection, id)?.ok_or_else(unknown)?;
    if let Some(path) = file {
        let packets = evidence::pcapng(connection, id, true)?;
        let packets = packets.ok_or_else(|| CommandError::NoEvidence(printable(id, 60)))?;
        std::fs::write(path, &packets)
            .map_err(|source| CommandError::File { path: path.to_owned(), source })?;
    }
    let packets = evidence::packets(connection, id)?;
    let sent = outbox::of_alert(connection, id)?;
    if json {
        let all = json!({ "alert": stored, "packets": packets, "notifications": sent });
        writeln!(out, "{}", super::events::harmless(&all.to_string()))?;
        return Ok(());
    }
    line(&stored, out)?;
    writeln!(out, "\n{}\n", printable(&stored.alert.details.narrative, 2000))?;
    let pretty = serde_json::to_string_pretty(&stored).map_err(io::Error::other)?;
    // Line breaks are ours: those within strings are escaped.
    for line in pretty.lines() {
        writeln!(out, "{}", super::events::harmless(line))?;
    }
    writeln!(out, "\nnotifications:")?;
    for row in &sent {
        writeln!(
            out,
            "  {:<20} {:<9} {:<9} attempts {} {}",
            row.sink, row.told, row.state, row.attempts, row.error
        )?;
    }
    writeln!(out, "\npackets:")?;
    for packet in &packets {
        writeln!(
            out,
            "  {} {:>5} {} > {} {} {}",
            packet.time, packet.length, packet.source, packet.destination, packet.protocol, packet.summary
        )?;
    }
    Ok(())
}

fn prove(connection: &Connection, json: bool, out: &mut impl Write) -> Result<(), CommandError> {
    let verdict = verify::verify(connection)?;
    if json {
        writeln!(out, "{}", serde_json::to_string(&verdict).map_err(io::Error::other)?)?;
    } else {
        for text in &verdict.breaks {
            writeln!(out, "{}", printable(text, 300))?;
        }
        if verdict.wrong > verdict.breaks.len() as u64 {
            writeln!(out, "and {} more", verdict.wrong - verdict.breaks.len() as u64)?;
        }
        if verdict.events == 0 && verdict.alerts == 0 && verdict.wrong == 0 {
            let left = if verdict.hash.is_empty() {
                "nothing was stored yet"
            } else {
                "retention removed all there was"
            };
            writeln!(out, "the store has no alerts and no events ({left}): there is nothing to verify")?;
            return Ok(());
        }
        writeln!(
            out,
            "{} events ({} to {}) and {} alerts were looked at, {} of them older than the events; the chain ends with {}",
            verdict.events, verdict.first, verdict.last, verdict.alerts, verdict.older, verdict.hash
        )?;
        if verdict.wrong == 0 {
            writeln!(out, "none was changed, removed or moved")?;
        }
    }
    if verdict.wrong == 0 { Ok(()) } else { Err(CommandError::Changed { wrong: verdict.wrong }) }
}

fn retry(config: &Config, sink: Option<&str>, out: &mut impl Write) -> Result<(), CommandError> {
    let mut connection = open::second_writer(&path(config)?)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let number = outbox::retry(&transaction, sink, now())?;
    audit::record(
        &transaction,
        "cli",
        "sink.retry",
        sink.unwrap_or("all"),
        &format!("{number} messages"),
        now(),
    )?;
    transaction.commit()?;
    writeln!(out, "{number} messages wait again; a sensor that runs tries them within a second")?;
    Ok(())
}

fn test(config: &Config, sink: &str, out: &mut impl Write) -> Result<(), CommandError> {
    let name = || printable(sink, 60);
    match trial::send(&config.sinks, &config.state_dir, sink, now().max(0).cast_unsigned())? {
        Outcome::Delivered => {
            writeln!(out, "{}: took the test message", name())?;
            Ok(())
        }
        Outcome::Wait { after } => {
            let error = format!("holds messages back for {} s more; nothing was sent", after.as_secs());
            Err(CommandError::NotTaken { sink: name(), error })
        }
        Outcome::Retry { error, .. } => Err(CommandError::NotTaken { sink: name(), error }),
        Outcome::Refused { error } => {
            Err(CommandError::NotTaken { sink: name(), error: format!("refused the test message: {error}") })
        }
    }
}
