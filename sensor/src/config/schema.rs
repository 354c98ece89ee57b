//! Which keys there are, asked of serde itself, so that the list cannot differ from the structs.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;

/// No setting has this name: serde names the ones there are when it is asked for it.
const PROBE: &str = "?";

/// One step into the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of a table.
    Key(String),
    /// An element of a list of tables.
    Index(usize),
}

/// A place in the configuration.
pub(super) type Path = Vec<Step>;

/// `sinks.webhook[0].url`.
pub(super) fn dotted(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// A document with nothing in it but `value` at `path`.
pub(super) fn document(path: &[Step], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, step| match step {
        Step::Key(key) => Value::Table(Table::from_iter([(key.clone(), inner)])),
        Step::Index(_) => Value::Array(vec![inner]),
    })
}

/// Every table of the configuration, by its dotted path (lists of tables without index), with its keys.
pub(super) struct Schema {
    tables: BTreeMap<String, Vec<String>>,
}

impl Schema {
    /// Asks serde.
    pub(super) fn of_config() -> Schema {
        let mut schema = Schema { tables: BTreeMap::new() };
        schema.descend(&Vec::new());
        schema
    }

    fn descend(&mut self, path: &Path) {
        for element in [None, Some(Step::Index(0))] {
            let table: Path = path.iter().cloned().chain(element).collect();
            let probe: Path = table.iter().cloned().chain([Step::Key(PROBE.to_owned())]).collect();
            let Some(keys) = known_keys(&probe) else { continue };
            for key in &keys {
                self.descend(&table.iter().cloned().chain([Step::Key(key.clone())]).collect());
            }
            self.tables.insert(without_indices(&table), keys);
            return;
        }
    }

    /// How many steps of `path` are known, and what is known where it ends.
    pub(super) fn known(&self, path: &[Step]) -> (usize, &[String]) {
        let mut table = "";
        let mut dotted = String::new();
        for (depth, step) in path.iter().enumerate() {
            let Step::Key(key) = step else { continue };
            // A value of a table's shape where no table belongs is a matter of types, not of names.
            let Some(keys) = self.tables.get(table) else { break };
            if !keys.contains(key) {
                return (depth, keys);
            }
            dotted = if dotted.is_empty() { key.clone() } else { format!("{dotted}.{key}") };
            table = &dotted;
        }
        (path.len(), &[])
    }

    /// Every setting that is not a table, dotted; a list of tables counts as one setting.
    pub(super) fn settings(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (table, keys) in &self.tables {
            for key in keys {
                let path = if table.is_empty() { key.clone() } else { format!("{table}.{key}") };
                let list =
                    known_keys(&[steps(&path), vec![Step::Index(0), Step::Key(PROBE.to_owned())]].concat());
                let inside_list = self.tables.contains_key(table)
                    && !table.is_empty()
                    && known_keys(&[steps(table), vec![Step::Key(PROBE.to_owned())]].concat()).is_none();
                if (!self.tables.contains_key(&path) || list.is_some()) && !inside_list {
                    all.push(path);
                }
            }
        }
        all
    }
}

/// Splits `capture.mode`.
pub(super) fn steps(dotted: &str) -> Path {
    dotted.split('.').map(|key| Step::Key(key.to_owned())).collect()
}

fn without_indices(path: &[Step]) -> String {
    let keys: Vec<Step> = path.iter().filter(|step| matches!(step, Step::Key(_))).cloned().collect();
    dotted(&keys)
}

/// The keys beside `probe`, which is not one; `None` where no table belongs.
fn known_keys(probe: &[Step]) -> Option<Vec<String>> {
    let error = Config::deserialize(document(probe, Value::Integer(0))).err()?;
    let message = error.message().strip_prefix("unknown field `?`, ")?;
    Some(message.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The candidate that `name` was most likely meant to be, if any is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = (name.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= near && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_setting_once() {
        let settings = Schema::of_config().settings();
        for name in ["state_dir", "capture.interface", "capture.sample.one_in", "sinks.webhook", "api.listen"]
        {
            assert_eq!(
                settings.iter().filter(|setting| *setting == name).count(),
                1,
                "{name} in {settings:?}"
            );
        }
        assert!(
            !settings.contains(&"capture".to_owned()) && !settings.contains(&"sinks.webhook.url".to_owned())
        );
    }

    #[test]
    fn nearest_name() {
        let names = ["eth0", "enp3s0", "lo"];
        assert_eq!(nearest("eht0", names), Some("eth0"));
        assert_eq!(nearest("enp3s1", names), Some("enp3s0"));
        assert_eq!(nearest("wlan0", names), None);
        assert_eq!(nearest("x", names), None);
    }
}
