//! What lists are written in, to items. Everything is read as data that anybody may have written: what is not understood is
//! counted, and a list that is no list at all is an error.

mod csv;
pub mod misp;
mod plain;
pub mod stix;

use super::config::{FeedConfig, FeedKind};
use super::item::{Item, Refused};

/// Why a list cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Not what it should be.
    #[error("it is not {expected}: {reason}")]
    Malformed {
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// More than half of it says nothing.
    #[error("{malformed} of its {lines} lines are neither a network, a domain nor a JA4 fingerprint")]
    NotAList {
        /// Lines that say nothing.
        malformed: u64,
        /// All of them.
        lines: u64,
    },
    /// No column has a usual name.
    #[error("none of its columns is called {wanted}: set the feed's column to one of {there}")]
    NoColumn {
        /// What was looked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// Nothing at all: a list that was emptied says so with a comment or an empty bundle.
    #[error("it is empty")]
    Empty,
}

/// What a list says.
#[derive(Debug, Default)]
pub struct Parsed {
    /// What was understood.
    pub items: Vec<Item>,
    /// What was not.
    pub refused: Refused,
    /// Parts that the list took back.
    pub withdrawn: Vec<String>,
}

/// Reads a list that is one text. `now`: seconds since the Unix epoch.
pub fn read(config: &FeedConfig, bytes: &[u8], now: u64) -> Result<Parsed, FormatError> {
    if bytes.is_empty() {
        return Err(FormatError::Empty);
    }
    match config.kind {
        FeedKind::Plain => plain::read(bytes),
        FeedKind::Csv => csv::read(bytes, &config.column),
        FeedKind::Misp => misp::event(bytes),
        FeedKind::Stix | FeedKind::Taxii => stix::bundle(bytes, now),
    }
}

/// A text of which most is refused is another kind of text: an error page, a login.
fn mostly_a_list(parsed: Parsed) -> Result<Parsed, FormatError> {
    let (malformed, lines) = (parsed.refused.malformed, parsed.refused.malformed + parsed.items.len() as u64);
    if malformed > lines / 2 { Err(FormatError::NotAList { malformed, lines }) } else { Ok(parsed) }
}

#[cfg(test)]
mod tests;
