//! `vesper incidents`: looks at what happened before, adds to it. Works beside a running sensor, which notices within a
//! second.

use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::json;

use super::args::{IncidentsArgs, IncidentsCommand};
use super::config::IncidentsConfig;
use super::import::{self, Format, ImportError};
use super::record::{Draft, Incident, Origin, Unfit, Written};
use super::store::{Filter, add, get, list, severity_name};
use super::{search, starter};
use crate::config::Config;
use crate::store::{Store, StoreError};
use crate::telemetry::printable;

/// More is nobody's incident.
const LONGEST_INPUT: u64 = 1 << 20;

/// `vesper incidents` failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// What was given.
    #[error("{0}")]
    Unfit(#[from] Unfit),
    /// What was on standard input.
    #[error("standard input: {0}")]
    Input(String),
    /// Nobody listens, or says anything.
    #[error("cannot read or write: {0}")]
    Io(#[from] io::Error),
}

/// Does what the command line says, at `now`, nanoseconds since the Unix epoch.
pub fn run(
    config: &Config,
    arguments: &IncidentsArgs,
    now: i64,
    input: &mut impl Read,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let store = open(config, now)?;
    let (json, incidents) = (arguments.json, &config.incidents);
    match &arguments.command {
        IncidentsCommand::List { limit } => {
            print(&store.read(|connection| list(connection, &Filter::default(), None, *limit))?, json, out)
        }
        IncidentsCommand::Search { words, limit } => {
            print(&store.read(|connection| search(connection, &words.join(" "), *limit))?, json, out)
        }
        IncidentsCommand::Add(flags) => add_one(&store, incidents, flags.written(), input, now, json, out),
        IncidentsCommand::Import { file } => import_file(&store, incidents, file, now, json, out),
    }?;
    Ok(out.flush()?)
}

/// Opens the store of the configuration, with what comes with the sensor if it is empty.
fn open(config: &Config, now: i64) -> Result<Store, CommandError> {
    let (store, notice) = Store::open(&config.store, &config.state_dir)?;
    if let Some(notice) = notice {
        tracing::error!("{notice}");
    }
    let IncidentsConfig { starter: wanted, max, .. } = config.incidents;
    if wanted {
        store.write(move |transaction| starter::load(transaction, now, max))?;
    }
    Ok(store)
}

/// Adds what `written` says, or, without it, one incident as JSON from `input`.
fn add_one(
    store: &Store,
    config: &IncidentsConfig,
    written: Option<Written>,
    input: &mut impl Read,
    now: i64,
    json: bool,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let draft = match written {
        Some(written) => Draft::new(written, Origin::User)?,
        None => {
            let mut text = Vec::new();
            input.take(LONGEST_INPUT).read_to_end(&mut text)?;
            let mut drafts = import::parse(&text, Format::Json, Origin::User)
                .map_err(|problems| CommandError::Input(problems.join("; ")))?;
            match drafts.len() {
                1 => drafts.remove(0),
                many => {
                    let text =
                        format!("{many} incidents: add takes one, `vesper incidents import` takes files");
                    return Err(CommandError::Input(text));
                }
            }
        }
    };
    let max = config.max;
    let incident = store.write(move |transaction| add(transaction, &draft, now, max))?;
    if json {
        writeln!(out, "{}", json!(incident))?;
    } else {
        writeln!(out, "added {}: {}", incident.id, printable(&incident.title, 200))?;
    }
    Ok(())
}

/// Adds what is in a file, all or nothing. An incident whose id is there already is left as it is.
fn import_file(
    store: &Store,
    config: &IncidentsConfig,
    path: &Path,
    now: i64,
    json: bool,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let drafts = import::read(path)?;
    let (all, max) = (drafts.len(), config.max);
    let added = store.write(move |transaction| {
        let mut added = 0;
        for draft in &drafts {
            let there = match &draft.written.id {
                Some(id) => get(transaction, id)?.is_some(),
                None => false,
            };
            if !there {
                add(transaction, draft, now, max)?;
                added += 1;
            }
        }
        Ok(added)
    })?;
    if json {
        writeln!(out, "{}", json!({ "added": added, "already_there": all - added }))?;
    } else {
        writeln!(out, "{added} added, {} were there already", all - added)?;
    }
    Ok(())
}

fn print(incidents: &[Incident], json: bool, out: &mut impl Write) -> Result<(), CommandError> {
    if json {
        for incident in incidents {
            writeln!(out, "{}", json!(incident))?;
        }
        return Ok(());
    }
    if incidents.is_empty() {
        writeln!(out, "no incident")?;
    }
    for incident in incidents {
        let Incident { id, origin, severity, worked, failed, .. } = incident;
        let date = incident.created_at.get(..10).unwrap_or_default();
        writeln!(
            out,
            "{id}  {date}  {}  {}  {}: {}",
            origin.name(),
            severity_name(*severity),
            printable(&incident.threat_type, 100),
            printable(&incident.title, 200)
        )?;
        for (name, text) in [
            ("seen", &incident.symptom),
            ("cause", &incident.root_cause),
            ("done", &incident.action),
            ("outcome", &incident.outcome),
        ] {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !text.is_empty() {
                writeln!(out, "    {name:8} {}", printable(&text, 4000))?;
            }
        }
        if worked + failed > 0 {
            writeln!(out, "    worked {worked} times, failed {failed} times")?;
        }
    }
    Ok(())
}
