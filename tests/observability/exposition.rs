//! What the sensor registers: names, types, help and labels, from the text of a snapshot that leaves nothing out.

use std::collections::{BTreeMap, BTreeSet};

use sensor::capture::{Queue, XskStatistics};
use sensor::intel::{FeedStatus, IntelStatus};
use sensor::sinks::SinkStatus;
use sensor::status::metrics::ApiCounts;
use sensor::status::{CaptureStatus, Status, metrics};

/// One metric.
#[derive(Clone, Debug, Default)]
pub struct Metric {
    pub kind: String,
    pub help: String,
    pub labels: BTreeSet<String>,
}

/// A snapshot with an interface, a queue, a sink, a list of others that matched and a disk.
fn full() -> Status {
    let mut status = Status {
        capture: Some(CaptureStatus {
            zero_copy: vec![true],
            queues: vec![Queue::default()],
            xsk: vec![XskStatistics::default()],
            ..CaptureStatus::default()
        }),
        sinks: vec![SinkStatus { name: "jsonl".to_owned(), ..SinkStatus::default() }],
        intel: Some(IntelStatus { feeds: vec![FeedStatus::default()], ..IntelStatus::default() }),
        state_dir: "/".into(),
        ..Status::default()
    };
    status.intel_counts.matches.insert("list".to_owned(), 1);
    status
}

/// Counts of an API that somebody asked.
fn asked() -> ApiCounts {
    ApiCounts { requests: vec![("/api/v1/status".to_owned(), "2xx", 1)], ..ApiCounts::default() }
}

/// Every metric by its name; of a histogram the name without `_bucket`, `_sum` and `_count`.
pub fn metrics() -> BTreeMap<String, Metric> {
    let text = metrics::render(&full(), &asked()).unwrap();
    let mut found: BTreeMap<String, Metric> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            found.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            found.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else {
            let (name, labels) = series(line);
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end).filter(|name| found.contains_key(*name)))
                .unwrap_or(&name);
            found.get_mut(family).unwrap_or_else(|| panic!("no type: {line}")).labels.extend(labels);
        }
    }
    found
}

/// Names that a query may use, with their labels: those above, parts of histograms apart, and what Prometheus adds.
pub fn names() -> BTreeMap<String, BTreeSet<String>> {
    let mut names = BTreeMap::new();
    for (name, metric) in metrics() {
        if metric.kind == "histogram" {
            for part in ["_bucket", "_sum", "_count"] {
                names.insert(format!("{name}{part}"), metric.labels.clone());
            }
        } else {
            names.insert(name, metric.labels);
        }
    }
    names.insert("up".to_owned(), BTreeSet::new());
    names.insert("ALERTS".to_owned(), ["alertname", "alertstate", "severity"].map(String::from).into());
    for labels in names.values_mut() {
        labels.extend(["job", "instance"].map(String::from));
    }
    names
}

/// Name and label names of a line; values here hold no comma.
fn series(line: &str) -> (String, Vec<String>) {
    let series = line.rsplit_once(' ').unwrap().0;
    match series.split_once('{') {
        None => (series.to_owned(), Vec::new()),
        Some((name, labels)) => {
            let labels = labels.trim_end_matches('}').split(',');
            (name.to_owned(), labels.map(|label| label.split('=').next().unwrap().to_owned()).collect())
        }
    }
}

#[test]
fn a_histogram_is_one_metric_with_its_bounds() {
    let metrics = metrics();
    assert_eq!(metrics["vesper_score_latency_seconds"].kind, "histogram");
    assert!(metrics["vesper_score_latency_seconds"].labels.contains("le"));
    assert!(!metrics.contains_key("vesper_score_latency_seconds_bucket"));
    assert!(metrics["vesper_capture_xsk_total"].labels.contains("counter"));
}
