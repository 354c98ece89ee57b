//! Many messages as one, with exact counts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::note::Note;
use super::{Message, Told};
use crate::alert::Severity;

/// Alerts that a summary names, the worst first; of the others it has the counts.
const NAMED: usize = 10;
/// Sources that it names, those with the most alerts first.
const SOURCES: usize = 10;

/// See the head of this file.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The first event in it.
    pub first_event: i64,
    /// The last.
    pub last_event: i64,
    /// Messages put together.
    pub messages: usize,
    /// Distinct alerts among them.
    pub alerts: usize,
    /// The worst of them.
    pub worst: Option<Severity>,
    /// Messages by what they tell.
    pub by_told: BTreeMap<&'static str, usize>,
    /// Alerts by type.
    pub by_type: Vec<(String, usize)>,
    /// Alerts by severity, worst first.
    pub by_severity: Vec<(Severity, usize)>,
    /// Alerts by source address, the first ones.
    pub by_source: Vec<(String, usize)>,
    /// Sources that are not in `by_source`.
    pub further_sources: usize,
    /// The worst and first of the alerts, then what is about none.
    pub named: Vec<Note>,
    /// Time of the first and of the last message.
    pub times: [String; 2],
}

impl Summary {
    /// Counts these.
    pub fn of(messages: &[Message]) -> Summary {
        let notes: Vec<Note> = messages.iter().map(Note::of).collect();
        let mut by_told = BTreeMap::new();
        let mut types = BTreeMap::new();
        let mut severities = BTreeMap::new();
        let mut sources = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut alerts = 0;
        for note in &notes {
            *by_told.entry(note.told.name()).or_default() += 1;
            let is_alert = matches!(note.told, Told::Raised | Told::Updated | Told::Resolved);
            if !is_alert || !seen.insert(note.id.clone()) {
                continue;
            }
            alerts += 1;
            *types.entry(note.kind.clone()).or_default() += 1;
            if let Some(severity) = note.severity {
                *severities.entry(severity).or_default() += 1;
            }
            *sources.entry(source_address(&note.source).to_owned()).or_default() += 1;
        }
        let by_source = most_first(sources);
        let time = |note: Option<&Note>| note.map(|note| note.time.clone()).unwrap_or_default();
        let mut named = notes.clone();
        named.sort_by_key(|note| (std::cmp::Reverse(note.severity), note.event));
        named.truncate(NAMED);
        Summary {
            first_event: notes.first().map_or(0, |note| note.event),
            last_event: notes.last().map_or(0, |note| note.event),
            messages: notes.len(),
            alerts,
            worst: severities.keys().next_back().copied(),
            by_told,
            by_type: most_first(types),
            by_severity: severities.into_iter().rev().collect(),
            further_sources: by_source.len().saturating_sub(SOURCES),
            by_source: by_source.into_iter().take(SOURCES).collect(),
            named,
            times: [time(notes.first()), time(notes.last())],
        }
    }

    /// `99 alerts: 60 PortScan, 39 DDoS`.
    pub fn headline(&self) -> String {
        if self.alerts == 0 {
            return format!("{} messages", self.messages);
        }
        format!("{} alerts: {}", self.alerts, list(&self.by_type))
    }

    /// `10.0.0.1 (60), 10.0.0.2 (39) and 3 further`.
    pub fn sources(&self) -> String {
        let named: Vec<String> = self
            .by_source
            .iter()
            .map(|(source, count)| {
                format!("{} ({count})", if source.is_empty() { "unknown" } else { source })
            })
            .collect();
        match self.further_sources {
            0 => named.join(", "),
            further => format!("{} and {further} further", named.join(", ")),
        }
    }

    /// `60 high, 39 low`.
    pub fn severities(&self) -> String {
        let parts: Vec<String> = self
            .by_severity
            .iter()
            .map(|(severity, count)| format!("{count} {}", format!("{severity:?}").to_lowercase()))
            .collect();
        parts.join(", ")
    }

    /// How many are not in `named`.
    pub fn unnamed(&self) -> usize {
        self.messages - self.named.len()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let counts = |list: &[(String, usize)]| list.iter().cloned().collect::<BTreeMap<_, _>>();
        json!({
            "summary": true,
            "messages": self.messages,
            "alerts": self.alerts,
            "told": self.by_told,
            "types": counts(&self.by_type),
            "severities": self.by_severity.iter().map(|(severity, count)| (*severity, *count)).collect::<BTreeMap<_, _>>(),
            "sources": counts(&self.by_source),
            "further_sources": self.further_sources,
            "first": self.times[0],
            "last": self.times[1],
            "threat_ids": self.named.iter().map(|note| &note.id).collect::<Vec<_>>(),
        })
    }
}

fn list(counts: &[(String, usize)]) -> String {
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

fn most_first(counts: BTreeMap<String, usize>) -> Vec<(String, usize)> {
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted
}

/// The address without the port.
fn source_address(source: &str) -> &str {
    match (source.strip_prefix('['), source.split_once(':')) {
        (Some(v6), _) => v6.split(']').next().unwrap_or_default(),
        (None, Some((v4, port))) if !port.contains(':') => v4,
        _ => source,
    }
}
