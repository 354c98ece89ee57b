//! Incidents from a file: JSON (a list, or one object), JSON lines, or CSV with the names of the fields in its first line.
//!
//! A file is taken whole or not at all: all problems are told at once, each with its line.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::{Draft, Origin, Written};
use crate::telemetry::printable;

/// A file is read this far.
const LARGEST: u64 = 64 << 20;
/// Incidents of one file.
const MOST: usize = 100_000;
/// Problems that are shown.
const SHOWN: usize = 20;

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file system says no.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Too large.
    #[error("{0} is larger than 64 MiB: split it")]
    Large(PathBuf),
    /// Not a kind of file that is known by its name.
    #[error("{0} ends with none of .json, .jsonl, .csv: name it after what it holds")]
    Kind(PathBuf),
    /// What it holds.
    #[error("{path}: nothing was imported: {problems}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Each on a line.
        problems: String,
    },
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A list of objects, or one.
    Json,
    /// One object a line.
    Lines,
    /// Comma separated, the first line names the fields.
    Csv,
}

/// All incidents of a file, checked.
pub fn read(path: &Path) -> Result<Vec<Draft>, ImportError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let format = match extension.to_ascii_lowercase().as_str() {
        "json" => Format::Json,
        "jsonl" | "ndjson" => Format::Lines,
        "csv" => Format::Csv,
        _ => return Err(ImportError::Kind(path.to_owned())),
    };
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text))
        .map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    if text.len() as u64 > LARGEST {
        return Err(ImportError::Large(path.to_owned()));
    }
    parse(&text, format, Origin::Imported).map_err(|mut problems| {
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        let problems = problems.iter().map(|problem| format!("\n  {problem}")).collect();
        ImportError::Content { path: path.to_owned(), problems }
    })
}

/// All incidents of a text, or all that is wrong with it.
pub fn parse(text: &[u8], format: Format, origin: Origin) -> Result<Vec<Draft>, Vec<String>> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = 1 + text.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        vec![format!("line {line}: not UTF-8 text: save it as UTF-8")]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found = match format {
        Format::Json => json(text),
        Format::Lines => lines(text),
        Format::Csv => csv(text),
    };
    let mut drafts = Vec::new();
    let mut problems = Vec::new();
    for (place, written) in found {
        let draft =
            written.and_then(|written| Draft::new(written, origin).map_err(|error| error.to_string()));
        match draft {
            Ok(draft) => drafts.push(draft),
            Err(problem) => problems.push(format!("{place}: {}", printable(&problem, 300))),
        }
    }
    if drafts.len() > MOST {
        problems.push(format!("{} incidents: at most {MOST} in a file", drafts.len()));
    }
    if drafts.is_empty() && problems.is_empty() {
        problems.push("line 1: there is no incident in it".to_owned());
    }
    if problems.is_empty() { Ok(drafts) } else { Err(problems) }
}

/// Where in the file, and what is there.
type Places = Vec<(String, Result<Written, String>)>;

fn json(text: &str) -> Places {
    let begins = text.find(|c: char| !c.is_whitespace());
    let list = begins.is_some_and(|at| text[at..].starts_with('['));
    // Read into the structs at once, so that serde tells the line of what is wrong.
    let read =
        if list { serde_json::from_str(text) } else { serde_json::from_str(text).map(|one| vec![one]) };
    match read {
        Ok(all) => all
            .into_iter()
            .enumerate()
            .map(|(at, written)| (format!("incident {}", at + 1), Ok(written)))
            .collect(),
        Err(error) => vec![(format!("line {}", error.line()), Err(reason(&error)))],
    }
}

fn lines(text: &str) -> Places {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            (format!("line {}", at + 1), serde_json::from_str(line).map_err(|error| reason(&error)))
        })
        .collect()
}

/// What serde says, without its own count of lines.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    format!("{said} (column {})", error.column())
}

fn csv(text: &str) -> Places {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = match reader.headers() {
        Ok(names) => names.clone(),
        Err(error) => return vec![("line 1".to_owned(), Err(error.to_string()))],
    };
    let mut places = Places::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                places.push((format!("line {line}"), fields(&names, &record)));
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                places.push((format!("line {line}"), Err(error.to_string())));
            }
        }
    }
    places
}

/// A line of CSV as the object that JSON would have; empty fields are absent, columns of other names are features.
fn fields(names: &csv::StringRecord, record: &csv::StringRecord) -> Result<Written, String> {
    let mut object = serde_json::Map::new();
    let mut features = BTreeMap::new();
    for (name, text) in names.iter().zip(record).filter(|(_, text)| !text.is_empty()) {
        let number = || text.parse::<u64>().map_err(|_error| format!("{name}: {text:?} is no whole number"));
        if name.contains('.') {
            let value = text.parse::<f32>().map_err(|_error| format!("{name}: {text:?} is no number"))?;
            features.insert(name.to_owned(), value);
        } else if ["port", "worked", "failed"].contains(&name) {
            object.insert(name.to_owned(), Value::from(number()?));
        } else {
            object.insert(name.to_owned(), Value::from(text));
        }
    }
    let mut written: Written =
        serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())?;
    written.features = features;
    Ok(written)
}
