//! As much of PromQL as is needed to see which metrics and labels a query names.

use std::collections::{BTreeMap, BTreeSet};

/// A name in a query, with the matchers and the range behind it.
#[derive(Debug, PartialEq)]
pub struct Selector {
    pub name: String,
    /// Text between the braces.
    pub matchers: String,
    /// Text between the brackets behind it.
    pub range: Option<String>,
    /// The word before the bracket that it stands in: `rate`, `sum`.
    pub function: String,
}

const KEYWORDS: [&str; 12] = [
    "by",
    "on",
    "or",
    "and",
    "unless",
    "without",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "le",
];

/// Every metric that a query names, in order.
pub fn selectors(query: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut functions: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            rest = &rest[1 + rest[1..].find('"').expect("a string ends") + 1..];
        } else if c.is_ascii_alphabetic() || c == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after.trim_start();
            if matches!(name, "by" | "on" | "without" | "ignoring") {
                // Labels, see `grouping`; the word before stays: sum by (x) (...).
                rest = rest[rest.find(')').expect("labels end") + 1..].trim_start();
                continue;
            }
            name.clone_into(&mut word);
            let call = rest.starts_with('(') || rest.starts_with("by (") || rest.starts_with("without (");
            if !call && !KEYWORDS.contains(&name) {
                let matchers = between(&mut rest, '{', '}').unwrap_or_default();
                let range = between(&mut rest, '[', ']');
                let function = functions.last().cloned().unwrap_or_default();
                found.push(Selector { name: name.to_owned(), matchers, range, function });
            }
        } else if c.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            rest = rest.strip_prefix('-').filter(|rest| rest.starts_with('9')).unwrap_or(rest);
        } else {
            match c {
                '(' => functions.push(std::mem::take(&mut word)),
                ')' => drop(functions.pop()),
                _ => {}
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

fn between(rest: &mut &str, open: char, close: char) -> Option<String> {
    let inner = rest.strip_prefix(open)?;
    let end = inner.find(close).expect("it ends");
    *rest = &inner[end + 1..];
    Some(inner[..end].to_owned())
}

/// Labels in matchers.
pub fn labels(matchers: &str) -> impl Iterator<Item = &str> {
    let parts = matchers.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split(['=', '!']).next().unwrap_or(part).trim())
}

/// Labels in `by (...)` and `on (...)`.
pub fn grouping(query: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for keyword in ["by (", "on ("] {
        for part in query.split(keyword).skip(1) {
            let inner = part.split(')').next().unwrap_or_default();
            found.extend(inner.split(',').map(str::trim).filter(|label| !label.is_empty()));
        }
    }
    found
}

/// What a query names and nobody has.
pub fn unknown(query: &str, known: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let (mut wrong, mut of_all) = (Vec::new(), BTreeSet::new());
    for selector in selectors(query) {
        let Some(has) = known.get(&selector.name) else {
            wrong.push(format!("there is no metric {}", selector.name));
            continue;
        };
        of_all.extend(has);
        for label in labels(&selector.matchers).filter(|label| !has.contains(*label)) {
            wrong.push(format!("{} has no label {label}", selector.name));
        }
    }
    let foreign = grouping(query).into_iter().filter(|label| !of_all.iter().any(|known| *known == label));
    wrong.extend(foreign.map(|label| format!("no metric of the query has a label {label}")));
    wrong
}

#[test]
fn names_matchers_ranges_and_functions_are_seen() {
    let query = "8 * sum by (job, x) (rate(a_total{job=~\"$job\", y!=\"b\"}[$__rate_interval])) / on (job) clamp_min(b, 1e-9)";
    let found = selectors(query);
    let names: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.function.as_str())).collect();
    assert_eq!(names, [("a_total", "rate"), ("b", "clamp_min")]);
    assert_eq!(found[0].range.as_deref(), Some("$__rate_interval"));
    assert_eq!(labels(&found[0].matchers).collect::<Vec<_>>(), ["job", "y"]);
    assert_eq!(grouping(query), ["job", "x", "job"]);
}

#[test]
fn what_nobody_has_is_named() {
    let known = BTreeMap::from([("a".to_owned(), BTreeSet::from(["x".to_owned()]))]);
    for (query, wrong) in
        [("a{x=\"1\"}", 0), ("a{y=\"1\"}", 1), ("b", 1), ("sum by (x) (a)", 0), ("sum by (y) (a)", 1)]
    {
        assert_eq!(unknown(query, &known).len(), wrong, "{query}: {:?}", unknown(query, &known));
    }
}
