//! From text to a checked [`Config`]: every setting is tried alone, so that all problems are found at once.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;
use super::file::{from_file, read_file};
use super::schema::{Path, Schema, Step, document, dotted, nearest, steps};
use crate::capture::Mode;
use crate::telemetry::printable;

/// Read when no other file is named; it may be missing.
pub const DEFAULT_PATH: &str = "/etc/vesper/vesper.toml";
/// More are not shown: after that many the file is something else.
const MOST_PROBLEMS: usize = 50;
const ENVIRONMENT_PREFIX: &str = "VESPER_";

/// What the command line sets.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--interface`.
    pub interface: Option<String>,
    /// `--mode`.
    pub mode: Option<Mode>,
}

/// A configuration that is fit to run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// What is odd, but no reason to stop.
    pub warnings: Vec<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written: `file:line`, `environment VESPER_...`, `--flag`; empty for none of these.
    pub origin: String,
    /// Setting, value and remedy.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.origin, self.text)
        }
    }
}

/// Everything that is wrong with the configuration. The process ends with exit code 78.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "the configuration has {count} problem{}:", if count == 1 { "" } else { "s" })?;
        for problem in self.problems.iter().take(MOST_PROBLEMS) {
            write!(f, "\n  {problem}")?;
        }
        if count > MOST_PROBLEMS {
            write!(f, "\n  and {} more", count - MOST_PROBLEMS)?;
        }
        Ok(())
    }
}

/// One setting as it was written.
pub(super) struct Setting {
    pub path: Path,
    pub value: Value,
    pub origin: String,
}

/// Reads the settings: defaults, `file` (or [`DEFAULT_PATH`], where it exists), `environment`, `overrides`.
pub fn load(
    file: Option<&FilePath>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Loaded, ConfigError> {
    let schema = Schema::of_config();
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut settings = Vec::new();
    let read = read_file(file, &mut problems);
    if let Some((name, text)) = &read {
        from_file(name, text, &schema, &mut settings, &mut problems);
    }
    from_environment(environment, &schema, &mut settings, &mut problems, &mut warnings);
    from_flags(overrides, &mut settings);
    let config = merge(settings, &mut problems);
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    Ok(Loaded { config, file: read.map(|(name, _)| name), warnings })
}

fn from_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    schema: &Schema,
    settings: &mut Vec<Setting>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) {
    let names: Vec<(String, String)> =
        schema.settings().into_iter().map(|setting| (variable(&setting), setting)).collect();
    let mut given: Vec<(String, String)> =
        environment.into_iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
    given.sort();
    for (name, text) in given {
        let origin = format!("environment {}", printable(&name, 100));
        if let Some((_, setting)) = names.iter().find(|(known, _)| *known == name) {
            let path = steps(setting);
            // Text first: an interface may be called `1`.
            let written = Value::String(text.clone());
            let value = match check(&path, &written) {
                Ok(()) => written,
                Err(_) => value_of(&text).unwrap_or(written),
            };
            settings.push(Setting { path, value, origin });
        } else if let Some(near) = nearest(&name, names.iter().map(|(known, _)| known.as_str())) {
            problems.push(Problem { origin, text: format!("no such setting; did you mean {near}?") });
        } else {
            // Orchestrators set variables of their own, such as VESPER_SERVICE_HOST.
            warnings.push(format!("{origin}: is no setting of vesper and changes nothing"));
        }
    }
}

fn variable(setting: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", setting.replace('.', "_").to_ascii_uppercase())
}

fn value_of(text: &str) -> Option<Value> {
    format!("value = {text}").parse::<Table>().ok()?.remove("value")
}

fn from_flags(overrides: &Overrides, settings: &mut Vec<Setting>) {
    let mut set = |setting: &str, flag: &str, value: String| {
        settings.push(Setting { path: steps(setting), value: Value::String(value), origin: flag.to_owned() });
    };
    if let Some(interface) = &overrides.interface {
        set("capture.interface", "--interface", interface.clone());
    }
    if let Some(mode) = overrides.mode {
        let mode = match mode {
            Mode::Mirror => "mirror",
            Mode::Host => "host",
        };
        set("capture.mode", "--mode", mode.to_owned());
    }
}

/// Whether `value` may stand at `path`.
fn check(path: &[Step], value: &Value) -> Result<(), String> {
    match Config::deserialize(document(path, value.clone())) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.message().lines().next().unwrap_or_default().to_owned()),
    }
}

/// Puts the settings together, later ones over earlier ones, without those that are wrong.
fn merge(settings: Vec<Setting>, problems: &mut Vec<Problem>) -> Config {
    let mut kept: Vec<Setting> = Vec::new();
    for setting in settings {
        match check(&setting.path, &setting.value) {
            Err(error) => problems.push(Problem {
                text: format!("{} = {}: {error}", dotted(&setting.path), shown(&setting)),
                origin: setting.origin,
            }),
            Ok(()) => {
                kept.retain(|earlier| !earlier.path.starts_with(&setting.path));
                kept.push(setting);
            }
        }
    }
    let mut root = Value::Table(Table::new());
    for setting in &kept {
        insert(&mut root, &setting.path, setting.value.clone());
    }
    let config = match Config::deserialize(root) {
        Ok(config) => config,
        Err(error) => {
            problems.push(Problem { origin: String::new(), text: printable(error.message(), 200) });
            return Config::default();
        }
    };
    for text in config.problems() {
        let key = text.split([' ', ':']).next().unwrap_or_default();
        let origin =
            kept.iter().find(|setting| dotted(&setting.path) == key).map(|setting| setting.origin.clone());
        problems.push(Problem { origin: origin.unwrap_or_default(), text });
    }
    config
}

/// The value as a message may show it: an address can hold a password.
fn shown(setting: &Setting) -> String {
    let text = setting.value.to_string();
    if text.contains("://") { "(an address)".to_owned() } else { printable(&text, 60) }
}

fn insert(root: &mut Value, path: &[Step], value: Value) {
    let Some((step, rest)) = path.split_first() else {
        *root = value;
        return;
    };
    match (step, root) {
        (Step::Key(key), Value::Table(table)) => {
            let empty = match rest.first() {
                Some(Step::Index(_)) => Value::Array(Vec::new()),
                _ => Value::Table(Table::new()),
            };
            insert(table.entry(key.clone()).or_insert(empty), rest, value);
        }
        (Step::Index(index), Value::Array(list)) => {
            while list.len() <= *index {
                list.push(Value::Table(Table::new()));
            }
            if let Some(element) = list.get_mut(*index) {
                insert(element, rest, value);
            }
        }
        // Paths come from one document or were checked against the schema: the shapes agree.
        _ => {}
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
