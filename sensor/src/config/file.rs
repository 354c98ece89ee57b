//! The configuration file: text to settings, each with the line it stands on.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::load::{DEFAULT_PATH, Problem, Setting};
use super::schema::{Path, Schema, Step, dotted, nearest};
use crate::telemetry::printable;

/// A configuration is text that a person wrote.
const LARGEST_FILE: u64 = 1 << 20;

/// The text of the file; `None` when it is not there and was not asked for, or when there is a problem with it.
pub(super) fn read_file(file: Option<&FilePath>, problems: &mut Vec<Problem>) -> Option<(PathBuf, String)> {
    let path = file.unwrap_or(FilePath::new(DEFAULT_PATH));
    let mut refuse = |text: String| problems.push(Problem { origin: path.display().to_string(), text });
    let opened = match std::fs::File::open(path) {
        Ok(opened) => opened,
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            refuse(format!(
                "cannot be opened: {error}; name another file with --config, or none for the defaults"
            ));
            return None;
        }
    };
    let mut bytes = Vec::new();
    if let Err(error) = opened.take(LARGEST_FILE + 1).read_to_end(&mut bytes) {
        refuse(format!("cannot be read: {error}"));
        return None;
    }
    if bytes.len() as u64 > LARGEST_FILE {
        refuse(format!("is larger than {LARGEST_FILE} bytes: this is not a configuration of vesper"));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some((path.to_owned(), text)),
        Err(error) => {
            refuse(format!(
                "is not UTF-8 text at byte {}: save it as UTF-8",
                error.utf8_error().valid_up_to()
            ));
            None
        }
    }
}

/// Adds the settings that `text` holds.
pub(super) fn from_file(
    name: &FilePath,
    text: &str,
    schema: &Schema,
    settings: &mut Vec<Setting>,
    problems: &mut Vec<Problem>,
) {
    let origin = |at: usize| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        format!("{}:{line}", name.display())
    };
    let (tree, errors) = DeTable::parse_recoverable(text);
    let values = match text.parse::<Table>() {
        Ok(values) if errors.is_empty() => values,
        _ => {
            problems.extend(errors.iter().map(|error| Problem {
                origin: origin(error.span().map_or(0, |span| span.start)),
                text: format!("not valid TOML: {}", printable(error.message(), 200)),
            }));
            if errors.is_empty() {
                problems.push(Problem { origin: origin(0), text: "not valid TOML".to_owned() });
            }
            return;
        }
    };
    let mut leaves = Vec::new();
    leaves_of_table(tree.get_ref(), &Vec::new(), &mut leaves);
    let mut unknown = BTreeSet::new();
    for (path, at) in leaves {
        let (known, siblings) = schema.known(&path);
        if known < path.len() {
            if let Some(unknown_path) = path.get(..=known)
                && unknown.insert(dotted(unknown_path))
            {
                problems
                    .push(Problem { origin: origin(at), text: unknown_key(unknown_path, siblings, schema) });
            }
        } else if let Some(value) = value_at(&values, &path) {
            settings.push(Setting { path, value, origin: origin(at) });
        }
    }
}

/// Every key that holds no table, with the place where it is written; an empty table is one too.
fn leaves_of_table(table: &DeTable<'_>, at: &Path, leaves: &mut Vec<(Path, usize)>) {
    for (key, value) in table {
        let path: Path = at.iter().cloned().chain([Step::Key(key.get_ref().to_string())]).collect();
        leaves_of_value(value, path, key.span().start, leaves);
    }
}

fn leaves_of_value(value: &Spanned<DeValue<'_>>, path: Path, key_at: usize, leaves: &mut Vec<(Path, usize)>) {
    match value.get_ref() {
        DeValue::Table(table) if !table.is_empty() => leaves_of_table(table, &path, leaves),
        DeValue::Array(list) if list.iter().any(|element| element.get_ref().is_table()) => {
            for (index, element) in list.iter().enumerate() {
                let path = path.iter().cloned().chain([Step::Index(index)]).collect();
                leaves_of_value(element, path, element.span().start, leaves);
            }
        }
        _ => leaves.push((path, key_at)),
    }
}

fn value_at(values: &Table, path: &[Step]) -> Option<Value> {
    let (first, rest) = path.split_first()?;
    let Step::Key(key) = first else { return None };
    let value = rest.iter().try_fold(values.get(key)?, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })?;
    Some(value.clone())
}

fn unknown_key(path: &[Step], siblings: &[String], schema: &Schema) -> String {
    let Some((Step::Key(key), parent)) = path.split_last() else {
        return format!("unknown key {}", dotted(path));
    };
    let settings = schema.settings();
    let elsewhere = || settings.iter().find(|setting| setting.rsplit('.').next() == Some(key));
    let place = |name: &str| dotted(&[parent, &[Step::Key(name.to_owned())]].concat());
    let remedy = match nearest(key, siblings.iter().map(String::as_str)) {
        Some(name) => format!("did you mean {}?", place(name)),
        None => match elsewhere() {
            Some(setting) => format!("did you mean {setting}?"),
            None => format!("known here: {}", siblings.join(", ")),
        },
    };
    format!("unknown key {}; {remedy}", printable(&dotted(path), 100))
}
