//! Incidents by words, by likeness, and by both.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::index::{Index, Likeness};
use super::record::Incident;
use super::store::{self, COLUMNS};

/// Words of a question that count.
const MOST_WORDS: usize = 32;
/// Characters of a word that count.
const LONGEST_WORD: usize = 64;
/// Answers to a question.
const MOST_FOUND: usize = 500;
/// Looked at by either way before the two orders become one.
const DEPTH: usize = 200;
/// Incidents that are put in order for a question. Words are taken from the rarest on until they hold so many together; those
/// left count in the order, and choose nothing.
const CANDIDATES: usize = 10_000;
/// Of words that choose nothing so many count: each is looked for in all incidents, to know how rare it is.
const COMMON: usize = 2;
/// Reciprocal rank fusion: a place further down by this much counts half of the first. 60 is the value of Cormack, Clarke
/// and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
const FUSION: f64 = 60.0;

/// An incident that was found.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Found {
    /// The incident.
    pub incident: Incident,
    /// How alike, 0 to 1; absent where nothing was compared or it was found by words alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
}

/// Incidents that hold some of the words (their stems), best first by BM25; the title counts most. Of words that more than
/// [`CANDIDATES`] hold, the newest of these.
pub fn search(connection: &Connection, words: &str, limit: usize) -> rusqlite::Result<Vec<Incident>> {
    let Some(question) = question(connection, words)? else { return Ok(Vec::new()) };
    let columns =
        COLUMNS.split(", ").map(|column| format!("incidents.{column}")).collect::<Vec<_>>().join(", ");
    // Ordered before it is joined: a word that many hold would fetch as many incidents, to show a few.
    let sql = format!(
        "SELECT {columns} FROM (SELECT at, place FROM (SELECT rowid AS at, bm25(incident_text, 4, 4, 2, 2, 1, 1) AS place \
         FROM incident_text WHERE incident_text MATCH ? ORDER BY rowid DESC LIMIT {CANDIDATES}) \
         ORDER BY place, at DESC LIMIT ?) JOIN incidents ON incidents.number = at ORDER BY place, number DESC"
    );
    let limit = limit.min(MOST_FOUND) as i64;
    connection.prepare_cached(&sql)?.query_map(params![question, limit], store::incident)?.collect()
}

/// A question that few enough incidents answer; `None` where none does. A count to the bound costs little however many hold
/// the word.
fn question(connection: &Connection, words: &str) -> rusqlite::Result<Option<String>> {
    let mut count = connection.prepare_cached(&format!(
        "SELECT count(*) FROM (SELECT 1 FROM incident_text WHERE incident_text MATCH ? LIMIT {})",
        CANDIDATES + 1
    ))?;
    let mut held = Vec::new();
    for term in terms(words) {
        let holders: i64 = count.query_row([&term], |row| row.get(0))?;
        if holders > 0 {
            held.push((holders as usize, term));
        }
    }
    held.sort();
    let mut together = 0;
    let choosing = held.iter().take_while(|(holders, _)| {
        together += holders;
        together <= CANDIDATES
    });
    let choosing = choosing.count();
    let joined = |some: &[(usize, String)]| {
        some.iter().map(|(_, term)| term.as_str()).collect::<Vec<_>>().join(" OR ")
    };
    let all = joined(&held[..held.len().min(choosing + COMMON)]);
    Ok(match choosing {
        _ if held.is_empty() => None,
        0 => Some(all),
        _ if choosing == held.len() => Some(all),
        _ => Some(format!("({}) AND ({all})", joined(&held[..choosing]))),
    })
}

/// The incidents most like it, most alike first.
pub fn similar(
    connection: &Connection,
    index: &Index,
    likeness: &Likeness,
    limit: usize,
) -> rusqlite::Result<Vec<Found>> {
    let mut found = Vec::new();
    for similar in index.similar(likeness, limit.min(MOST_FOUND)) {
        // One that was removed a moment ago may still be in the index.
        if let Some(incident) = store::get(connection, &similar.id)? {
            found.push(Found { incident, similarity: Some(similar.similarity) });
        }
    }
    Ok(found)
}

/// Incidents by words, by likeness, or by both: then each has the sum of `1 / (60 + place)` over the two orders, and
/// the largest is first. Without either, the newest.
pub fn find(
    connection: &Connection,
    index: &Index,
    words: &str,
    likeness: Option<&Likeness>,
    limit: usize,
) -> rusqlite::Result<Vec<Found>> {
    let by_words = !terms(words).is_empty();
    let plain = |incidents: Vec<Incident>| {
        incidents.into_iter().map(|incident| Found { incident, similarity: None }).collect()
    };
    match likeness {
        None if by_words => search(connection, words, limit).map(plain),
        None => store::list(connection, &store::Filter::default(), None, limit.min(MOST_FOUND)).map(plain),
        Some(likeness) if !by_words => similar(connection, index, likeness, limit),
        Some(likeness) => {
            let worded = plain(search(connection, words, DEPTH)?);
            let alike = similar(connection, index, likeness, DEPTH)?;
            Ok(fused(worded, alike, limit))
        }
    }
}

fn fused(worded: Vec<Found>, alike: Vec<Found>, limit: usize) -> Vec<Found> {
    let mut sums: HashMap<i64, (f64, Found)> = HashMap::new();
    for order in [alike, worded] {
        for (place, found) in order.into_iter().enumerate() {
            let part = 1.0 / (FUSION + place as f64 + 1.0);
            sums.entry(found.incident.number).or_insert((0.0, found)).0 += part;
        }
    }
    let mut sums: Vec<(f64, Found)> = sums.into_values().collect();
    sums.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.incident.number.cmp(&a.1.incident.number)));
    sums.into_iter().take(limit.min(MOST_FOUND)).map(|(_, found)| found).collect()
}

/// The terms of a question in FTS5's language. Each word is quoted, so that none is an operator. The last one may be the
/// beginning of a word: somebody is still typing.
fn terms(text: &str) -> Vec<String> {
    let words = words(text);
    let begun = words.last().filter(|last| last.chars().count() >= 3).map(|last| format!("\"{last}\" *"));
    let mut terms: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).chain(begun).collect();
    terms.sort();
    terms.dedup();
    terms
}

/// The words of a text, as they are stored: letters and digits, nothing else.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MOST_WORDS)
        .map(|word| word.chars().take(LONGEST_WORD).collect())
        .collect()
}
