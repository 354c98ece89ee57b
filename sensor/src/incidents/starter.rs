//! The incidents that come with the sensor, so that the first alert has an answer.

use rusqlite::Transaction;
use serde::Deserialize;

use super::record::{Draft, Origin, Unfit, Written};
use super::store;

const TEXT: &str = include_str!("starter.toml");
/// Key in `meta`: they were loaded once, and are not loaded again for whoever removed them.
const LOADED: &str = "incidents_starter";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    incident: Vec<Written>,
}

/// Loads them into a table that never held an incident; how many.
pub(super) fn load(transaction: &Transaction<'_>, now: i64, max: u64) -> rusqlite::Result<usize> {
    if store::counter(transaction, LOADED)? > 0 || store::count(transaction)? > 0 {
        return Ok(0);
    }
    store::next(transaction, LOADED)?;
    let drafts = drafts().unwrap_or_default();
    for draft in &drafts {
        store::add(transaction, draft, now, max)?;
    }
    Ok(drafts.len())
}

/// What is in the file. It is part of the program, and a test reads it.
pub(super) fn drafts() -> Result<Vec<Draft>, String> {
    let file: File = toml::from_str(TEXT).map_err(|error| error.to_string())?;
    let draft =
        |written: Written| Draft::new(written, Origin::Starter).map_err(|error: Unfit| error.to_string());
    file.incident.into_iter().map(draft).collect()
}
